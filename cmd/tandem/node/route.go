package node

import (
	"context"
	"errors"
	"fmt"

	"tandem/sip"
	"tandem/sip/transport"
)

// router finds a way to a URI that nobody registered over.
type router struct{ n *Node }

// Reach tries the hops that RFC 3263 gives for a URI, in order, until one takes a connection. size is the length of
// the request in bytes: what is too large for the path's UDP goes over TCP (RFC 3261 §18.1.1).
func (r router) Reach(ctx context.Context, uri sip.URI, size int) (transport.Flow, error) {
	if f, ok := paths(r).Toward(uri); ok { // another shard: by UDP whatever the size, so that nothing has to be connected anew when it moves
		return f, nil
	}
	hops, err := r.n.resolver.Resolve(ctx, uri)
	if err != nil {
		return transport.Flow{}, fmt.Errorf("resolve %s: %w", uri.Host, err)
	}
	var errs []error
	for _, hop := range hops {
		f, err := r.n.layer.ConnectFor(ctx, hop, size)
		if err == nil {
			return f, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", hop, err))
	}
	return transport.Flow{}, errors.Join(errs...)
}
