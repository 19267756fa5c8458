package transport

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// routedAddr is the address of ours that the system would send from; invalid when there is no route. Nothing
// is sent: connecting a UDP socket asks the routing table only.
func routedAddr(remote netip.AddrPort) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// pathMTU is what the system knows of the way from local to remote, in octets of IP packet.
func pathMTU(local netip.Addr, remote netip.AddrPort) int {
	var from *net.UDPAddr
	if local.IsValid() && !local.IsUnspecified() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	c, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return unknownMTU
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return unknownMTU
	}
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if remote.Addr().Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	mtu := 0
	err = control(raw, func(fd int) (err error) {
		mtu, err = unix.GetsockoptInt(fd, level, option)
		return err
	})
	if err != nil || mtu <= 0 {
		return unknownMTU
	}
	return min(mtu, maxDatagram)
}
