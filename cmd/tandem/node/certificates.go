package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"time"

	"tandem/certificate"
	"tandem/cluster"
	"tandem/configs"
)

// newCertificates gets ready what listeners show that have no file of somebody else's: before they are bound.
func (n *Node) newCertificates() error {
	cfg, log := n.config.Load(), n.opts.Log.With("room", "certificate")
	n.signed = n.selfSigned(cfg, n.ownNames, log)
	if _, err := n.signed.Ensure(time.Now()); err != nil {
		return err
	}
	if cfg.ACME == nil || followsCertificates(cfg) {
		return nil
	}
	acme := *cfg.ACME
	if paired(cfg) {
		acme.Told = n.keepFile
	}
	var err error
	n.acme, err = certificate.NewACME(acme, filepath.Join(cfg.Node.CertificateDir(), "acme"), log)
	return err
}

// followsCertificates tells whether this is a shard that shows what another one obtains: of several on one machine one alone can
// answer the authority.
func followsCertificates(cfg *configs.Config) bool {
	return cfg.Cluster.Shard != "" && cfg.Cluster.Shard != cfg.Cluster.Shards[0].Name
}

// issued is what listeners show whose certificate an authority signs; nil: there are none.
func (n *Node) issued() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	switch d := n.opts.Directory; {
	case n.acme != nil:
		return n.acme.ForHandshake
	case d != nil && d.certificates != nil:
		return d.certificates.ForHandshake
	}
	return nil
}

// keyACME is followed by the name of a file of the account and the certificates that an authority has signed. They are kept for the
// other node of a pair, which could not get any while it stands by.
const keyACME = "acme/"

func (n *Node) keepFile(name string, value []byte) {
	n.state.Put(cluster.Write{Bucket: bucketState, Key: keyACME + name, Value: value, Delete: value == nil, Version: stateForm})
}

// rememberFile takes such a file. A single node has its own, and nothing newer.
func (n *Node) rememberFile(name string, value []byte) error {
	if n.acme == nil || !paired(n.config.Load()) {
		return nil
	}
	return n.acme.Remember(context.Background(), name, value)
}

// serveACME has certificates signed and renewed while this node of a pair serves: the authority comes to the address.
func (n *Node) serveACME(ctx context.Context) error {
	if n.acme == nil || !paired(n.config.Load()) {
		return nil
	}
	if err := n.acme.Tell(ctx); err != nil {
		n.log.Error("certificates are on this node alone", "err", err)
	}
	return n.acme.Run(ctx)
}

// selfSigned is the certificate that this machine signs itself. The nodes of a pair have one key for it.
func (n *Node) selfSigned(cfg *configs.Config, names func() []string, log *slog.Logger) *certificate.SelfSigned {
	s := certificate.NewSelfSigned(cfg.Node.CertificateDir(), names, log)
	if paired(cfg) {
		s.Shared = n.state.PrivateKey("self-signed")
	}
	return s
}

// ownNames are what the self-signed certificate holds; none: no listener shows it.
func (n *Node) ownNames() []string { return ownNames(n.config.Load()) }

func ownNames(cfg *configs.Config) []string {
	if !cfg.SelfSigned {
		return nil
	}
	names := append(cfg.Node.Domains[:len(cfg.Node.Domains):len(cfg.Node.Domains)], cfg.Node.PublicAddress)
	for _, l := range cfg.Transport.Listen {
		for _, at := range []string{l.Address, l.Advertise} {
			host, _, err := net.SplitHostPort(at)
			if err != nil {
				host = at // an advertised host may stand without port
			}
			if ip, err := netip.ParseAddr(host); err != nil || !ip.IsUnspecified() {
				names = append(names, host)
			}
		}
	}
	return certificate.LocalNames(names...)
}

// signFor writes the self-signed certificate that a new configuration needs, before its listeners are bound.
func (n *Node) signFor(cfg *configs.Config) error {
	fresh := n.selfSigned(cfg, func() []string { return ownNames(cfg) }, n.log)
	_, err := fresh.Ensure(time.Now())
	return err
}

// keepCertificates renews them until ctx ends.
func (n *Node) keepCertificates(ctx context.Context) error {
	authority := make(chan error, 1)
	go func() {
		if n.acme == nil || paired(n.config.Load()) {
			authority <- nil
			return
		}
		authority <- n.acme.Run(ctx)
	}()
	return errors.Join(n.signed.Run(ctx), <-authority)
}

// authorityChanged tells whether a reload would need another one.
func authorityChanged(old, cfg *configs.Config) bool { return !reflect.DeepEqual(old.ACME, cfg.ACME) }
