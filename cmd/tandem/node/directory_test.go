package node

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/cluster"
	"tandem/configs"
	"tandem/record"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/transport"
)

// shardNode is the node of shard "a" among "a", "b" and "c", which are served as the test says.
func shardNode(t *testing.T, served string) *Node {
	t.Helper()
	cfg := &configs.Config{}
	cfg.Transport.Listen = []transport.Listen{{Name: "udp", Proto: transport.UDP, Address: "0.0.0.0:5060"}}
	for i, name := range []string{"a", "b", "c"} {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}), 24)
		cfg.Cluster.Shards = append(cfg.Cluster.Shards, configs.Shard{Name: name, Address: cluster.Address{Prefix: prefix}})
	}
	d := NewDirectory(cfg)
	for _, x := range d.shards {
		if strings.Contains(served, x.name) {
			x.part.Store(&part{serving: func() string { return x.name }})
		}
	}
	n := &Node{opts: Options{Directory: d}, pathKey: []byte("a key"), bindings: registrar.NewStore(nil)}
	n.config.Store(cfg.Shard(0))
	return n
}

// at registers a phone at a shard, as its record says it to the others.
func (n *Node) at(t *testing.T, shard string, b ...registrar.BindingRecord) {
	t.Helper()
	for i := range b {
		b[i].Expires = time.Now().Add(time.Hour)
		b[i].Flow = &registrar.FlowRecord{Proto: transport.UDP, Listener: "udp", Remote: netip.MustParseAddrPort("198.51.100.7:5060")}
	}
	bindings := registrar.Record{AOR: "1001", Bindings: b}
	if shard == n.shard() {
		n.bindings.Apply(time.Now(), bindings, func(f registrar.FlowRecord) transport.Flow {
			return transport.NewFlow(distantLink{f.Proto, f.Listener, 1}, f.Local, f.Remote)
		})
		return
	}
	value, err := record.Marshal(bindings)
	if err != nil {
		t.Fatal(err)
	}
	var links uint64
	store := n.opts.Directory.shard(shard).store.Load()
	applyDistant(store, cluster.Record{Key: "1001", Value: value, Version: newestForm}, &links, slog.New(slog.DiscardHandler))
}

// found says which contacts a look-up gives, those of other shards with the shard's address.
func (n *Node) found() (all []string) {
	for _, b := range (locator{n}).Lookup("1001", time.Now()) {
		where := b.Contact
		if len(b.Path) > 0 {
			a, _ := sip.ParseNameAddr(b.Path[0])
			u, _ := sip.ParseURI(a.URI)
			where += " by " + u.Host
		}
		all = append(all, where)
	}
	return all
}

// A shard takes calls over in an extension's name at each other that is served, and proves it for that dialog there alone.
func TestWaysToTakeACallOver(t *testing.T) {
	a := shardNode(t, "b")
	var err error
	a.layer, err = transport.New(transport.Config{Listen: []transport.Listen{{Name: "udp", Proto: transport.UDP, Address: "127.0.0.1:0"}}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.layer.Close()
	const dialog = "call;to-tag=1;from-tag=2"
	ways := neighbours{a}.Ways("1001", dialog)
	if len(ways) != 1 || !strings.HasSuffix(ways[0].Contact, "@192.0.2.12:5060") {
		t.Fatalf("ways %+v", ways)
	}
	heard := func(n *Node, source, uri, replaces string) string {
		raw := "INVITE " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:x@x>;tag=1\r\nTo: <sip:y@y>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n" +
			"Replaces: " + replaces + "\r\nContent-Length: 0\r\n\r\n"
		var m sip.Message
		if err := m.Parse(raw); err != nil {
			t.Fatal(err)
		}
		m.Source = netip.MustParseAddrPort(source)
		extension, ok := neighbours{n}.Speaks(&m)
		if !ok {
			return "nobody"
		}
		return extension
	}
	b, c := shardNode(t, ""), shardNode(t, "")
	b.config.Store(b.config.Load().Shard(1))
	c.config.Store(c.config.Load().Shard(2))
	uri := ways[0].Contact
	for _, x := range []struct {
		at                           *Node
		source, uri, replaces, wants string
	}{
		{b, "192.0.2.11:5060", uri, dialog, "1001"},
		{b, "198.51.100.7:5060", uri, dialog, "nobody"}, // a stranger
		{b, "192.0.2.11:5060", uri, "other;to-tag=1;from-tag=2", "nobody"},
		{c, "192.0.2.11:5060", uri, dialog, "nobody"},
		{b, "192.0.2.11:5060", strings.Replace(uri, "r.", "r.A", 1), dialog, "nobody"},
		{b, "192.0.2.11:5060", "sip:1001@192.0.2.12", dialog, "nobody"},
	} {
		if got := heard(x.at, x.source, x.uri, x.replaces); got != x.wants {
			t.Errorf("%s from %s: %s speaks, want %s", x.uri, x.source, got, x.wants)
		}
	}
}

func TestLocatorKnowsAllShards(t *testing.T) {
	now := time.Now()
	desk := registrar.BindingRecord{Contact: "sip:desk", Q: 1000, Registered: now}
	again := registrar.BindingRecord{Contact: "sip:desk", Q: 1000, Registered: now.Add(time.Second)}
	flow := func(id uint32, at time.Duration) registrar.BindingRecord {
		return registrar.BindingRecord{Contact: "sip:flow", Q: 1000, Instance: "urn:uuid:1", RegID: id, Registered: now.Add(at)}
	}
	for _, c := range []struct {
		name, served string
		a, b, c      []registrar.BindingRecord
		want         []string
	}{
		{"nowhere", "abc", nil, nil, nil, nil},
		{"here alone", "abc", []registrar.BindingRecord{desk}, nil, nil, []string{"sip:desk"}},
		{"at another", "abc", nil, []registrar.BindingRecord{desk}, nil, []string{"sip:desk by 192.0.2.12"}},
		{"at one that nobody serves", "ac", nil, []registrar.BindingRecord{desk}, nil, nil},
		{"moved from b to c", "abc", nil, []registrar.BindingRecord{desk}, []registrar.BindingRecord{again}, []string{"sip:desk by 192.0.2.13"}},
		{"moved here", "abc", []registrar.BindingRecord{again}, []registrar.BindingRecord{desk}, nil, []string{"sip:desk"}},
		{"two flows", "abc", nil, []registrar.BindingRecord{flow(1, 0)}, []registrar.BindingRecord{flow(2, time.Second)}, []string{"sip:flow by 192.0.2.13", "sip:flow by 192.0.2.12"}},
		{"the flow here before a newer one elsewhere", "abc", []registrar.BindingRecord{flow(1, 0)}, nil, []registrar.BindingRecord{flow(2, time.Second)}, []string{"sip:flow", "sip:flow by 192.0.2.13"}},
		{"one flow that moved", "abc", nil, []registrar.BindingRecord{flow(1, 0)}, []registrar.BindingRecord{flow(1, time.Second)}, []string{"sip:flow by 192.0.2.13"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := shardNode(t, c.served)
			for shard, list := range map[string][]registrar.BindingRecord{"a": c.a, "b": c.b, "c": c.c} {
				if len(list) > 0 {
					n.at(t, shard, list...)
				}
			}
			if got := n.found(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What stands in a Path is good at the shard of its phone alone, for that phone alone, and nobody else can make it.
func TestPathsAreOfOneShard(t *testing.T) {
	n := shardNode(t, "abc")
	n.at(t, "a", registrar.BindingRecord{Contact: "sip:desk", Q: 1000}, registrar.BindingRecord{Contact: "sip:mobile", Q: 500})
	p := paths{n}
	for _, b := range n.bindings.Lookup("1001", time.Now()) {
		user := n.pathUser("a", &b)
		if target, ok := p.Phone(user); !p.Ours(user) || !ok || target.URI != b.Contact {
			t.Errorf("%s leads to %q", user, target.URI)
		}
		if u, err := sip.ParseURI("sip:" + user + "@192.0.2.11;lr"); err != nil || u.User != user {
			t.Errorf("%q is no user part: %v", user, err)
		}
		other := shardNode(t, "abc")
		other.pathKey = []byte("another cluster's")
		for what, made := range map[string]string{
			"another shard's": n.pathUser("b", &b), "another cluster's": other.pathUser("a", &b), "cut": user[:len(user)-1],
			"another phone's": strings.Replace(user, ".", ".A", 1), "empty": "", "without a code": strings.Join(strings.Split(user, ".")[:3], "."),
		} {
			if p.Ours(made) {
				t.Errorf("%s passes: %q", what, made)
			}
		}
	}
	gone := registrar.Binding{AOR: "1001", Contact: "sip:gone"}
	if user := n.pathUser("a", &gone); !p.Ours(user) {
		t.Error("a phone that is gone has no way")
	} else if _, ok := p.Phone(user); ok {
		t.Error("a phone that is gone is found")
	}
	for address, want := range map[string]bool{"192.0.2.11": false, "192.0.2.12": true, "192.0.2.13": true, "192.0.2.14": false, "::ffff:192.0.2.12": true} {
		if got := p.Inside(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s inside: %v", address, got)
		}
	}
}

// While this process's part of a shard is built anew, or its members elect somebody, its phones are found; not when it has been silent for long.
func TestPhonesOfAShardWhoseRoleMoves(t *testing.T) {
	n := shardNode(t, "abc")
	n.at(t, "b", registrar.BindingRecord{Contact: "sip:desk", Q: 1000, Registered: time.Now()})
	found := func(when string, want int) {
		t.Helper()
		if got := n.found(); len(got) != want {
			t.Errorf("%s: %q", when, got)
		}
	}
	found("served", 1)
	x := n.opts.Directory.shard("b")
	x.part.Store(nil)
	found("built anew", 1)
	x.part.Store(&part{serving: func() string { return "" }})
	found("nobody elected", 1)
	x.lastServed.Add(-int64(servedFor))
	found("for long", 0)
}
