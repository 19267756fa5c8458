package call

import (
	"context"
	"io"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transport"
	"tandem/stir"
)

// Config is what the switchboard needs to start. Zero fields take their defaults.
type Config struct {
	MaxCalls    int           // calls at once, above which a new one gets 503; default 10000
	MaxBranches int           // contacts rung at once by one call; default 32
	RingTimeout time.Duration // longest ringing where the plan names none (RFC 3261 §16.6 Timer C); default 3 min
	MaxDuration time.Duration // longest call; default 24 h
	T1, T2      time.Duration // retransmission of our 2xx (RFC 3261 §13.3.1.4); default 0.5 s and 4 s
	// SessionInterval is the session timer that we ask callees for (RFC 4028); default 30 min, negative: none.
	SessionInterval time.Duration
	StopWait        time.Duration // how long Run waits for the answers to its last BYEs; default 4 s
	Product         string        // User-Agent and Server
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 10000
	}
	if c.MaxBranches == 0 {
		c.MaxBranches = 32
	}
	def(&c.RingTimeout, 3*time.Minute)
	def(&c.MaxDuration, 24*time.Hour)
	def(&c.T1, 500*time.Millisecond)
	def(&c.T2, 4*time.Second)
	def(&c.SessionInterval, 30*time.Minute)
	def(&c.StopWait, 4*time.Second)
	if c.Product == "" {
		c.Product = "Tandem"
	}
	return c
}

// Settings are what a reload changes. They are immutable: a Call keeps those that it began with.
type Settings struct {
	Domains       []string // what we answer for, beside our own addresses
	PublicAddress string   // address that peers outside see; empty: none but the interfaces'
	Plan          *dialplan.Plan
	Credentials   map[string]digest.Credential // by extension
	Clips         map[string]media.Clip        // by the file name that a play step has
	Signer        *stir.Signer                 // of calls to carriers; nil: none is signed
	Verifier      *stir.Verifier               // of calls from carriers; nil: none is verified
}

// Media makes the media sessions of legs.
type Media interface {
	NewSession(media.Options) (Session, error)
	// Adopt goes on with a session of another process.
	Adopt(st media.State, call, leg string, events func(media.Event)) (Session, error)
	// Notes tells what has changed in sessions whose State was asked for.
	Notes() []media.Note
}

// Session is the media of one leg, as this room uses it; see media.Session for what each means.
type Session interface {
	SetOffer(body []byte) error
	CreateAnswer(like Session) ([]byte, error)
	CreateOffer(like Session) ([]byte, error)
	SetAnswer(body []byte) error
	Rollback()
	Join(other Session) error
	Part() error
	Echo() error
	Play(clip media.Clip, loop bool) error
	StopPlay()
	SendDTMF(digits string, each time.Duration) error
	TakesDTMF() bool
	Record(w io.WriteSeeker, limits media.RecordLimits) (Recording, error)
	RemoteDirection() media.Direction
	Fax() bool
	Video() bool
	VideoNews() bool
	Insist() bool
	Stats() media.Stats
	State(offer bool) (media.State, bool)
	Follow(st media.StreamState) error
	Rename(call, leg string)
	Close()
}

// Recording is what is being recorded of a leg; see media.Recording.
type Recording interface {
	Stop()
	Wait() media.Recorded
}

// Locator tells where an extension can be reached.
type Locator interface {
	Lookup(aor string, now time.Time) []registrar.Binding
}

// Registrar answers REGISTER.
type Registrar interface {
	// AppendReceive appends the answer to dst; nothing appended: none is sent.
	AppendReceive(dst []byte, now time.Time, f transport.Flow, m *sip.Message) []byte
	Closed(f transport.Flow)
}

// Router finds a flow towards a URI that nobody registered over: RFC 3263 and a connection. It may block.
type Router interface {
	Reach(ctx context.Context, uri sip.URI, size int) (transport.Flow, error)
}

// Ledger takes the record of every call that has ended. It does not block. done runs once, from any goroutine, when the record is
// where neither a crash nor a kill takes it away; nil: nothing else is kept of the call.
type Ledger interface {
	Write(r Record, done func())
}
