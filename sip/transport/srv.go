package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// errNoService is a domain that says by an SRV target of "." that it has none (RFC 2782).
var errNoService = errors.New("transport: service is not offered")

// services are the NAPTR services of RFC 3263 §4.1.
var services = map[string]Proto{"SIP+D2U": UDP, "SIP+D2T": TCP, "SIPS+D2T": TLS}

// srvName is where a domain lists its servers for a transport; empty where there is no such place.
func srvName(p Proto, domain string) string {
	switch p {
	case UDP:
		return "_sip._udp." + domain
	case TCP:
		return "_sip._tcp." + domain
	case TLS:
		return "_sips._tcp." + domain
	}
	return ""
}

// byNAPTR asks which transports the domain wants (RFC 3263 §4.1). Only records of the lowest order that has
// one for us count; their preference is the order of failover.
func (r *Resolver) byNAPTR(ctx context.Context, t Target) ([]Hop, error) {
	records, err := r.query(ctx, t.Host, dns.TypeNAPTR)
	if err != nil {
		return nil, err
	}
	var fit []*dns.NAPTR
	for _, rr := range records {
		n, ok := rr.(*dns.NAPTR)
		if !ok || !strings.EqualFold(n.Flags, "s") || n.Regexp != "" {
			continue
		}
		if p := services[strings.ToUpper(n.Service)]; p != 0 && r.speaks(p) && (!t.Secure || p == TLS) {
			fit = append(fit, n)
		}
	}
	slices.SortStableFunc(fit, func(a, b *dns.NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	var hops []Hop
	for _, n := range fit {
		if n.Order != fit[0].Order || len(hops) >= maxHops {
			break
		}
		more, srvErr := r.bySRV(ctx, t, services[strings.ToUpper(n.Service)], n.Replacement)
		hops = append(hops, more...)
		err = srvErr
	}
	return hops, err
}

// byAnySRV asks for each transport that we speak where the domain has no NAPTR (RFC 3263 §4.1); the first that
// is there counts.
func (r *Resolver) byAnySRV(ctx context.Context, t Target) ([]Hop, error) {
	var refused error
	for _, p := range r.cfg.Transports {
		name := srvName(p, t.Host)
		if name == "" || t.Secure && p != TLS {
			continue
		}
		hops, err := r.bySRV(ctx, t, p, name)
		if len(hops) > 0 {
			return hops, nil
		}
		if errors.Is(err, errNoService) {
			refused = err
		}
	}
	return nil, refused
}

// bySRV lists the servers under one SRV name; nothing when there is none (RFC 3263 §4.2).
func (r *Resolver) bySRV(ctx context.Context, t Target, p Proto, name string) ([]Hop, error) {
	if name == "" {
		return nil, nil
	}
	records, err := r.query(ctx, name, dns.TypeSRV)
	if err != nil {
		return nil, err
	}
	var list []*dns.SRV
	for _, rr := range records {
		if s, ok := rr.(*dns.SRV); ok {
			list = append(list, s)
		}
	}
	if len(list) == 1 && list[0].Target == "." {
		return nil, errNoService
	}
	var hops []Hop
	unreachable := errNoService
	for _, s := range r.orderSRV(list) {
		addrs, err := r.addresses(ctx, strings.ToLower(strings.TrimSuffix(s.Target, ".")))
		if err != nil {
			unreachable = fmt.Errorf("%w: server %s: %w", errNoService, s.Target, err)
			continue // the next one may have an address
		}
		for _, a := range addrs {
			// The peer has to prove the domain that was asked for: the DNS is not to be trusted with it.
			hops = append(hops, Hop{Proto: p, Addr: netip.AddrPortFrom(a, s.Port), ServerName: t.Host})
		}
		if len(hops) >= maxHops {
			break
		}
	}
	if len(list) > 0 && len(hops) == 0 {
		return nil, unreachable
	}
	return hops, nil
}

// orderSRV sorts by priority, and by chance in proportion to weight within one (RFC 2782).
func (r *Resolver) orderSRV(list []*dns.SRV) []*dns.SRV {
	list = slices.DeleteFunc(slices.Clone(list), func(s *dns.SRV) bool { return s.Target == "." || s.Port == 0 })
	// Weight 0 comes first within a priority, so that it is drawn only when the draw is 0.
	slices.SortStableFunc(list, func(a, b *dns.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(min(a.Weight, 1), min(b.Weight, 1)))
	})
	for at := range list {
		end, sum := at, 0
		for end < len(list) && list[end].Priority == list[at].Priority {
			sum += int(list[end].Weight)
			end++
		}
		draw := r.cfg.Rand(sum + 1)
		for i := at; i < end; i++ {
			if draw -= int(list[i].Weight); draw <= 0 {
				s := list[i]
				copy(list[at+1:i+1], list[at:i])
				list[at] = s
				break
			}
		}
	}
	return list
}
