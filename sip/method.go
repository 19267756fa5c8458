package sip

// The methods that the switch knows.
const (
	INVITE    = "INVITE"
	ACK       = "ACK"
	BYE       = "BYE"
	CANCEL    = "CANCEL"
	REGISTER  = "REGISTER"
	OPTIONS   = "OPTIONS"
	INFO      = "INFO"
	UPDATE    = "UPDATE"
	PRACK     = "PRACK"
	MESSAGE   = "MESSAGE"
	SUBSCRIBE = "SUBSCRIBE"
	NOTIFY    = "NOTIFY"
	PUBLISH   = "PUBLISH"
	REFER     = "REFER"
)

// KnownMethod tells whether we know the method at all; what we do not know is answered 501.
func KnownMethod(m string) bool {
	switch m {
	case INVITE, ACK, BYE, CANCEL, REGISTER, OPTIONS, INFO, UPDATE, PRACK, MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH, REFER:
		return true
	}
	return false
}
