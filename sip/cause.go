package sip

import (
	"fmt"
	"strings"
)

// Cause is a Q.850 cause value, 1 to 127; 0 means none.
type Cause uint8

// The causes that have a meaning of their own for us.
const (
	CauseUnallocated  Cause = 1
	CauseNormal       Cause = 16
	CauseBusy         Cause = 17
	CauseNoUser       Cause = 18
	CauseNoAnswer     Cause = 19
	CauseRejected     Cause = 21
	CauseOutOfOrder   Cause = 27
	CauseUnspecified  Cause = 31
	CauseNoCircuit    Cause = 34
	CauseTemporary    Cause = 41
	CauseIncompatible Cause = 88
	CauseTimerExpired Cause = 102
	CauseInterworking Cause = 127
)

// statusCause is RFC 3398 §8.2.6.1 with the statuses that came later.
var statusCause = map[int]Cause{
	400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127, 414: 127,
	415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41, 482: 25, 483: 25, 484: 28, 485: 1, 486: 17,
	487: 16, 488: 65, 491: 41, 500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127, 513: 127, 580: 47,
	600: 17, 603: 21, 604: 1, 606: 65, 607: 21, 608: 21,
}

// causeStatus is RFC 3398 §7.2.4.1.
var causeStatus = map[Cause]int{
	1: 404, 2: 404, 3: 404, 17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410, 23: 410, 26: 404, 27: 502, 28: 484,
	29: 501, 31: 480, 34: 503, 38: 503, 41: 503, 42: 503, 47: 503, 55: 403, 57: 403, 58: 503, 65: 488, 70: 488,
	79: 501, 87: 403, 88: 503, 102: 504, 111: 500, 127: 500,
}

// CauseOf maps a SIP status to its Q.850 cause: normal clearing below 300.
func CauseOf(status int) Cause {
	if c, ok := statusCause[status]; ok {
		return c
	}
	switch status / 100 {
	case 4, 6:
		return CauseUnspecified
	case 5:
		return CauseTemporary
	}
	return CauseNormal
}

// StatusOf maps a Q.850 cause to the SIP status of a call that was refused with it.
func StatusOf(c Cause) int {
	if s, ok := causeStatus[c]; ok {
		return s
	}
	return 480
}

// ReasonHeader is the value of a Reason header (RFC 3326).
func (c Cause) ReasonHeader(text string) string {
	if text == "" {
		return fmt.Sprintf("Q.850;cause=%d", c)
	}
	return fmt.Sprintf("Q.850;cause=%d;text=%s", c, Quote(text))
}

// Cause reads the Q.850 cause out of the Reason headers of a message; a SIP cause is mapped. 0: none.
func (m *Message) Cause() Cause {
	var mapped Cause
	for e := range m.Elements(HeaderReason) {
		protocol, rest, _ := strings.Cut(e, ";")
		value, _ := Params(";" + rest).Get("cause")
		n, ok := Digits(value)
		switch {
		case !ok:
		case EqualFold(Trim(protocol), "Q.850") && n >= 1 && n <= 127:
			return Cause(n)
		case EqualFold(Trim(protocol), "SIP") && n >= 100 && n <= 699:
			mapped = CauseOf(int(n))
		}
	}
	return mapped
}
