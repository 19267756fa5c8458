package node

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"time"

	"tandem/configs"
	"tandem/media/turn"
	"tandem/sip/transport"
	"tandem/token"
)

// newTURN binds the relay that a configuration asks for.
func (n *Node) newTURN(cfg *configs.Config) error {
	if cfg.TURN.Server == nil {
		return nil
	}
	var err error
	n.turn, err = turn.New(*cfg.TURN.Server, n.relayPassword, n.opts.Log.With("room", "turn"))
	return err
}

func (n *Node) runTURN(ctx context.Context) error {
	if n.turn == nil {
		<-ctx.Done()
		return nil
	}
	return n.turn.Run(ctx)
}

// relayPassword is what a user name of a page is good for at our relay: an extension's that has not expired.
func (n *Node) relayPassword(username string, now time.Time) (user, password string, ok bool) {
	user, expires, ok := token.Parse(username)
	if !ok || !now.Before(expires) {
		return "", "", false
	}
	if _, ok := n.config.Load().Credentials[user]; !ok {
		return "", "", false
	}
	return user, n.Keys().Passwords(username)[0], true
}

// relays writes the header that tells a page which relays there are, with passwords that expire:
// Tandem-ICE: <turn:HOST:PORT?transport=udp>;username="…";credential="…", … It is sent to browsers alone, and to whom has
// proven himself alone.
func (n *Node) relays(dst []byte, aor string, f transport.Flow, now time.Time) []byte {
	if p := f.Proto(); p != transport.WS && p != transport.WSS {
		return dst
	}
	cfg := n.config.Load().TURN
	before := "Tandem-ICE: "
	add := func(url string, pass *token.Pass) {
		dst = fmt.Appendf(dst, "%s<%s>", before, url)
		if pass != nil {
			dst = fmt.Appendf(dst, `;username="%s";credential="%s"`, pass.Username, pass.Password)
		}
		before = ", "
	}
	if n.turn != nil {
		host := cfg.Advertise
		if host == "" {
			host = f.Local().Addr().Unmap().WithZone("").String()
		}
		pass := n.Keys().Issue(aor, now.Add(cfg.Lifetime))
		place := net.JoinHostPort(host, strconv.Itoa(int(n.turn.Addr().Port())))
		add("turn:"+place+"?transport=udp", &pass)
		add("turn:"+place+"?transport=tcp", &pass)
	}
	for _, url := range cfg.URLs {
		if len(cfg.Keys) > 0 && url[:4] == "turn" {
			pass := cfg.Keys.Issue(aor, now.Add(cfg.Lifetime))
			add(url, &pass)
		} else {
			add(url, nil)
		}
	}
	return append(dst, "\r\n"...)
}

// relayChanged tells whether a reload would need another relay of ours.
func relayChanged(old, cfg *configs.Config) bool {
	return !reflect.DeepEqual(old.TURN.Server, cfg.TURN.Server)
}

// relayCounts are those of our relay.
func (n *Node) relayCounts() (turn.Counts, bool) {
	if n.turn == nil {
		return turn.Counts{}, false
	}
	return n.turn.Counts(), true
}
