//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"
	"golang.org/x/sys/unix"
)

// leg is a browser's end of a leg, as little of one as the other side needs: an ICE check, a DTLS handshake, SRTP. It costs the load's core a
// fraction of what a PeerConnection would.
type leg struct {
	ufrag, pwd  string
	peer        [2]string // ufrag and password of the relay
	relay       netip.AddrPort
	seal, open  *srtp.Context
	certificate *tls.Certificate
}

// legCertificate is shown by all legs of a run.
func legCertificate() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &t, &t, &key.PublicKey, key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func newLeg(c *tls.Certificate) *leg {
	return &leg{ufrag: rand.Text()[:8], pwd: rand.Text() + rand.Text(), certificate: c}
}

// offer is its session description.
func (l *leg) offer() string {
	sum := sha256.Sum256(l.certificate.Certificate[0])
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n"+
		"a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\na=rtcp-mux\r\na=mid:0\r\na=msid:- mic\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\n"+
		"a=fingerprint:sha-256 %s\r\na=setup:actpass\r\n", l.ufrag, l.pwd, strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"))
}

// answered takes the relay's answer.
func (l *leg) answered(sdp string) error {
	for line := range strings.SplitSeq(sdp, "\r\n") {
		if v, ok := strings.CutPrefix(line, "a=ice-ufrag:"); ok {
			l.peer[0] = v
		}
		if v, ok := strings.CutPrefix(line, "a=ice-pwd:"); ok {
			l.peer[1] = v
		}
		if v, ok := strings.CutPrefix(line, "a=candidate:"); ok && !l.relay.IsValid() {
			f := strings.Fields(v)
			if len(f) > 6 && strings.EqualFold(f[2], "udp") && f[1] == "1" {
				var err error
				if l.relay, err = netip.ParseAddrPort(net.JoinHostPort(f[4], f[5])); err != nil {
					return err
				}
			}
		}
	}
	if l.peer[0] == "" || l.peer[1] == "" || !l.relay.IsValid() {
		return fmt.Errorf("answer without ICE: %s", sdp)
	}
	return nil
}

// check is a connectivity check that nominates.
func (l *leg) check() ([]byte, error) {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(l.peer[0]+":"+l.ufrag),
		stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{0x6e, 0, 0xff, 0xff}}, stun.RawAttribute{Type: stun.AttrUseCandidate},
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: []byte("12345678")},
		stun.NewShortTermIntegrity(l.peer[1]), stun.Fingerprint)
	if err != nil {
		return nil, err
	}
	return m.Raw, nil
}

// mutable is a socket whose writing ends before its DTLS connection does: a close_notify would end the call.
type mutable struct {
	*net.UDPConn
	muted atomic.Bool
}

func (m *mutable) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, err := m.Read(b)
		if err != nil || n > 0 && b[0] > 3 { // answers to checks are not for DTLS
			return n, m.RemoteAddr(), err
		}
	}
}

func (m *mutable) WriteTo(b []byte, _ net.Addr) (int, error) {
	if m.muted.Load() {
		return len(b), nil
	}
	return m.Write(b)
}

// connect checks and shakes hands over a socket that is connected to the relay; the descriptor stays the caller's.
func (l *leg) connect(fd int) error {
	dup, err := unix.Dup(fd)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(dup), "leg")
	c, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		return err
	}
	udp := &mutable{UDPConn: c.(*net.UDPConn)}
	defer udp.Close()
	if err := l.nominate(udp); err != nil {
		return err
	}
	d, err := dtls.ClientWithOptions(udp, udp.RemoteAddr(), dtls.WithCertificates(*l.certificate), dtls.WithInsecureSkipVerify(true),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret), dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM),
		dtls.WithFlightInterval(200*time.Millisecond))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("DTLS: %w", err)
	}
	err = l.keys(d)
	udp.muted.Store(true)
	_ = d.Close()
	return err
}

func (l *leg) nominate(udp *mutable) error {
	defer func() { _ = udp.SetReadDeadline(time.Time{}) }()
	var b [1500]byte
	for range 20 {
		check, err := l.check()
		if err != nil {
			return err
		}
		if _, err := udp.Write(check); err != nil {
			return err
		}
		if err := udp.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return err
		}
		if n, err := udp.Read(b[:]); err == nil && n > 20 && b[0] == 1 && b[1] == 1 {
			return nil
		}
	}
	return errors.New("no answer to ICE checks")
}

// keys makes the contexts (RFC 5764 §4.2): client key, server key, client salt, server salt.
func (l *leg) keys(d *dtls.Conn) error {
	state, ok := d.ConnectionState()
	if !ok {
		return errors.New("no DTLS state")
	}
	m, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 56)
	if err != nil {
		return err
	}
	if l.seal, err = srtp.CreateContext(m[:16], m[32:44], srtp.ProtectionProfileAeadAes128Gcm); err != nil {
		return err
	}
	l.open, err = srtp.CreateContext(m[16:32], m[44:56], srtp.ProtectionProfileAeadAes128Gcm)
	return err
}
