package cluster

import (
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hasCarrier tells whether an interface is up and something is at the other end of its cable. One that is not there has none.
func hasCarrier(name string) bool {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return false
	}
	a := link.Attrs()
	return a.Flags&net.FlagUp != 0 && (a.OperState == netlink.OperUp || a.OperState == netlink.OperUnknown)
}

// deadInterface is the first interface of a moving address that has no carrier; "" if all have.
func (e *Engine) deadInterface() string {
	for _, a := range e.cfg.Addresses {
		if !hasCarrier(a.Interface) {
			return a.Interface
		}
	}
	return ""
}

// addressOwner asks the neighbours who has an address, as RFC 5227 §2.1.1 says: with no address of its own. It is nil when nobody
// answers in time.
func addressOwner(a Address, within time.Duration) (net.HardwareAddr, error) {
	if !a.Prefix.Addr().Is4() {
		return nil, nil
	}
	return neighbour(a.Interface, a.Prefix.Addr().As4(), [4]byte{}, within)
}

// neighbour is the hardware address of a neighbour on an interface; from is ours, or zero.
func neighbour(name string, ip, from [4]byte, within time.Duration) (net.HardwareAddr, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	if len(link.HardwareAddr) != 6 {
		return nil, nil
	}
	arp := uint16(unix.ETH_P_ARP)
	arp = arp<<8 | arp>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(arp))
	if err != nil {
		return nil, hint(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp, Ifindex: link.Index}); err != nil {
		return nil, err
	}
	to := &unix.SockaddrLinklayer{Protocol: arp, Ifindex: link.Index, Halen: 6}
	copy(to.Addr[:], broadcast)
	frame := append(append([]byte(nil), broadcast...), link.HardwareAddr...)
	frame = append(frame, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	frame = append(append(frame, link.HardwareAddr...), from[:]...)
	frame = append(append(frame, 0, 0, 0, 0, 0, 0), ip[:]...)
	if err := unix.Sendto(fd, frame, 0, to); err != nil {
		return nil, err
	}
	return arpAnswer(fd, link.HardwareAddr, ip, within)
}

// arpAnswer waits for who has an address.
func arpAnswer(fd int, own net.HardwareAddr, ip [4]byte, within time.Duration) (net.HardwareAddr, error) {
	buf := make([]byte, 128)
	for end := time.Now().Add(within); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil, nil
		}
		tv := unix.NsecToTimeval(max(left, time.Millisecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return nil, err
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		}
		// Ethernet 14 bytes, then hardware, protocol, lengths, operation; sender at 22 and 28.
		if n >= 42 && [4]byte(buf[28:32]) == ip && string(buf[22:28]) != string(own) {
			return append(net.HardwareAddr(nil), buf[22:28]...), nil
		}
	}
}
