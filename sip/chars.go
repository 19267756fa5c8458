package sip

// Classes of characters, as bits of the chars table.
const (
	charToken   uint8 = 1 << iota // token (RFC 3261 §25.1)
	charWord                      // word (RFC 3261 §25.1)
	charBlank                     // space, tab and the line ends of folds
	charValue                     // in an unquoted parameter value: more than the grammar has, but nothing that separates
	charURI                       // anywhere in a URI
	charHost                      // host name or IPv4 address; underscores are not in the grammar, but in many networks
	charURIStop                   // where a walk over a URI must look: "@", "%" and all that is not charURI
	charSplits                    // what a reader of lists and parameters must look at: " < > , ; =
)

var chars = func() (t [256]uint8) {
	mark := func(class uint8, set string) {
		for i := 0; i < len(set); i++ {
			t[set[i]] |= class
		}
	}
	const alnum = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	mark(charToken|charWord|charHost, alnum)
	mark(charToken|charWord, "-.!%*_+`'~")
	mark(charWord, `()<>:\"/[]?{}`)
	mark(charBlank, " \t\r\n")
	mark(charHost, "-._")
	mark(charURIStop, "@%")
	mark(charSplits, `"<>,;=`)
	for c := range t {
		switch {
		case c <= ' ' || c == '"' || c == '<' || c == '>' || c == 0x7f:
			t[c] |= charURIStop
		case c == ',' || c == ';':
			t[c] |= charURI
		default:
			t[c] |= charURI | charValue
		}
	}
	return t
}()

func is(c byte, class uint8) bool { return chars[c]&class != 0 }

// skip returns the first place from i on whose character is not of that class.
func skip(s string, i int, class uint8) int {
	for i < len(s) && chars[s[i]]&class != 0 {
		i++
	}
	return i
}

func isBlank(c byte) bool { return chars[c]&charBlank != 0 }
