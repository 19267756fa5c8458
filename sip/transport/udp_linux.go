package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxDatagram is the payload of the largest UDP packet over IPv4; over IPv6 it is the message limit.
const maxDatagram = 65507

// openUDP binds one socket of a listener. The first is bound without SO_REUSEPORT and shares only
// afterwards: otherwise a second switch on the same address would start and silently take half the packets.
func openUDP(network string, at netip.AddrPort, first, away bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(family, _ string, c syscall.RawConn) error { // family: udp4 or udp6
		return control(c, func(fd int) error {
			if !first {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
					return err
				}
			}
			if away {
				freeBind(fd, family == "udp6")
			}
			return prepareUDP(fd, family == "udp6", at.Addr().IsUnspecified())
		})
	}}
	pc, err := lc.ListenPacket(context.Background(), "udp"+network, listenText(network, at))
	if err != nil {
		return nil, err
	}
	c := pc.(*net.UDPConn)
	raw, err := c.SyscallConn()
	if err == nil {
		err = control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// freeBind lets a socket be bound to an address that is not here yet (ip(7), IP_FREEBIND). Where it cannot, bind says so.
func freeBind(fd int, v6 bool) {
	if v6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
}

// isHere tells whether this machine has an address.
func isHere(a netip.Addr) bool {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return !errors.Is(err, unix.EADDRNOTAVAIL)
	}
	_ = c.Close()
	return true
}

// listenTCP opens a listening socket.
func listenTCP(network string, at netip.AddrPort, away bool) (net.Listener, error) {
	lc := net.ListenConfig{}
	if away {
		lc.Control = func(family, _ string, c syscall.RawConn) error {
			return control(c, func(fd int) error {
				freeBind(fd, family == "tcp6")
				return nil
			})
		}
	}
	return lc.Listen(context.Background(), "tcp"+network, listenText(network, at))
}

// prepareUDP asks for large buffers, beyond the system's limit where we may, and for the address that each
// packet was sent to.
func prepareUDP(fd int, v6, wildcard bool) error {
	for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[0], udpBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[1], udpBuffer) // capped by net.core.*mem_max
		}
	}
	if !wildcard {
		return nil
	}
	if !v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
}

// isIPv6 tells whether a socket is of the family AF_INET6, which speaks to both.
func isIPv6(c syscall.RawConn) bool {
	domain := 0
	_ = control(c, func(fd int) (err error) { // a socket that was just bound answers
		domain, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		return err
	})
	return domain == unix.AF_INET6
}

func control(c syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// listenText is the address for package net: without a host where both families are meant.
func listenText(network string, at netip.AddrPort) string {
	if network == "" {
		return ":" + strconv.Itoa(int(at.Port()))
	}
	return at.String()
}

// packetAddr reads the address that a packet was sent to from IP_PKTINFO or IPV6_PKTINFO (ip(7), RFC 3542
// §6.2); invalid where the answer cannot come from there, as with multicast.
func packetAddr(oob []byte) (a netip.Addr) {
	const header = unix.SizeofCmsghdr
	for len(oob) >= header {
		n := int(binary.NativeEndian.Uint64(oob))
		level, kind := binary.NativeEndian.Uint32(oob[8:]), binary.NativeEndian.Uint32(oob[12:])
		if n < header || n > len(oob) {
			return a
		}
		data := oob[header:n]
		switch {
		case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			a = netip.AddrFrom4([4]byte(data[4:8])) // spec_dst: a broadcast is answered from our own address
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a = netip.AddrFrom16([16]byte(data[:16])).Unmap()
		}
		oob = oob[min(len(oob), unix.CmsgSpace(n-header)):]
	}
	if a.IsMulticast() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// datagram is the room that one send needs; it is pooled because what the system call sees escapes.
type datagram struct {
	oob     []byte
	err     error
	write   func(fd uintptr) bool
	header  unix.Msghdr
	vector  unix.Iovec
	v4      unix.RawSockaddrInet4
	v6      unix.RawSockaddrInet6
	control [64]byte
}

func newDatagram() *datagram {
	d := new(datagram)
	d.header.Iov = &d.vector
	d.header.SetIovlen(1)
	d.write = func(fd uintptr) bool {
		for {
			// RawSyscall: it never waits, and the scheduler need not hear of it.
			_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&d.header)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if errno == unix.EINTR {
				continue
			}
			if d.err = nil; errno != 0 {
				d.err = errno
			}
			return true // never waits for room
		}
	}
	return d
}

// send writes one packet, from source where that is valid.
func (d *datagram) send(c syscall.RawConn, v6 bool, source netip.Addr, remote netip.AddrPort, raw []byte) error {
	addr := remote.Addr()
	d.oob, d.header.Control = nil, nil
	if v6 {
		d.v6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: bigEndian(remote.Port()), Addr: addr.As16(), Scope_id: zoneID(addr.Zone())}
		d.header.Name, d.header.Namelen = (*byte)(unsafe.Pointer(&d.v6)), unix.SizeofSockaddrInet6
	} else {
		if addr = addr.Unmap(); !addr.Is4() {
			return ErrNoRoute
		}
		d.v4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: bigEndian(remote.Port()), Addr: addr.As4()}
		d.header.Name, d.header.Namelen = (*byte)(unsafe.Pointer(&d.v4)), unix.SizeofSockaddrInet4
	}
	if source.IsValid() {
		d.from(v6, source)
		d.header.Control = &d.oob[0]
	}
	d.header.SetControllen(len(d.oob))
	d.vector.Base = unsafe.SliceData(raw)
	d.vector.SetLen(len(raw))
	err := c.Write(d.write)
	d.vector.Base = nil
	if err != nil {
		return err
	}
	return d.err
}

// bigEndian is a port as the kernel reads it.
func bigEndian(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// from asks the kernel for the source address of this one packet.
func (d *datagram) from(v6 bool, source netip.Addr) {
	level, kind, size := unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo
	if v6 {
		level, kind, size = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo
	}
	d.oob = d.control[:unix.CmsgSpace(size)]
	clear(d.oob)
	binary.NativeEndian.PutUint64(d.oob, uint64(unix.CmsgLen(size)))
	binary.NativeEndian.PutUint32(d.oob[8:], uint32(level))
	binary.NativeEndian.PutUint32(d.oob[12:], uint32(kind))
	data := d.oob[unix.SizeofCmsghdr:]
	if v6 {
		a := source.As16()
		copy(data, a[:])
		binary.NativeEndian.PutUint32(data[16:], zoneID(source.Zone()))
		return
	}
	a := source.Unmap().As4()
	copy(data[4:], a[:])
}

// zoneID is the number of a link-local zone.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	return 0
}

// sendError gives the socket's error a name of ours where there is one.
func sendError(err error) error {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
		return ErrQueueFull
	case errors.Is(err, unix.EMSGSIZE):
		return ErrTooLarge
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w: %w", ErrNoRoute, err)
	}
	return fmt.Errorf("transport: send: %w", err)
}
