package sip

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// StatusError is a failure that the peer is told about. Reason goes on the wire and says nothing of our
// insides; Err goes in the log.
type StatusError struct {
	Code   int    // SIP status, 400 to 699
	Reason string // reason phrase; empty: the usual one of the code
	Cause  Cause  // Q.850 cause for a Reason header; 0: the one that CauseOf gives
	Header string // one more header line for the answer, such as that of RetryAfter; empty: none
	Err    error
}

// Error is the text for the log.
func (e *StatusError) Error() string {
	reason := e.Reason
	if reason == "" {
		reason = ReasonPhrase(e.Code)
	}
	if e.Err != nil {
		return fmt.Sprintf("%d %s: %v", e.Code, reason, e.Err)
	}
	return fmt.Sprintf("%d %s", e.Code, reason)
}

// Unwrap gives the error behind.
func (e *StatusError) Unwrap() error { return e.Err }

// RetryAfter is the header line that asks a peer to come back after so many seconds, and up to as many again by chance: those who are
// refused together must not return together.
func RetryAfter(seconds int) string {
	return "Retry-After: " + strconv.Itoa(seconds+rand.IntN(seconds+1))
}

// Errorf makes a StatusError whose formatted text is the reason phrase that the peer sees.
func Errorf(code int, format string, args ...any) *StatusError {
	return &StatusError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

var reasons = map[int]string{
	100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
	199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 204: "No Notification",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
	410: "Gone", 412: "Conditional Request Failed", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
	415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
	422: "Session Interval Too Small", 423: "Interval Too Brief", 428: "Use Identity Header", 430: "Flow Failed",
	433: "Anonymity Disallowed", 436: "Bad Identity Info", 437: "Unsupported Credential", 438: "Invalid Identity Header",
	439: "First Hop Lacks Outbound Support", 440: "Max-Breadth Exceeded", 469: "Bad Info Package",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
	484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here",
	489: "Bad Event", 491: "Request Pending", 493: "Undecipherable", 494: "Security Agreement Required",
	500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
	504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large", 580: "Precondition Failure",
	600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable", 607: "Unwanted", 608: "Rejected",
}

// classReasons are for codes that nobody registered.
var classReasons = [...]string{1: "Progress", 2: "Success", 3: "Redirection", 4: "Request Failure", 5: "Server Failure", 6: "Global Failure"}

// ReasonPhrase is the usual phrase of a status code.
func ReasonPhrase(code int) string {
	if r, ok := reasons[code]; ok {
		return r
	}
	if c := code / 100; c >= 1 && c <= 6 {
		return classReasons[c]
	}
	return "Unknown"
}
