package call

import (
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
	"tandem/stir"
)

// Record is the call detail record of one call: one JSON line. Times are UTC; lengths are in seconds.
type Record struct {
	Call     string     `json:"call"`
	Started  time.Time  `json:"started"`
	Answered *time.Time `json:"answered,omitempty"`
	Ended    time.Time  `json:"ended"`
	Duration float64    `json:"duration"`         // from answer to end; 0 without an answer
	From     string     `json:"from"`             // extension that called, as authenticated
	Trunk    string     `json:"trunk,omitempty"`  // that the call came over
	Caller   string     `json:"caller,omitempty"` // the number that the trunk gave
	CallerID string     `json:"caller_id,omitempty"`
	Dialled  string     `json:"dialled"` // as it stood in the Request-URI
	Number   string     `json:"number"`  // after numbering
	Route    string     `json:"route,omitempty"`
	Plan     string     `json:"plan"` // version of the plan that decided
	Status   int        `json:"status"`
	Refused  string     `json:"refused,omitempty"` // why the plan refused the call
	Cause    sip.Cause  `json:"cause"`             // Q.850
	EndedBy  string     `json:"ended_by"`          // a leg's name, caller or callee (before an answer), switch, operator
	Attempts []Attempt  `json:"attempts,omitempty"`
	Legs     []LegEntry `json:"legs"`

	Emergency bool             `json:"emergency,omitempty"`
	Alarms    []dialplan.Alarm `json:"alarms,omitempty"`
	Verstat   stir.Verstat     `json:"verstat,omitempty"`   // of a call from a carrier that is verified
	Attest    stir.Attestation `json:"attest,omitempty"`    // of the number, where it passed
	OrigID    string           `json:"origid,omitempty"`    // of the signer's account
	Voicemail *VoicemailEntry  `json:"voicemail,omitempty"` // the message that was left

	Transfers []Transfer `json:"transfers,omitempty"`

	payer string    // the extension that forwarded the call outside; empty: nobody did
	over  time.Time // Ended with the reading of the monotonic clock
}

// VoicemailEntry is a message that a caller left.
type VoicemailEntry struct {
	Box     string  `json:"box"`
	Message string  `json:"message"` // its id
	Seconds float64 `json:"seconds"`
}

// Transfer is one side's wish that the other speak with somebody else (RFC 3515, RFC 3891).
type Transfer struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`               // extension
	To     string    `json:"to,omitempty"`     // as it was written; of the second call, where there was one
	Kind   string    `json:"kind"`             // "blind", "attended", or "replaces": a phone took its own extension's call over
	Status int       `json:"status,omitempty"` // 200: it came about; 0: it was under way when the call ended
}

// Attempt is one contact that was rung.
type Attempt struct {
	Extension string     `json:"extension,omitempty"`
	Trunk     string     `json:"trunk,omitempty"`
	Group     string     `json:"group,omitempty"`   // trunk group that the trunk came out of
	Number    string     `json:"number,omitempty"`  // dialled over the trunk
	Contact   string     `json:"contact,omitempty"` // of a trunk: transport and address
	Started   time.Time  `json:"started"`
	Rang      *time.Time `json:"rang,omitempty"`
	Ended     *time.Time `json:"ended,omitempty"`
	Status    int        `json:"status,omitempty"` // final status; 200: answered
	Reason    string     `json:"reason,omitempty"`

	Rate       string `json:"rate,omitempty"` // of a minute over the trunk, by a rate deck
	Currency   string `json:"currency,omitempty"`
	RatePrefix string `json:"rate_prefix,omitempty"` // that the rate is for
}

// LegEntry is the media and the peer of one leg.
type LegEntry struct {
	Leg       string      `json:"leg"`
	Party     string      `json:"party,omitempty"`
	Peer      string      `json:"peer"` // address that it signalled from
	Transport string      `json:"transport"`
	CallID    string      `json:"call_id"`
	Media     media.Stats `json:"media"`
}

// begin notes what is known when the INVITE comes.
func (r *Record) begin(c *Call) {
	r.Call, r.Started, r.From, r.Dialled = c.id, c.started.UTC(), c.facts.From, printable(c.facts.To)
	r.Trunk, r.Caller = c.facts.Trunk, printable(c.facts.Caller)
}

func (r *Record) decide(d dialplan.Decision) {
	r.Number, r.Route, r.Plan, r.CallerID = printable(d.Number), d.Route, d.Plan, d.CallerID.Number
	r.Emergency, r.Alarms = d.Emergency, d.Alarms
	if n := len(d.Reasons); d.Reject.Status != 0 && n > 0 {
		r.Refused = printable(d.Reasons[n-1].Why)
	}
}

// attempt opens the entry of one contact and returns its index.
func (r *Record) attempt(extension, contact string, now time.Time) int {
	r.Attempts = append(r.Attempts, Attempt{Extension: extension, Contact: printable(contact), Started: now.UTC()})
	return len(r.Attempts) - 1
}

// attemptTrunk opens the entry of one target of a trunk, or of a trunk that took no call.
func (r *Record) attemptTrunk(t dialplan.Target, hop string, now time.Time) int {
	a := Attempt{Trunk: t.Trunk, Group: t.Group, Number: printable(t.Number), Contact: hop, Started: now.UTC()}
	if !t.Price.IsZero() {
		a.Rate, a.Currency, a.RatePrefix = t.Price.Rate.String(), t.Price.Currency, t.Price.Prefix
	}
	r.Attempts = append(r.Attempts, a)
	return len(r.Attempts) - 1
}

func (r *Record) attemptRang(i int, now time.Time) {
	if a := &r.Attempts[i]; a.Rang == nil {
		now = now.UTC()
		a.Rang = &now
	}
}

func (r *Record) attemptAnswered(i int, now time.Time) { r.attemptEnds(i, 200, "", now) }

func (r *Record) attemptFailed(i int, f *failure, now time.Time) {
	reason := f.reason
	switch {
	case f.timeout:
		reason = "no reply"
	case f.unreachable && reason == "":
		reason = "unreachable"
	}
	r.attemptEnds(i, f.status, reason, now)
}

func (r *Record) attemptEnds(i, status int, reason string, now time.Time) {
	a := &r.Attempts[i]
	if a.Ended != nil {
		return
	}
	now = now.UTC()
	a.Ended, a.Status, a.Reason = &now, status, printable(reason)
}

// end notes who ended the call and why; the first word stands.
func (r *Record) end(by string, status int, cause sip.Cause, now time.Time) {
	if !r.Ended.IsZero() {
		return
	}
	r.EndedBy, r.Status, r.Cause, r.Ended, r.over = by, status, cause, now.UTC(), now
}

// finishRecord writes the record when everything has been released.
func (c *Call) finishRecord() {
	r := &c.record
	r.end("switch", 500, sip.CauseTemporary, time.Now())
	if !c.answered.IsZero() {
		answered := c.answered.UTC()
		r.Answered, r.Status = &answered, 200
		over := r.over
		if over.IsZero() { // of another process
			over = r.Ended
		}
		r.Duration = max(over.Sub(c.answered).Seconds(), 0) // by the monotonic clock: a set clock does not matter
	}
	for _, l := range c.legs {
		r.Legs = append(r.Legs, l.entry())
	}
	r.Legs = append(r.Legs, c.gone...)
	c.log.Info("call ended", "from", c.a.party, "to", r.Dialled, "status", r.Status, "cause", r.Cause, "by", r.EndedBy,
		"seconds", r.Duration)
	c.board.ended(c.settings.Plan, r, c.isKept())
	c.kept = keptGone
}
