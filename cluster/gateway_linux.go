package cluster

import (
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// gatewayProbe asks the gateway of the moving addresses' interface whether it is there. Who has none there is not asked.
type gatewayProbe struct {
	e       *Engine
	missed  int
	looked  time.Time
	silence string
}

const (
	gatewayEvery  = 2 * time.Second
	gatewayWithin = 300 * time.Millisecond
	gatewayMisses = 3 // in a row
)

// silent is a gateway that has not answered for a while; "" if there is none. It is called from one goroutine.
func (g *gatewayProbe) silent() string {
	if time.Since(g.looked) < gatewayEvery {
		return g.silence
	}
	g.looked, g.silence = time.Now(), ""
	for _, a := range g.e.cfg.Addresses {
		link, err := netlink.LinkByName(a.Interface)
		if err != nil || !a.Prefix.Addr().Is4() {
			continue
		}
		gateway, own, ok := gatewayOf(link)
		if !ok {
			continue
		}
		if mac, err := neighbour(a.Interface, gateway.As4(), own.As4(), gatewayWithin); err == nil && mac == nil {
			if g.missed++; g.missed >= gatewayMisses {
				g.silence = gateway.String()
			}
			return g.silence
		}
	}
	g.missed = 0
	return ""
}

// gatewayOf is the default gateway through an interface, and our own address there.
func gatewayOf(link netlink.Link) (gateway, own netip.Addr, ok bool) {
	routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
	if err != nil {
		return gateway, own, false
	}
	for _, r := range routes {
		if r.Gw != nil && (r.Dst == nil || r.Dst.IP.IsUnspecified()) {
			gateway, ok = netip.AddrFromSlice(r.Gw.To4())
		}
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil || len(addresses) == 0 || !ok {
		return gateway, own, false
	}
	own, ok = netip.AddrFromSlice(addresses[0].IP.To4())
	return gateway, own, ok
}
