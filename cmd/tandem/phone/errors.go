package phone

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// A StatusError is a final response other than 2xx.
type StatusError struct {
	Method string
	Code   int
	Reason string
	// Cause is the Q.850 cause of a Reason header (RFC 3326), 0 without one.
	Cause int
	// Contacts are those of a 3xx.
	Contacts []string
	// Headers are all that the response carried.
	Headers []Header
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s was answered %d %s", e.Method, e.Code, e.Reason)
	if e.Cause != 0 {
		text += fmt.Sprintf(" (cause %d)", e.Cause)
	}
	return text
}

func statusError(method string, res *sip.Response) *StatusError {
	e := &StatusError{Method: method, Code: res.StatusCode, Reason: res.Reason}
	_, e.Cause, _ = reasonHeader(res)
	for _, value := range headerValues(res, "Contact", "m") {
		e.Contacts = append(e.Contacts, parseAddress(value).uri)
	}
	for _, h := range res.Headers() {
		e.Headers = append(e.Headers, Header{h.Name(), h.Value()})
	}
	return e
}

// reasonHeader reads Reason (RFC 3326): the Q.850 value where there is one, else the first.
func reasonHeader(m sip.Message) (protocol string, cause int, text string) {
	for _, value := range headerValues(m, "Reason", "") {
		parts := splitOutside(value, ';')
		name := strings.TrimSpace(parts[0])
		if protocol != "" && !strings.EqualFold(name, "Q.850") {
			continue
		}
		protocol = name
		number, _ := findParam(parts[1:], "cause")
		cause, _ = strconv.Atoi(number)
		text, _ = findParam(parts[1:], "text")
	}
	return protocol, cause, text
}
