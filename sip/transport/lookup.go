package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	maxAnswers  = 4096             // in the cache: about 2 MB
	maxTTL      = 24 * time.Hour   // no record is believed longer
	minTTL      = time.Second      // a TTL of 0 still serves those who wait
	maxNegative = 5 * time.Minute  // RFC 2308 §5 allows more; a customer who mends his zone does not want it
	negativeTTL = 30 * time.Second // where the answer has no SOA
	maxStale    = 24 * time.Hour   // from the last good answer (RFC 8767 §5 allows 3 days)
	staleRetry  = 5 * time.Second  // between attempts while stale answers are served
)

// question is a key of the cache.
type question struct {
	name string // lower case, with the final dot
	kind uint16
}

// answer is what the cache holds; no records: there are none.
type answer struct {
	records []dns.RR
	expires time.Time
	good    time.Time // when a name server said so
}

// lookup is a question that is being asked.
type lookup struct {
	done chan struct{} // closed when err is set and a good answer is in the cache
	err  error
}

// search asks for a name as the system would: one without a dot is tried in the search domains.
func (r *Resolver) search(ctx context.Context, host string, kind uint16) ([]dns.RR, error) {
	if !strings.Contains(host, ".") && len(r.cfg.Servers) == 0 {
		for _, domain := range r.conf.load(r.cfg.Now()).Search {
			if records, err := r.query(ctx, host+"."+domain, kind); err == nil && len(records) > 0 {
				return records, nil
			}
		}
	}
	return r.query(ctx, host, kind)
}

// query answers from the cache, or asks. No records and no error: there are none.
func (r *Resolver) query(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	q := question{strings.ToLower(dns.Fqdn(name)), kind}
	for {
		r.mu.Lock()
		if a := r.cache[q]; a != nil && r.cfg.Now().Before(a.expires) {
			r.mu.Unlock()
			return a.records, nil
		}
		other := r.pending[q]
		if other == nil {
			mine := &lookup{done: make(chan struct{})}
			r.pending[q] = mine
			r.mu.Unlock()
			return r.ask(ctx, q, mine)
		}
		r.mu.Unlock()
		select {
		case <-other.done:
			if other.err != nil && !errors.Is(other.err, errGivenUp) {
				return nil, other.err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("transport: look up %s: %w", q.name, ctx.Err())
		}
	}
}

// errGivenUp marks a look-up that ended with its caller's patience: it says nothing about the name.
var errGivenUp = errors.New("given up")

// ask sends the question and remembers the answer, for those who wait too.
func (r *Resolver) ask(ctx context.Context, q question, mine *lookup) ([]dns.RR, error) {
	msg, err := r.exchange(ctx, q)
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(mine.done)
	delete(r.pending, q)
	if err == nil {
		a := readAnswer(msg, q, now)
		r.remember(q, a, now)
		return a.records, nil
	}
	mine.err = err
	if ctx.Err() != nil {
		mine.err = errGivenUp
	}
	old := r.cache[q]
	if old == nil || len(old.records) == 0 || now.Sub(old.good) > maxStale {
		return nil, err
	}
	// The name servers are away: what they said last serves on, and they are asked again in a while.
	mine.err = nil
	r.cache[q] = &answer{old.records, now.Add(staleRetry), old.good}
	return old.records, nil
}

// readAnswer keeps the records of the kind that was asked for, with the shortest TTL of all that led to them.
func readAnswer(msg *dns.Msg, q question, now time.Time) *answer {
	a := &answer{good: now}
	ttl := maxTTL
	for _, rr := range msg.Answer {
		h := rr.Header()
		if h.Rrtype == q.kind {
			a.records = append(a.records, rr)
		}
		if h.Rrtype == q.kind || h.Rrtype == dns.TypeCNAME {
			ttl = min(ttl, time.Duration(h.Ttl)*time.Second)
		}
	}
	if len(a.records) == 0 {
		ttl = negativeTTL
		for _, rr := range msg.Ns {
			if soa, ok := rr.(*dns.SOA); ok { // RFC 2308 §5
				ttl = min(maxNegative, time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second)
			}
		}
	}
	a.expires = now.Add(max(ttl, minTTL))
	return a
}

// remember makes room when the cache is full: first what has expired and is too old to be served, then by
// chance, as a map ranges.
func (r *Resolver) remember(q question, a *answer, now time.Time) {
	if len(r.cache) >= maxAnswers && r.cache[q] == nil {
		for k, old := range r.cache {
			if now.After(old.expires) && (len(old.records) == 0 || now.Sub(old.good) > maxStale) {
				delete(r.cache, k)
			}
		}
		for k := range r.cache {
			if len(r.cache) < maxAnswers {
				break
			}
			delete(r.cache, k)
		}
	}
	r.cache[q] = a
}

// exchange asks each name server in turn, twice. Only a server that says yes or "no such name" has answered.
func (r *Resolver) exchange(ctx context.Context, q question) (*dns.Msg, error) {
	servers := r.cfg.Servers
	if len(servers) == 0 {
		servers = r.conf.servers(r.cfg.Now())
	}
	err := errors.New("no name server is configured")
	for range 2 {
		for _, server := range servers {
			if ctx.Err() != nil {
				return nil, fmt.Errorf("transport: look up %s: %w", q.name, ctx.Err())
			}
			m := new(dns.Msg)
			m.SetQuestion(q.name, q.kind)
			m.SetEdns0(1232, false)
			reply, e := r.exchangeOnce(ctx, m, server)
			if e == nil {
				return reply, nil
			}
			err = e
		}
	}
	return nil, fmt.Errorf("transport: look up %s: %w", q.name, err)
}

func (r *Resolver) exchangeOnce(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	reply, err := r.cfg.Exchange(ctx, m, server)
	switch {
	case err != nil:
		return nil, fmt.Errorf("name server %s: %w", server, err)
	case reply == nil || reply.Id != m.Id || !slices.EqualFunc(reply.Question, m.Question, sameQuestion):
		return nil, fmt.Errorf("name server %s answers another question", server)
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("name server %s: %s", server, dns.RcodeToString[reply.Rcode])
	}
	return reply, nil
}

func sameQuestion(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}
