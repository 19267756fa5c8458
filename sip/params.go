package sip

import "iter"

// Params is the text of parameters as it stands, from the first ";" on: `;tag=a;x="b c";lr`. Names are
// case-insensitive, blanks may stand round ";" and "=" (RFC 3261 §7.3.1).
type Params string

// All yields each parameter's name and value as they stand; the value keeps its quotes.
func (p Params) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		rest := Params(Trim(string(p)))
		for rest != "" {
			name, value, next := rest.cut()
			if name != "" && !yield(name, value) {
				return
			}
			rest = next
		}
	}
}

// cut takes the first parameter off.
func (p Params) cut() (name, value string, rest Params) {
	s := string(p)
	if s != "" && s[0] == ';' {
		s = s[1:]
	}
	end := indexOutside(s, ';', ';')
	if end < 0 {
		end = len(s)
	}
	one := s[:end]
	rest = Params(s[end:])
	if eq := indexOutside(one, '=', '='); eq >= 0 {
		return Trim(one[:eq]), Trim(one[eq+1:]), rest
	}
	return Trim(one), "", rest
}

// Get is the value of a parameter with its quotes taken off, and whether it is there at all.
func (p Params) Get(name string) (value string, ok bool) {
	for p != "" {
		var n, v string
		if n, v, p = p.cut(); EqualFold(n, name) {
			return Unquote(v), true
		}
	}
	return "", false
}

// Has tells whether a parameter is there, with or without a value.
func (p Params) Has(name string) bool {
	_, ok := p.Get(name)
	return ok
}
