package sip

// HeaderID names a header field that the switch reads. Everything else is HeaderOther and keeps its name.
type HeaderID uint8

// The header fields that have a meaning for us.
const (
	HeaderOther HeaderID = iota
	HeaderVia
	HeaderFrom
	HeaderTo
	HeaderCallID
	HeaderCSeq
	HeaderContact
	HeaderMaxForwards
	HeaderRoute
	HeaderRecordRoute
	HeaderContentLength
	HeaderContentType
	HeaderContentEncoding
	HeaderContentDisposition
	HeaderExpires
	HeaderMinExpires
	HeaderRequire
	HeaderProxyRequire
	HeaderSupported
	HeaderUnsupported
	HeaderAllow
	HeaderAccept
	HeaderAuthorization
	HeaderProxyAuthorization
	HeaderWWWAuthenticate
	HeaderProxyAuthenticate
	HeaderAuthenticationInfo
	HeaderPath
	HeaderServiceRoute
	HeaderReason
	HeaderRetryAfter
	HeaderWarning
	HeaderUserAgent
	HeaderServer
	HeaderSubject
	HeaderDate
	HeaderEvent
	HeaderReferTo
	HeaderReferredBy
	HeaderReplaces
	HeaderSessionExpires
	HeaderMinSE
	HeaderRSeq
	HeaderRAck
	HeaderPAssertedIdentity
	HeaderPPreferredIdentity
	HeaderRemotePartyID
	HeaderPrivacy
	HeaderDiversion
	HeaderHistoryInfo
	HeaderFlowTimer
	HeaderAlertInfo
	HeaderIdentity
	headerCount
)

// Validate keeps a bit for each.
var _ [64 - headerCount]struct{}

// headerNames are the names as we write them.
var headerNames = [headerCount]string{
	HeaderVia: "Via", HeaderFrom: "From", HeaderTo: "To", HeaderCallID: "Call-ID", HeaderCSeq: "CSeq",
	HeaderContact: "Contact", HeaderMaxForwards: "Max-Forwards", HeaderRoute: "Route",
	HeaderRecordRoute: "Record-Route", HeaderContentLength: "Content-Length",
	HeaderContentType: "Content-Type", HeaderContentEncoding: "Content-Encoding",
	HeaderContentDisposition: "Content-Disposition", HeaderExpires: "Expires",
	HeaderMinExpires: "Min-Expires", HeaderRequire: "Require", HeaderProxyRequire: "Proxy-Require",
	HeaderSupported: "Supported", HeaderUnsupported: "Unsupported", HeaderAllow: "Allow",
	HeaderAccept: "Accept", HeaderAuthorization: "Authorization",
	HeaderProxyAuthorization: "Proxy-Authorization", HeaderWWWAuthenticate: "WWW-Authenticate",
	HeaderProxyAuthenticate: "Proxy-Authenticate", HeaderAuthenticationInfo: "Authentication-Info",
	HeaderPath: "Path", HeaderServiceRoute: "Service-Route", HeaderReason: "Reason",
	HeaderRetryAfter: "Retry-After", HeaderWarning: "Warning", HeaderUserAgent: "User-Agent",
	HeaderServer: "Server", HeaderSubject: "Subject", HeaderDate: "Date", HeaderEvent: "Event",
	HeaderReferTo: "Refer-To", HeaderReferredBy: "Referred-By", HeaderReplaces: "Replaces",
	HeaderSessionExpires: "Session-Expires", HeaderMinSE: "Min-SE", HeaderRSeq: "RSeq",
	HeaderRAck: "RAck", HeaderPAssertedIdentity: "P-Asserted-Identity",
	HeaderPPreferredIdentity: "P-Preferred-Identity", HeaderRemotePartyID: "Remote-Party-ID",
	HeaderPrivacy: "Privacy", HeaderDiversion: "Diversion", HeaderHistoryInfo: "History-Info",
	HeaderFlowTimer: "Flow-Timer", HeaderAlertInfo: "Alert-Info", HeaderIdentity: "Identity",
}

// compactIDs are the compact forms (RFC 3261 §7.3.3 and the IANA registry), by their letter.
var compactIDs = [256]HeaderID{
	'v': HeaderVia, 'f': HeaderFrom, 't': HeaderTo, 'i': HeaderCallID, 'm': HeaderContact,
	'l': HeaderContentLength, 'c': HeaderContentType, 'e': HeaderContentEncoding, 's': HeaderSubject,
	'k': HeaderSupported, 'o': HeaderEvent, 'r': HeaderReferTo, 'b': HeaderReferredBy,
	'x': HeaderSessionExpires, 'y': HeaderIdentity,
}

// idsByHash holds the known names by nameHash, so that a name is compared with one other. The factors were
// found by trial: no two names share a place (see TestLookupHeader).
var idsByHash = func() (t [128]HeaderID) {
	for id := HeaderOther + 1; id < headerCount; id++ {
		t[nameHash(headerNames[id])] = id
	}
	return t
}()

// nameHash mixes length, first, last and middle letter of a name, in any case.
func nameHash(name string) uint8 {
	n := len(name)
	return (uint8(n)*29 + (name[0]|0x20)*3 + (name[n-1]|0x20)*4 + (name[n/2]|0x20)*5) & 127
}

// Name is the header field's name as we write it; empty for HeaderOther.
func (id HeaderID) Name() string { return headerNames[id] }

// LookupHeader finds the id of a header name, long or compact, in any case.
func LookupHeader(name string) HeaderID {
	switch len(name) {
	case 0:
		return HeaderOther
	case 1:
		return compactIDs[name[0]|0x20]
	}
	if id := idsByHash[nameHash(name)]; id != HeaderOther && EqualFold(name, headerNames[id]) {
		return id
	}
	return HeaderOther
}

// EqualFold compares two ASCII texts without regard to case. Octets above 127 must be equal.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	if a == b {
		return true
	}
	for i := 0; i < len(a); i++ {
		if x, y := a[i], b[i]; x != y && lower(x) != lower(y) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
