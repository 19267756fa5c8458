package voicemail

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// waiting bounds the boxes whose phones are still to be told; a box waits once, however often it changes. When it is full
// a lamp stays as it is until the next change or registration.
const waiting = 4096

// Sender sends a request in a transaction of its own; the table does.
type Sender interface {
	Send(f transport.Flow, raw []byte, sink transaction.Sink) (*transaction.Client, error)
}

// Locator tells where an extension can be reached.
type Locator interface {
	Lookup(aor string, now time.Time) []registrar.Binding
}

// Lamps tells phones how many messages wait for them.
type Lamps struct {
	store   *Store
	locator Locator
	sender  Sender
	product string
	log     *slog.Logger

	keep func(box string, told Count)

	mu    sync.Mutex
	due   map[string]bool
	told  map[string]Count // what the phones of each box have been told, where it is not nothing
	ready chan struct{}    // capacity 1: a signal that waits already is enough
}

// NewLamps makes the lamps of a store's boxes. Run lights them.
func NewLamps(s *Store, l Locator, to Sender, product string, log *slog.Logger) *Lamps {
	m := &Lamps{store: s, locator: l, sender: to, product: product, log: log, due: map[string]bool{}, told: map[string]Count{}, keep: func(string, Count) {}, ready: make(chan struct{}, 1)}
	s.Notify(m.tell)
	return m
}

// Keep has what the phones of a box are told kept for the next process; it is called before Run.
func (m *Lamps) Keep(keep func(box string, told Count)) { m.keep = keep }

// Remember takes what another process has kept.
func (m *Lamps) Remember(box string, told Count) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told[box] = told; told == (Count{}) {
		delete(m.told, box)
	}
}

// missed are the boxes whose phones have not been told how they are.
func (m *Lamps) missed() (boxes []string) {
	lit := m.store.Boxes()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, box := range lit {
		if m.store.Count(box) != m.told[box] {
			boxes = append(boxes, box)
		}
	}
	for box := range m.told {
		if m.store.Count(box) == (Count{}) {
			boxes = append(boxes, box)
		}
	}
	return boxes
}

// Registered has the phones of an extension told when there are messages, or their lamps may be lit though there are none; it does not block.
func (m *Lamps) Registered(extension string) {
	m.mu.Lock()
	_, lit := m.told[extension]
	m.mu.Unlock()
	if lit || m.store.Count(extension) != (Count{}) {
		m.tell(extension)
	}
}

// None tells whether no phone has to be told anything when it comes.
func (m *Lamps) None() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.told) == 0 && m.store.Empty()
}

func (m *Lamps) tell(box string) {
	m.mu.Lock()
	full := len(m.due) >= waiting
	if !full {
		m.due[box] = true
	}
	m.mu.Unlock()
	if full {
		m.log.Warn("too many lamps change at once", "box", box)
		return
	}
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// Run tells the phones of boxes that changed, until ctx ends. It begins with those that the process before could not tell.
func (m *Lamps) Run(ctx context.Context) error {
	for _, box := range m.missed() {
		m.light(box)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.ready:
		}
		m.mu.Lock()
		due := m.due
		m.due = map[string]bool{}
		m.mu.Unlock()
		for box := range due {
			m.light(box)
		}
	}
}

// light sends the count of a box to each of its phones, and waits for none: one that does not know NOTIFY says so.
func (m *Lamps) light(box string) {
	n, phones := m.store.Count(box), m.locator.Lookup(box, time.Now())
	reached := len(phones) > 0
	for _, b := range phones {
		if !b.Flow.Alive() {
			reached = false
			continue
		}
		if _, err := m.sender.Send(b.Flow, m.notify(b, n), nil); err != nil {
			m.log.Debug("phone not told of its messages", "box", box, "err", err)
		}
	}
	if n != (Count{}) || reached { // else a lamp may still be lit: it is told when its phone comes back
		m.tells(box, n)
	}
}

// tells notes what the phones of a box know now.
func (m *Lamps) tells(box string, n Count) {
	m.mu.Lock()
	same := m.told[box] == n
	if m.told[box] = n; n == (Count{}) {
		delete(m.told, box)
	}
	m.mu.Unlock()
	if !same {
		m.keep(box, n)
	}
}

// notify is the NOTIFY for one phone: unsolicited, as phones with a lamp take it (RFC 3842, outside a subscription).
func (m *Lamps) notify(b registrar.Binding, n Count) []byte {
	host := b.Flow.Local().String()
	self := "<sip:" + sip.EscapeUser(b.AOR) + "@" + host + ">"
	w := sip.NewWriter(make([]byte, 0, 768))
	w.Request(sip.NOTIFY, b.RequestURI())
	w.Set(sip.HeaderVia, b.Flow.Via(sip.NewBranch()))
	for _, route := range b.Route() {
		w.Add("Route", route)
	}
	w.SetInt(sip.HeaderMaxForwards, 70)
	w.Set(sip.HeaderFrom, self+";tag="+sip.NewTag())
	w.Set(sip.HeaderTo, self)
	w.Set(sip.HeaderCallID, sip.NewCallID())
	w.Set(sip.HeaderCSeq, "1 NOTIFY")
	w.Set(sip.HeaderContact, "<"+b.Flow.Contact("")+">")
	w.Add("Event", "message-summary")
	w.Add("Subscription-State", "active")
	w.Set(sip.HeaderUserAgent, m.product)
	w.Finish("application/simple-message-summary", Summary(n, "sip:"+sip.EscapeUser(b.AOR)+"@"+host))
	raw, _ := w.Bytes()
	return raw
}

// Summary is the body of a NOTIFY about a box (RFC 3842 §5.2).
func Summary(n Count, account string) []byte {
	lamp := "no"
	if n.New > 0 {
		lamp = "yes"
	}
	return fmt.Appendf(nil, "Messages-Waiting: %s\r\nMessage-Account: %s\r\nVoice-Message: %d/%d (0/0)\r\n", lamp, account, n.New, n.Heard)
}
