package node

import (
	"errors"
	"slices"
	"sync"
	"time"

	"tandem/console/pages"
)

// Guest is an extension that is lent to pages.
type Guest struct{ Extension, Name string }

// Guests are extensions that the page at /phone lends to whoever has a link with the token: those of a demo.
type Guests struct {
	Token   string
	Until   time.Time // when the link ends
	Phones  []Guest
	Numbers []pages.Number // to dial, beside the other phones
}

// newPages makes what browsers are served.
func (n *Node) newPages() *pages.Pages {
	facts := func() pages.Facts {
		return pages.Facts{Domain: n.config.Load().Node.Domains[0], Version: n.opts.Version, Guests: n.opts.Guests != nil}
	}
	if n.opts.Guests == nil {
		return pages.New(facts, nil)
	}
	l := &lender{n: n, Guests: n.opts.Guests, lent: map[string]time.Time{}}
	return pages.New(facts, &pages.Guests{Token: l.Token, Until: l.Until, Lend: l.lend})
}

// lender gives each page an extension that no other phone has, as long as there is one.
type lender struct {
	*Guests
	n *Node

	mu   sync.Mutex
	lent map[string]time.Time // when an extension was lent last
}

// lentFor is how long the password is good that a page gets; it asks again in time.
const lentFor = time.Hour

// settling is how long an extension counts as used before its page has registered.
const settling = 10 * time.Second

func (l *lender) lend(again string) (pages.Session, error) {
	g, ok := l.choose(again, time.Now())
	if !ok {
		return pages.Session{}, errors.New("there is no extension to lend")
	}
	pass := l.n.Keys().Issue(g.Extension, time.Now().Add(lentFor))
	s := pages.Session{
		Extension: g.Extension, Name: g.Name, Username: pass.Username, Password: pass.Password,
		Domain: l.n.config.Load().Node.Domains[0], Expires: pass.Expires.Unix(),
	}
	for _, other := range l.Phones {
		if other.Extension != g.Extension {
			s.Numbers = append(s.Numbers, pages.Number{Number: other.Extension, Name: other.Name})
		}
	}
	s.Numbers = append(s.Numbers, l.Numbers...)
	return s, nil
}

// choose gives a page its own again, otherwise the first that is free, otherwise the one that was lent longest ago.
func (l *lender) choose(again string, now time.Time) (Guest, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.Phones) == 0 {
		return Guest{}, false
	}
	at := slices.IndexFunc(l.Phones, func(g Guest) bool { return g.Extension == again })
	if at < 0 {
		at = slices.IndexFunc(l.Phones, func(g Guest) bool {
			return now.Sub(l.lent[g.Extension]) > settling && len(l.n.bindings.Lookup(g.Extension, now)) == 0
		})
	}
	if at < 0 {
		oldest := slices.MinFunc(l.Phones, func(a, b Guest) int { return l.lent[a.Extension].Compare(l.lent[b.Extension]) })
		at = slices.Index(l.Phones, oldest)
	}
	l.lent[l.Phones[at].Extension] = now
	return l.Phones[at], true
}
