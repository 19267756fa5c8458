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
	end := indexOutside(s, ';')
	if end < 0 {
		end = len(s)
	}
	one := s[:end]
	rest = Params(s[end:])
	if eq := indexOutside(one, '='); eq >= 0 {
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

// wellFormed tells whether the text is ";name[=value]" over and over: no stray separators, no open quotes.
func (p Params) wellFormed() bool {
	_, _, ok := p.scan("")
	return ok
}

// scan walks over the parameters by the grammar (RFC 3261 §25.1) and picks up the last value of the one that
// is wanted, quotes and all, and how often it is there. ok is false where the grammar breaks.
func (p Params) scan(want string) (value string, count int, ok bool) {
	s := string(p)
	for i := skip(s, 0, charBlank); i < len(s); {
		if s[i] != ';' {
			return "", 0, false
		}
		start := skip(s, i+1, charBlank)
		i = skip(s, start, charToken)
		if i == start {
			return "", 0, false
		}
		name, v := s[start:i], ""
		i = skip(s, i, charBlank)
		if i < len(s) && s[i] == '=' {
			if v, i = paramValue(s, skip(s, i+1, charBlank)); i < 0 {
				return "", 0, false
			}
		}
		if len(name) == len(want) && EqualFold(name, want) {
			value = v
			count++
		}
	}
	return value, count, true
}

// paramValue reads the value at place i and returns the place of what follows it and the blanks behind; -1
// if a quote is not closed.
func paramValue(s string, i int) (value string, next int) {
	start := i
	if i < len(s) && s[i] == '"' {
		n := cutQuoted(s[i:])
		if n < 0 {
			return "", -1
		}
		i += n
	} else {
		i = skip(s, i, charValue)
	}
	return s[start:i], skip(s, i, charBlank)
}
