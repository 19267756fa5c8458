package dialplan

import "testing"

func TestNumbersToE164AndBack(t *testing.T) {
	cases := []struct{ country, dialled, e164, back string }{
		{"GB", "02079460018", "+442079460018", "02079460018"},
		{"GB", "0033140000000", "+33140000000", "0033140000000"},
		{"GB", "+33140000000", "+33140000000", "0033140000000"},
		{"GB", "1001", "1001", "1001"},
		{"GB", "0", "0", "0"},
		{"GB", "00", "00", "00"},
		{"GB", "0199", "0199", "0199"},
		{"GB", "999", "999", "999"},
		{"GB", "*98", "*98", "*98"},
		{"GB", "#1", "#1", "#1"},
		{"US", "2125550100", "+12125550100", "12125550100"},
		{"US", "12125550100", "+12125550100", "12125550100"},
		{"US", "011442079460018", "+442079460018", "011442079460018"},
		{"US", "911", "911", "911"},
		{"CA", "4165550100", "+14165550100", "14165550100"},
		{"IT", "0612345678", "+390612345678", "0612345678"}, // the zero is part of the number
		{"ES", "912345678", "+34912345678", "912345678"},
		{"HU", "0612345678", "+3612345678", "0612345678"},
		{"RU", "84951234567", "+74951234567", "84951234567"},
		{"RU", "810442079460018", "+442079460018", "810442079460018"},
		{"AU", "0011442079460018", "+442079460018", "0011442079460018"},
		{"", "02079460018", "02079460018", "02079460018"},
	}
	for _, c := range cases {
		n, _, _ := newNumbering(c.country)
		got := n.E164(c.dialled)
		if got != c.e164 {
			t.Errorf("%s: %s became %s, want %s", c.country, c.dialled, got, c.e164)
		}
		if back := n.Dial(got); back != c.back {
			t.Errorf("%s: %s is dialled %s, want %s", c.country, got, back, c.back)
		}
	}
}

func TestCountryOfNumber(t *testing.T) {
	cases := map[string]string{
		"+442079460018": "GB", "+441534000000": "JE", "+441624000000": "IM", "+12125550100": "US", "+14165550100": "CA",
		"+18765550100": "JM", "+18095550100": "DO", "+74951234567": "RU", "+77271234567": "KZ", "+39066981234": "VA",
		"+390612345678": "IT", "+88213000000": "001", "+87012345678": "001", "+59995555555": "CW", "+5997555555": "BQ",
		"+999123456": "", "02079460018": "", "1001": "", "+": "",
	}
	for number, want := range cases {
		if got := Country(number); got != want {
			t.Errorf("%s is in %q, want %q", number, got, want)
		}
	}
}

// Every country with a way of dialling has a code, and its own national number comes back to it.
func TestDiallingTable(t *testing.T) {
	for iso, d := range diallings {
		n, complete, ok := newNumbering(iso)
		if !ok || !complete || n.Code == "" {
			t.Errorf("%s: %+v, complete %v, known %v", iso, n, complete, ok)
			continue
		}
		national := "2345678901234"[:d.least]
		got := n.E164(n.National + national)
		if want := "+" + n.Code + national; got != want {
			t.Errorf("%s: %s%s became %s, want %s", iso, n.National, national, got, want)
		}
		if back := n.Dial(got); back != n.National+national {
			t.Errorf("%s: %s goes back to %s", iso, got, back)
		}
	}
	if _, _, ok := newNumbering("XX"); ok {
		t.Error("XX is no country")
	}
	if n, complete, ok := newNumbering("TV"); !ok || complete || n.Code != "688" {
		t.Errorf("Tuvalu has a code and no way of dialling in the table: %+v %v %v", n, complete, ok)
	}
}

func TestVisualSeparators(t *testing.T) {
	for in, want := range map[string]string{
		"+44 (20) 7946-0018": "+442079460018", "020.7946.0018": "02079460018", "alice.b": "alice.b", "1001": "1001", "": "",
	} {
		if got := withoutSeparators(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
