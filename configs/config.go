package configs

import (
	"log/slog"
	"path/filepath"

	"tandem/certificate"
	"tandem/dialplan"
	"tandem/media"
	"tandem/registrar"
	"tandem/sip/digest"
	"tandem/sip/transport"
	"tandem/token"
	"tandem/trunk"
)

// DefaultStateDir is where a switch keeps what it must not forget, where the configuration does not say.
const DefaultStateDir = "/var/lib/tandem"

// DefaultHTTP is where metrics and health are served, where the configuration does not say: this machine only.
const DefaultHTTP = "127.0.0.1:9090"

// Config is a whole configuration, ready for the rooms. It never changes.
type Config struct {
	Dir         string // the folder it came from, absolute; that of the state for the demo
	Node        Node
	Cluster     Cluster // without members: a switch alone
	Transport   transport.Config
	Media       media.Config
	Registrar   registrar.Config
	Plan        *dialplan.Plan
	Trunks      []trunk.Config      // in the order of the files
	TrunkGroups []trunk.GroupConfig // by name
	STIR        STIR
	ACME        *certificate.Config          // for listeners whose certificate is "acme"; nil: there are none
	SelfSigned  bool                         // a listener shows a certificate that we sign
	Credentials map[string]digest.Credential // by number of the extension
	OAuth       *token.OAuthConfig           // whose bearer tokens are taken; nil: nobody's
	TURN        TURN
	Token       Token
	CDR         string // absolute path of the file of call records; empty: none is written
	Log         Log
}

// Node is the switch itself.
type Node struct {
	Name          string
	Domains       []string // that we answer for, in small letters; the first names the realm
	Realm         string   // of digest authentication; a change makes every stored HA1 worthless
	PublicAddress string   // IP address that peers outside see; empty: that of the interface ("auto")
	StateDir      string   // absolute
	AdminSocket   string   // absolute path of the Unix socket of the command line
	HTTP          string   // host:port of metrics and health; empty: not served
	NameServers   []string // host:port of those that carriers are looked up at; empty: the system's
}

// Words that stand for a certificate in place of a file.
const (
	SelfSigned = "self-signed" // by the switch, for every name and address of the machine
	FromACME   = "acme"        // by the authority of the block acme
)

// CertificateDir is where certificates are kept that the switch gets itself.
func (n Node) CertificateDir() string { return filepath.Join(n.StateDir, "certificates") }

// Log is what is logged and how.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}
