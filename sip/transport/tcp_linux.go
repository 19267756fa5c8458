package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// halfClosed is how long the kernel keeps a connection of a dead process that waits for its peer's end (tcp(7), TCP_LINGER2; 60 s by
// default). A node that takes its address back must not find there what a client means for a connection with the other node.
const halfClosed = 5 * time.Second

// userTimeout ends a connection whose peer acknowledges nothing that we sent (tcp(7), TCP_USER_TIMEOUT).
const userTimeout = 30 * time.Second

func tuneTCP(nc net.Conn) {
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return // closed already; reading will say so
	}
	_ = control(raw, func(fd int) error { // without it a dead peer is noticed later, by keepalives
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_LINGER2, int(halfClosed/time.Second))
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond))
	})
}

// spareDescriptors is how many file descriptors connections may use: half of what the process may open. The
// rest belongs to calls (two or four each), UDP and files.
func spareDescriptors() int {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil || lim.Cur > 1<<30 {
		return 1 << 30
	}
	return int(lim.Cur / 2)
}
