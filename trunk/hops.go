package trunk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// lookUpPatience is how long a call waits for the name servers where the last good answer is at hand.
const lookUpPatience = time.Second

// Hops finds where a call goes: the targets to try in turn, the dead ones last, and the Route that the carrier gave us
// with the registration. While no name server answers, the last good answer serves.
func (t *Trunk) Hops(ctx context.Context) (hops []transport.Hop, routes []string, err error) {
	t.mu.Lock()
	routes = t.routes
	if len(t.hops) > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookUpPatience)
		defer cancel()
	}
	t.mu.Unlock()
	if target, ok := routeTarget(routes); ok {
		if hops, err = t.rooms.Network.Resolve(ctx, target); err == nil && len(hops) > 0 {
			t.mu.Lock()
			defer t.mu.Unlock()
			if !slices.Equal(t.edges, hops) {
				t.edges = hops
				t.targets.Learn(slices.Concat(t.hops, hops))
			}
			return t.targets.Take(time.Now(), hops), routes, nil
		}
	}
	hops, err = t.lookUp(ctx)
	if err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.targets.Take(time.Now(), hops), routes, nil
}

// routeTarget is where the first route of a registration leads.
func routeTarget(routes []string) (t transport.Target, ok bool) {
	if len(routes) == 0 {
		return t, false
	}
	a, err := sip.ParseNameAddr(routes[0])
	if err != nil {
		return t, false
	}
	u, err := sip.ParseURI(a.URI)
	if err != nil || u.Scheme == "tel" {
		return t, false
	}
	name, _ := u.Params.Get("transport")
	return transport.Target{Host: u.Host, Port: u.Port, Proto: ProtoOf(name), Secure: u.Scheme == "sips"}, true
}

// ProtoOf is the transport of that name, 0 for none.
func ProtoOf(name string) transport.Proto {
	for _, p := range []transport.Proto{transport.UDP, transport.TCP, transport.TLS} {
		if strings.EqualFold(p.String(), name) {
			return p
		}
	}
	return 0
}

// lookUp resolves every proxy; what is found is remembered.
func (t *Trunk) lookUp(ctx context.Context) ([]transport.Hop, error) {
	cfg := t.cfg.Load()
	var hops []transport.Hop
	var errs []error
	for _, p := range cfg.Proxies {
		found, err := t.rooms.Network.Resolve(ctx, p)
		if err != nil {
			errs = append(errs, err)
		}
		hops = append(hops, found...)
	}
	if len(hops) == 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.hops) > 0 {
			return t.hops, nil
		}
		return nil, fmt.Errorf("trunk %s: %w", t.name, errors.Join(errs...))
	}
	t.found(cfg, hops)
	return hops, nil
}

// Connect finds a flow to a hop for a request of size bytes. A hop that takes no connection is remembered as dead.
func (t *Trunk) Connect(ctx context.Context, h transport.Hop, size int) (transport.Flow, error) {
	f, err := t.rooms.Network.Connect(ctx, h, size)
	if err != nil && !errors.Is(err, transport.ErrNoRoute) && ctx.Err() == nil {
		t.Failed(time.Now(), h, 0, "no connection")
	}
	return f, err
}
