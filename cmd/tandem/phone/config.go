package phone

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Config says who a phone is and how it reaches its server. The zero value of every field but Server is usable.
type Config struct {
	// Server is "host", "host:port", or a SIP URI, of which the transport parameter counts when Transport is empty.
	// Requests outside a dialog go there. Empty: a phone without a switch, which calls the address in the target.
	Server string
	// Transport is udp (the default), tcp, tls, ws or wss.
	Transport string

	User     string // user part of the address of record; "phone" when empty
	Password string
	Bearer   string // token that is shown in place of a password (RFC 8898)
	AuthUser string // user name for digest, when it differs from User
	Domain   string // host part of the address of record; Server's host when empty
	Display  string

	// Local is the IP or IP:port to bind. Empty: the address from which Server is reached, and any port.
	Local string

	CAFile      string           // PEM file of the roots to trust instead of the system's
	Insecure    bool             // accept any certificate
	ServerName  string           // name expected in the certificate, when it is not Server's host
	Certificate *tls.Certificate // with transport tls: lets others connect to this phone
	Path        string           // WebSocket path, "/" when empty
	Origin      string           // WebSocket Origin header, none when empty

	Codecs []string // PCMA and PCMU in order of preference; that is also the default. OPUS too with WebRTC
	SRTP   SRTP     // off when empty

	// WebRTC makes the phone a browser (RFC 8827): ICE, DTLS-SRTP, rtcp-mux and BUNDLE, on pion's PeerConnection.
	// Transport is ws then, unless it says wss.
	WebRTC bool
	// ICETCP leaves UDP out of its candidates (RFC 6544).
	ICETCP bool

	// Outbound adds +sip.instance and reg-id to the registered contact (RFC 5626).
	Outbound bool
	// Instance is the UUID for Outbound; one is made when empty.
	Instance string
	// KeepAlive is the time between two CRLF pings to the server. Default 30 s, negative for none.
	KeepAlive time.Duration

	// Answer is what happens to incoming calls. The zero value lets them ring until somebody uses the Call.
	Answer Answer

	Log *slog.Logger // none when nil
}

// settings are a checked Config.
type settings struct {
	Config
	network   string // lower case
	host      string // of the server; empty without one
	port      int
	local     netip.AddrPort
	codecs    []uint8
	tls       *tls.Config
	agentName string
}

var defaultPorts = map[string]int{"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}

func (c Config) check() (settings, error) {
	s := settings{Config: c, agentName: "tandem-phone"}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if err := s.server(); err != nil {
		return s, err
	}
	if s.User == "" {
		s.User = "phone"
	}
	if s.AuthUser == "" {
		s.AuthUser = s.User
	}
	if err := s.bind(); err != nil {
		return s, err
	}
	if s.Domain == "" {
		if s.Domain = s.host; s.Domain == "" {
			s.Domain = s.local.Addr().String()
		}
	}
	if strings.Contains(s.Domain, ":") && !strings.HasPrefix(s.Domain, "[") { // an IPv6reference in a URI (RFC 3261 §25.1)
		s.Domain = "[" + s.Domain + "]"
	}
	for name, value := range map[string]string{"user": s.User, "domain": s.Domain, "display name": s.Display, "password": s.Password} {
		if strings.ContainsAny(value, "\r\n\x00") {
			return s, fmt.Errorf("the %s holds a line break", name)
		}
	}
	if s.KeepAlive == 0 {
		s.KeepAlive = 30 * time.Second
	}
	if s.Path == "" {
		s.Path = "/"
	}
	if s.Outbound && s.Instance == "" {
		s.Instance = newUUID()
	}
	return s, errors.Join(s.media(), s.trust())
}

func (s *settings) server() error {
	network, rest := strings.ToLower(s.Transport), s.Server
	if uri, err := parseURI(rest); err == nil {
		if network == "" {
			network = strings.ToLower(uri.param("transport"))
		}
		if network == "" && uri.scheme == "sips" {
			network = "tls"
		}
		rest = uri.hostport
	}
	if network == "" {
		network = "udp"
	}
	if s.WebRTC && s.Transport == "" && network == "udp" && rest != "" {
		network = "ws"
	}
	if defaultPorts[network] == 0 {
		return fmt.Errorf("transport %q: want udp, tcp, tls, ws or wss", network)
	}
	s.network = network
	if rest == "" {
		if network == "ws" || network == "wss" {
			return fmt.Errorf("transport %s needs a server", network)
		}
		return nil
	}
	var err error
	if s.host, s.port, err = splitHostPort(rest, defaultPorts[network]); err != nil {
		return fmt.Errorf("server %q: %w", s.Server, err)
	}
	return nil
}

func (s *settings) bind() error {
	if s.Local != "" {
		if ip, err := netip.ParseAddr(s.Local); err == nil {
			s.local = netip.AddrPortFrom(ip, 0)
			return nil
		}
		local, err := netip.ParseAddrPort(s.Local)
		if err != nil {
			return fmt.Errorf("local address %q is no IP and no IP:port", s.Local)
		}
		s.local = local
		return nil
	}
	towards := "192.0.2.1:9" // documentation address: only the route is looked up
	if s.host != "" {
		towards = hostPort(s.host, s.port)
	}
	ip, err := routeIP(towards)
	if err != nil && s.host != "" {
		return fmt.Errorf("no way to server %s: %w", towards, err)
	} else if err != nil {
		ip = netip.MustParseAddr("127.0.0.1")
	}
	s.local = netip.AddrPortFrom(ip, 0)
	return nil
}

func (s *settings) media() error {
	names := s.Config.Codecs
	if len(names) == 0 {
		names = []string{"PCMA", "PCMU"}
	}
	for _, name := range names {
		payload, ok := codecPayload(strings.ToUpper(name))
		if !ok || payload == payloadOpus && !s.WebRTC {
			return fmt.Errorf("codec %q: want PCMA or PCMU, or OPUS with WebRTC", name)
		}
		s.codecs = append(s.codecs, payload)
	}
	if s.WebRTC && s.SRTP != "" && s.SRTP != SRTPOff {
		return errors.New("SRTP by SDES is not for WebRTC, which has DTLS-SRTP (RFC 8827 §6.5)")
	}
	if s.ICETCP && !s.WebRTC {
		return errors.New("ICE over TCP needs WebRTC")
	}
	switch s.SRTP {
	case "":
		s.SRTP = SRTPOff
	case SRTPOff, SRTPOptional, SRTPRequired:
	default:
		return fmt.Errorf("srtp %q: want off, optional or required", s.SRTP)
	}
	return nil
}

func (s *settings) trust() error {
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.Insecure, ServerName: s.ServerName}
	if s.CAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return fmt.Errorf("CA file: %w", err)
	}
	s.tls.RootCAs = x509.NewCertPool()
	if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("CA file %s holds no certificate", s.CAFile)
	}
	return nil
}

// splitHostPort takes "host", "host:port", "::1", "[::1]" and "[::1]:port".
func splitHostPort(s string, port int) (string, int, error) {
	if host, text, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || host == "" || n == 0 {
			return "", 0, fmt.Errorf("%q is no host:port", s)
		}
		return host, int(n), nil
	}
	host := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return "", 0, fmt.Errorf("%q is no host:port", s)
		}
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n/@") {
		return "", 0, fmt.Errorf("%q is no host", s)
	}
	return host, port, nil
}

// newUUID makes a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
