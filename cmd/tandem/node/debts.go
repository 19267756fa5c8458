package node

import (
	"context"
	"sync"
	"time"

	"tandem/cluster"
	"tandem/record"
	"tandem/registrar"
)

// A node answers for a registration although the store is slow or away, and says that it is degraded. If the role goes to the other node at
// that moment, as on machines that are short of processor time, what has waited is in this process only, or comes to the store too late to
// count. It is owed to the node that serves.

const (
	debtTopic  = "debt"
	debtsEvery = 500 * time.Millisecond
	debtWithin = 2 * time.Second
	// debtsKept bounds how long: the phones have registered anew by then, or have gone.
	debtsKept = time.Hour
	// debtsMost bounds how many, and debtsAtOnce how many are told in one message.
	debtsMost, debtsAtOnce = 200_000, 500
)

// Debts are registrations that this process has answered for and that no other has. They outlive the building anew of a node that was deposed.
type Debts struct {
	mu  sync.Mutex
	all map[string]debt // by AOR
}

type debt struct {
	cluster.Record
	put     time.Time // what it says was so then, as far as this process's clock tells
	written time.Time // the same by the clock of who wrote it, which may have stood still with its process since
}

// NewDebts makes an empty list.
func NewDebts() *Debts { return &Debts{all: map[string]debt{}} }

// owed is a debt as it is told.
type owed struct {
	AOR     string        `json:"aor"`
	Value   []byte        `json:"value,omitempty"` // a registrar.Record; none: it was deleted
	Version uint8         `json:"version,omitempty"`
	Age     time.Duration `json:"age"`   // of what it says
	Since   time.Duration `json:"since"` // whatever phones have said in the last so long is newer
}

// left implements cluster.Config.Left.
func (n *Node) left(records []cluster.Record) {
	d, now := n.opts.Debts, time.Now()
	if d == nil {
		return // a witness answers for nothing
	}
	for _, r := range records {
		if r.Bucket != bucketRegistrations {
			continue
		}
		x := debt{Record: r, put: now.Add(-r.Age), written: now.Add(-r.Age)}
		var bindings registrar.Record
		if !r.Deleted && record.Unmarshal(r.Value, &bindings) == nil && !bindings.Written.IsZero() && bindings.Written.Before(x.written) {
			x.written = bindings.Written
		}
		d.mu.Lock()
		if old, known := d.all[r.Key]; !known && len(d.all) < debtsMost || known && old.written.Before(x.written) {
			d.all[r.Key] = x
		}
		d.mu.Unlock()
	}
}

// some takes out a few of those that are not too old, to be told.
func (d *Debts) some(now time.Time) (told []owed, taken map[string]debt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken = map[string]debt{}
	for aor, x := range d.all {
		if len(told) == debtsAtOnce {
			break
		}
		delete(d.all, aor)
		if age := now.Sub(x.put); age < debtsKept {
			taken[aor] = x
			told = append(told, owed{AOR: aor, Value: x.Value, Version: x.Version, Age: age, Since: now.Sub(x.written)})
		}
	}
	return told, taken
}

// back puts back what nobody took; what has become owed since is newer.
func (d *Debts) back(taken map[string]debt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for aor, x := range taken {
		if _, newer := d.all[aor]; !newer {
			d.all[aor] = x
		}
	}
}

// payDebts tells the node that serves, until ctx ends; this one, when it serves itself.
func (n *Node) payDebts(ctx context.Context) error {
	tick := time.NewTicker(debtsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for ctx.Err() == nil {
			told, taken := n.opts.Debts.some(time.Now())
			if len(told) == 0 {
				break
			}
			if !n.pay(ctx, told) {
				n.opts.Debts.back(taken)
				break
			}
			n.log.Info("the serving node has the registrations that had waited here", "registrations", len(told))
		}
	}
}

func (n *Node) pay(ctx context.Context, told []owed) bool {
	if n.state.Lease().Epoch() != 0 {
		n.merge(told)
		return true
	}
	text, err := record.Marshal(told)
	if err != nil {
		n.log.Error("registrations that have waited cannot be told", "err", err)
		return true
	}
	for _, node := range n.state.Switches() {
		ask, cancel := context.WithTimeout(ctx, debtWithin)
		_, err := n.state.Ask(ask, node, debtTopic, text)
		cancel()
		if err == nil {
			return true
		}
	}
	return false
}

// answerDebts takes what other nodes have answered for.
func (n *Node) answerDebts() error {
	return n.state.Answer(debtTopic, func(question []byte) []byte {
		var told []owed
		if n.state.Lease().Epoch() == 0 || record.Unmarshal(question, &told) != nil {
			return nil
		}
		n.merge(told)
		return []byte("yes")
	})
}

// merge takes registrations that a node which serves no more has answered for. Whatever phones have said here since this one serves is newer,
// whoever's clock stood still.
func (n *Node) merge(told []owed) {
	now := time.Now()
	serves := now
	if since := n.serves.Load(); since != nil {
		serves = *since
	}
	for _, x := range told {
		bindings := registrar.Record{AOR: x.AOR}
		if len(x.Value) > 0 {
			if err := record.Unmarshal(x.Value, &bindings); err != nil || x.Version > newestForm {
				n.log.Error("a registration that another node has answered for cannot be read", "aor", x.AOR, "form", x.Version, "err", err)
				continue
			}
		}
		bindings.Here(now, x.Age)
		at := now.Add(-max(x.Age, x.Since))
		if at.After(serves) {
			at = serves
		}
		n.bindings.Merge(now, at, bindings, n.attach)
	}
	n.log.Info("registrations taken that another node had answered for", "registrations", len(told))
}
