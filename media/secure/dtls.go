package secure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pion/dtls/v3"
)

// ErrHandshake wraps why a DTLS handshake came to nothing.
var ErrHandshake = errors.New("secure: DTLS handshake")

// flightEvery is how long a flight waits for its answer before it is sent again, doubled each time (RFC 6347 §4.2.4.1 says a second, which is
// heard as silence after the answer; browsers begin with 50 to 400 ms themselves).
const flightEvery = 300 * time.Millisecond

// dtlsMTU keeps a handshake datagram below what any path takes, with IPv6 and a TURN header around it.
const dtlsMTU = 1150

// A Role is a side of a DTLS handshake (RFC 8842 §5).
type Role uint8

// The roles.
const (
	Passive Role = iota // DTLS server: waits for the ClientHello
	Active              // DTLS client
)

// String is the a=setup value.
func (r Role) String() string { return [...]string{"passive", "active"}[r&1] }

// DTLSConfig is what a handshake needs.
type DTLSConfig struct {
	Role         Role
	Certificate  tls.Certificate
	Fingerprints []Fingerprint // of the peer's certificate, from its SDP; without one every certificate is refused
}

// profiles are the suites of DTLS-SRTP in our order (RFC 5764 §4.1.2, RFC 7714 §14.2): GCM costs a third.
var profiles = map[dtls.SRTPProtectionProfile]Suite{
	dtls.SRTP_AEAD_AES_128_GCM:       AESGCM128,
	dtls.SRTP_AEAD_AES_256_GCM:       AESGCM256,
	dtls.SRTP_AES128_CM_HMAC_SHA1_80: AESCM128SHA1Tag80,
}

// Handshake runs one DTLS handshake over conn, which it closes, and exports the keys for SRTP (RFC 5764 §4.2). It returns when ctx is done at the
// latest; nothing of it remains: no goroutine, no state, and no close_notify is sent. The peer's certificate has been held
// against its fingerprint when err is nil.
func Handshake(ctx context.Context, conn net.PacketConn, c DTLSConfig) (local, remote Key, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrHandshake, err)
		}
	}()
	d, err := c.conn(conn)
	if err != nil {
		_ = conn.Close()
		return local, remote, err
	}
	err = d.HandshakeContext(ctx)
	if err == nil {
		local, remote, err = export(d, c.Role)
	}
	_ = conn.Close() // first, so that the farewell of d goes nowhere
	_ = d.Close()
	return local, remote, err
}

func (c *DTLSConfig) conn(conn net.PacketConn) (*dtls.Conn, error) {
	verify := func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 {
			return fmt.Errorf("%w: no certificate", ErrFingerprint)
		}
		return matches(raw[0], c.Fingerprints)
	}
	shared := []dtls.Option{
		dtls.WithCertificates(c.Certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true), // certificates are self-signed: the fingerprint is all that counts
		dtls.WithVerifyPeerCertificate(verify),
		dtls.WithFlightInterval(flightEvery),
		dtls.WithMTU(dtlsMTU),
	}
	if c.Role == Active {
		opts := make([]dtls.ClientOption, 0, len(shared))
		for _, o := range shared {
			opts = append(opts, o)
		}
		return dtls.ClientWithOptions(conn, conn.LocalAddr(), opts...)
	}
	opts := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, o := range shared {
		opts = append(opts, o)
	}
	return dtls.ServerWithOptions(conn, conn.LocalAddr(), opts...)
}

// export derives the keys of both directions: client key, server key, client salt, server salt.
func export(d *dtls.Conn, role Role) (local, remote Key, err error) {
	profile, ok := d.SelectedSRTPProtectionProfile()
	suite := profiles[profile]
	if !ok || suite == 0 {
		return local, remote, errors.New("no SRTP profile agreed on")
	}
	state, ok := d.ConnectionState()
	if !ok {
		return local, remote, errors.New("no connection state")
	}
	f := suite.facts()
	m, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(f.key+f.salt))
	if err != nil {
		return local, remote, err
	}
	cut := func(n int) []byte {
		part := m[:n]
		m = m[n:]
		return part
	}
	clientKey, serverKey, clientSalt, serverSalt := cut(f.key), cut(f.key), cut(f.salt), cut(f.salt)
	client, server := keyOf(suite, clientKey, clientSalt), keyOf(suite, serverKey, serverSalt)
	if role == Active {
		return client, server, nil
	}
	return server, client, nil
}

func keyOf(s Suite, key, salt []byte) Key {
	k := Key{Tag: 1, Suite: s}
	copy(k.master[:], key)
	copy(k.master[len(key):], salt)
	return k
}
