package configs

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan"
	"tandem/dialplan/block"
	"tandem/sip/digest"
)

var (
	extensionSchema = block.Schema("name password class did srtp webrtc do_not_disturb", "forward")
	tableSchema     = block.Schema("file class srtp webrtc")
)

// srtpPolicies are what an extension may say of SRTP on its leg.
var srtpPolicies = []string{"optional", "off", "required"}

// webPolicies are what an extension may say of whether its phones are browsers.
var webPolicies = []string{"auto", "always", "never"}

// readExtensions reads the extensions from blocks and tables; the dialplan checks them against each other.
func (l *loader) readExtensions() {
	for _, b := range l.blocks {
		switch b.Type {
		case "extension":
			l.extension(b)
		case "extensions":
			l.table(b)
		}
	}
}

func (l *loader) extension(b *hcl.Block) {
	r := l.open(b.Body, extensionSchema)
	x := dialplan.Declared{
		Extension: dialplan.Extension{
			Number: b.Labels[0], Name: r.Text("name", ""), DID: r.Text("did", ""),
			SRTP:   r.OneOf("srtp", srtpPolicies[0], srtpPolicies...),
			WebRTC: r.OneOf("webrtc", webPolicies[0], webPolicies...),
		},
		At: b.LabelRanges[0], DIDAt: r.Range("did"),
	}
	x.Class, x.ClassAt = l.class(r)
	if !printable(x.Name) {
		r.Fail(r.Range("name"), "not a name", "A name is one line without control characters: it goes on the wire.")
	}
	x.Features.DoNotDisturb = r.Bool("do_not_disturb", false)
	for i, inner := range r.Blocks {
		if i > 0 {
			l.twice(inner, r.Blocks[0])
			continue
		}
		x.Features.Forward = dialplan.ReadForward(l.open(inner.Body, dialplan.ForwardSchema))
	}
	r.Require("password")
	if e := r.Expr("password"); e != nil {
		if s, ok := l.password(e); ok {
			l.secrets = append(l.secrets, ownSecret{x.Number, s})
		}
	}
	l.extensions = append(l.extensions, x)
}

func (l *loader) class(r *block.Reader) (string, hcl.Range) {
	e := r.Expr("class")
	if e == nil {
		return "", hcl.Range{}
	}
	ref, ok := r.Ref(e, "class")
	if !ok {
		return "", hcl.Range{}
	}
	return ref.Name, ref.NameAt
}

// password evaluates a password. One that stands in the file is refused: files are copied, shown and kept.
func (l *loader) password(e hcl.Expression) (secret, bool) {
	v, d := e.Value(l.ctx)
	if d.HasErrors() {
		l.diags = append(l.diags, d...)
		return secret{}, false
	}
	switch {
	case v.Type() == secretType && !v.IsNull():
		return *v.EncapsulatedValue().(*secret), true
	case l.demo && v.Type() == cty.String && !v.IsNull() && v.AsString() != "":
		return secret{password: v.AsString()}, true
	case v.Type() == cty.String:
		l.diags = append(l.diags, block.Errorf(e.Range(), "password in the file", "A password does not stand in a configuration. Write secret(\"env:NAME\"), secret(\"file:PATH\") or its hash, secret(\"sha256:HEX\")."))
	default:
		l.diags = append(l.diags, block.Errorf(e.Range(), "not a password", "Write secret(\"env:NAME\"), secret(\"file:PATH\") or secret(\"sha256:HEX\")."))
	}
	return secret{}, false
}

// credentials hashes the passwords for the realm.
func (l *loader) credentials() {
	l.config.Credentials = make(map[string]digest.Credential, len(l.secrets))
	for _, s := range l.secrets {
		l.config.Credentials[s.number] = s.credential(s.number, l.config.Node.Realm)
	}
}

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}
