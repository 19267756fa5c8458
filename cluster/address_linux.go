package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// putAddress adds an address, or lengthens its life to so many seconds.
func putAddress(a Address, life int) error {
	link, err := netlink.LinkByName(a.Interface)
	if err != nil {
		return fmt.Errorf("interface: %w", err)
	}
	x := kernelAddress(a)
	x.ValidLft, x.PreferedLft = life, life
	if a.Prefix.Addr().Is6() {
		x.Flags = unix.IFA_F_NODAD // nobody else has it: the role says so, and the second that asking takes is not there
	}
	return hint(netlink.AddrReplace(link, x))
}

func removeAddress(a Address) error {
	link, err := netlink.LinkByName(a.Interface)
	if err != nil {
		return fmt.Errorf("interface: %w", err)
	}
	err = netlink.AddrDel(link, kernelAddress(a))
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return hint(err)
	}
	return forgetUnsent(link, a.Prefix.Addr().Is6())
}

// forgetUnsent drops what the kernel still holds for neighbours that have not answered: where a cable was pulled, it would leave with the
// address of the other node as soon as the cable is back, up to 3 s later (net/ipv4/neigh: three questions, one a second).
func forgetUnsent(link netlink.Link, v6 bool) error {
	family := netlink.FAMILY_V4
	if v6 {
		family = netlink.FAMILY_V6
	}
	all, err := netlink.NeighList(link.Attrs().Index, family)
	if err != nil {
		return fmt.Errorf("neighbours: %w", err)
	}
	for _, n := range all {
		if n.State&netlink.NUD_INCOMPLETE == 0 {
			continue
		}
		if err := netlink.NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("neighbour %v: %w", n.IP, hint(err))
		}
	}
	return nil
}

func hint(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: moving an address needs CAP_NET_ADMIN and CAP_NET_RAW", err)
	}
	return err
}

func kernelAddress(a Address) *netlink.Addr {
	addr := a.Prefix.Addr()
	return &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(a.Prefix.Bits(), addr.BitLen())}}
}

// announceAddress sends gratuitous ARP, as request and as reply (RFC 5227 §3; some neighbours heed one and some the other),
// or an unsolicited neighbour advertisement (RFC 4861 §7.2.6).
func announceAddress(a Address) error {
	link, err := net.InterfaceByName(a.Interface)
	if err != nil {
		return err
	}
	if len(link.HardwareAddr) != 6 {
		return nil // no neighbours that speak ARP
	}
	frames := [][]byte{arpFrame(link.HardwareAddr, a.Prefix.Addr().AsSlice(), 1), arpFrame(link.HardwareAddr, a.Prefix.Addr().AsSlice(), 2)}
	protocol := uint16(unix.ETH_P_ARP)
	if a.Prefix.Addr().Is6() {
		frames, protocol = [][]byte{advertisement(link.HardwareAddr, a.Prefix.Addr().As16())}, unix.ETH_P_IPV6
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return hint(err)
	}
	defer func() { _ = unix.Close(fd) }()
	to := &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: link.Index, Halen: 6}
	for _, f := range frames {
		copy(to.Addr[:], f[:6])
		if err := unix.Sendto(fd, f, 0, to); err != nil {
			return err
		}
	}
	return nil
}

var broadcast = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// arpFrame is an Ethernet frame with a gratuitous ARP packet (RFC 826): operation 1 asks, 2 answers.
func arpFrame(mac, ip []byte, operation byte) []byte {
	f := append(append([]byte(nil), broadcast...), mac...)
	f = append(f, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation)
	f = append(append(f, mac...), ip...)
	if operation == 1 {
		f = append(f, 0, 0, 0, 0, 0, 0)
	} else {
		f = append(f, broadcast...)
	}
	return append(f, ip...)
}

// advertisement is an Ethernet frame with an unsolicited neighbour advertisement to all nodes: override, not solicited.
func advertisement(mac []byte, ip [16]byte) []byte {
	all := [16]byte{0: 0xff, 1: 0x02, 15: 1}
	body := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, ip[:]...)
	body = append(append(body, 2, 1), mac...)
	binary.BigEndian.PutUint16(body[2:], checksum(ip, all, body))
	f := append([]byte{0x33, 0x33, 0, 0, 0, 1}, mac...)
	f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(body)), 58, 255)
	f = append(append(f, ip[:]...), all[:]...)
	return append(f, body...)
}

// checksum is that of ICMPv6 with the pseudo header of RFC 8200 §8.1.
func checksum(src, dst [16]byte, body []byte) uint16 {
	var sum uint32
	add := func(b []byte) {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	add(src[:])
	add(dst[:])
	add([]byte{0, 0, 0, byte(len(body)), 0, 0, 0, 58})
	add(body)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
