package node

import (
	"crypto/hmac"
	"strings"

	"tandem/call"
	"tandem/registrar"
	"tandem/sip"
)

// takePrefix begins the user part of a Request-URI by which a shard takes a call over at another: the extension, and a code that the
// cluster's key makes of it and of the dialog.
const takePrefix = "r."

// neighbours are the other shards; nil: there are none.
func (n *Node) neighbours() call.Neighbours {
	if n.opts.Directory == nil {
		return nil
	}
	return neighbours{n}
}

type neighbours struct{ n *Node }

// Ways implements call.Neighbours.
func (x neighbours) Ways(extension, replaces string) (all []registrar.Binding) {
	for _, s := range x.n.opts.Directory.shards {
		if s.name == x.n.shard() || !s.served() {
			continue
		}
		named := pathText.EncodeToString([]byte(extension))
		uri := "sip:" + takePrefix + named + "." + x.n.takeCode(s.name, named, replaces) + "@" + s.edge.String()
		all = append(all, registrar.Binding{AOR: extension, Contact: uri, Flow: x.n.toward(s)})
	}
	return all
}

func (n *Node) takeCode(shard, named, replaces string) string {
	return n.pathCode(shard, "replaces\x00"+named+"\x00"+replaces)
}

// Speaks implements call.Neighbours.
func (x neighbours) Speaks(m *sip.Message) (extension string, ok bool) {
	uri, err := sip.ParseURI(m.RequestURI())
	rest, taken := strings.CutPrefix(uri.User, takePrefix)
	if err != nil || !taken || !paths(x).Inside(m.Source.Addr()) {
		return "", false
	}
	named, code, _ := strings.Cut(rest, ".")
	replaces, _ := m.Named("Replaces")
	if !hmac.Equal([]byte(code), []byte(x.n.takeCode(x.n.shard(), named, replaces))) {
		return "", false
	}
	user, err := pathText.DecodeString(named)
	return string(user), err == nil
}
