package turn

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeBind lets a socket be bound to an address that is not here yet (ip(7), IP_FREEBIND). Where it cannot, bind says so.
func freeBind(network, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		if strings.HasSuffix(network, "6") {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
			return
		}
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	})
}
