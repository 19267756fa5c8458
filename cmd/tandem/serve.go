package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tandem/cmd/tandem/node"
	"tandem/configs"
	"tandem/console/pages"
	"tandem/sip/transport"
)

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve --config DIR", Short: "Run the switch with the configuration in a folder", Args: cobra.NoArgs,
		Long: "Run the switch. SIGHUP or `tandem reload` reads the configuration anew. SIGTERM stops at once and leaves registrations and\n" +
			"answered calls to the next start, which goes on with them. SIGINT ends them: new calls get 503, those in progress go on\n" +
			"until they end, and a second SIGINT hangs them up.",
	}
	dir := c.Flags().String("config", "/etc/tandem", "folder with *.hcl files")
	c.RunE = func(c *cobra.Command, _ []string) error {
		load := func() (*configs.Config, error) {
			cfg, diags := configs.Load(*dir)
			if cfg == nil {
				return nil, diags
			}
			return cfg, nil
		}
		collectLess() // a table of a hundred thousand extensions is read already
		cfg, diags := configs.Load(*dir)
		fmt.Fprint(c.ErrOrStderr(), diags.String())
		if cfg == nil {
			return errSilent
		}
		if err := os.MkdirAll(cfg.Node.StateDir, 0o750); err != nil {
			return fmt.Errorf("state folder: %w (set `state_dir` in the node block)", err)
		}
		opts := node.Options{Log: logger(cfg.Log, c.ErrOrStderr()), Load: load}
		if len(cfg.Cluster.Shards) > 0 {
			return serveShards(cfg, opts)
		}
		heard := hear()
		defer heard.stop()
		return serveMember(c.Context(), cfg, opts, heard)
	}
	return c
}

// serveMember runs what this machine is in a configuration, a switch or a witness, until signals end it, or ctx does as SIGTERM would.
// A switch that has been deposed is built anew and stands by.
func serveMember(ctx context.Context, cfg *configs.Config, opts node.Options, heard *signals) error {
	witness, err := node.IsWitness(cfg)
	if err != nil {
		return err
	}
	if witness {
		return serveWitness(ctx, cfg, opts, heard)
	}
	opts.Debts = node.NewDebts()
	for deposed := false; ; {
		built := false
		err := serve(ctx, cfg, opts, heard, func(*node.Node) { built = true })
		switch {
		case deposed && !built && err != nil: // as on a disk that is full
			opts.Log.Error("this node cannot stand by yet: it tries again", "err", err)
			if !heard.none(ctx, buildAgain) {
				return nil
			}
			continue
		case !errors.Is(err, node.ErrDeposed):
			return err
		}
		deposed = true
		opts.Log.Warn("another node serves: this one stands by from now on")
		if again, err := opts.Load(); err == nil {
			cfg = again
		} else {
			opts.Log.Error("the configuration has become wrong: the old one stays in force", "err", err)
		}
	}
}

// buildAgain is how often a deposed switch is tried that cannot be built anew.
const buildAgain = 2 * time.Second

// serveWitness runs a witness until a signal ends it.
func serveWitness(ctx context.Context, cfg *configs.Config, opts node.Options, heard *signals) error {
	opts.Version = version
	ctx, stop := heard.until(ctx)
	defer stop()
	w, err := node.NewWitness(cfg, opts)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

func logger(l configs.Log, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: l.Level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// serve runs a switch until signals end it, or ctx does as SIGTERM would. ready is called when its sockets are bound.
func serve(ctx context.Context, cfg *configs.Config, opts node.Options, heard *signals, ready func(*node.Node)) error {
	opts.Version = version
	log := opts.Log
	n, err := node.New(cfg, opts)
	if err != nil {
		return err
	}
	drain, beginDrain := context.WithCancel(context.Background())
	stop, endNow := context.WithCancel(context.Background())
	leave, leaveNow := context.WithCancel(context.Background())
	defer beginDrain()
	defer endNow()
	defer leaveNow()
	ready(n)
	done := make(chan error, 1)
	go func() { done <- n.Run(node.Ends{Leave: leave, Drain: drain, Stop: stop}) }()
	for {
		select {
		case err := <-done:
			if drain.Err() != nil && errors.Is(err, node.ErrDeposed) {
				return nil // it was to end, and what it had to wait for is another node's now
			}
			return err
		case <-ctx.Done():
			leaveNow()
			return <-done
		case <-heard.reloads:
			if _, err := n.Reload(false); err != nil {
				log.Error("configuration not reloaded: nothing has changed", "err", err)
			}
		case s := <-heard.ends:
			switch {
			case s == syscall.SIGTERM:
				leaveNow()
			case drain.Err() == nil:
				beginDrain()
			default:
				endNow()
			}
		}
	}
}

func demoCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "demo", Short: "Run a switch with two extensions and no file to write", Args: cobra.NoArgs,
		Long: "Run a switch with two extensions, freshly made passwords and numbers that answer, and print what a phone needs.\n" +
			"Ctrl-C ends it.",
	}
	o := configs.DemoOptions{}
	f := c.Flags()
	f.StringVar(&o.Host, "host", "0.0.0.0", "address to bind")
	f.IntVar(&o.SIP, "sip", 5060, "port of UDP and TCP")
	f.IntVar(&o.TLS, "tls", 5061, "port of TLS")
	f.IntVar(&o.WS, "ws", 5066, "port of WS")
	f.IntVar(&o.WSS, "wss", 7443, "port of WSS")
	f.StringVar(&o.HTTP, "http", configs.DefaultHTTP, "address of metrics and health; \"off\" for none")
	f.StringVar(&o.StateDir, "state", "", "folder for certificate and call records (default a fixed one of this user among the temporary files)")
	verbose := f.BoolP("verbose", "v", false, "log every call")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.StateDir == "" {
			o.StateDir = demoState()
		}
		if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		d, err := configs.Demo(o)
		if err != nil {
			return err
		}
		level := slog.LevelWarn
		if *verbose {
			level = slog.LevelDebug
		}
		log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
		guests := demoGuests(d)
		collectLess()
		heard := hear()
		defer heard.stop()
		return serve(c.Context(), d.Config, node.Options{Log: log, Guests: guests}, heard, func(n *node.Node) {
			fmt.Fprint(c.OutOrStdout(), welcome(d, n, guests.Token))
		})
	}
	return c
}

// demoState is a folder of this user alone, the same at each start, so that the certificate stays.
func demoState() string {
	return filepath.Join(os.TempDir(), "tandem-demo-"+strconv.Itoa(os.Getuid()))
}

func demoSocket() string { return filepath.Join(demoState(), "admin.sock") }

// welcome is what a person needs to make the first call.
func welcome(d *configs.DemoSwitch, n *node.Node, token string) string {
	var b strings.Builder
	b.WriteString("\nTandem is running. Open this in a browser, and again in a second tab, and call from one to the other:\n\n")
	for _, link := range links(d, n, token) {
		fmt.Fprintf(&b, "  %s\n", link)
	}
	b.WriteString("\nOr register two phones:\n\n")
	for _, p := range d.Phones {
		fmt.Fprintf(&b, "  extension %s   password %s   (%s)\n", p.Extension, p.Password, p.Name)
	}
	b.WriteString("\nat this machine:\n\n")
	for _, l := range n.Listeners() {
		fmt.Fprintf(&b, "  %-5s%s\n", l.Proto, reach(l.Proto.String(), l.Addr, d.Hosts))
	}
	b.WriteString("\nand dial:\n\n")
	for _, number := range d.Numbers {
		fmt.Fprintf(&b, "  %-12s%s\n", number.Number, number.What)
	}
	fmt.Fprintf(&b, "\nNo phone at hand? In another window:\n\n  ./bin/tandem phone --server %s --user 1001 --password %s --call 9196 --play tone:440 --hear 440 --for 5s\n",
		nearest(n), d.Phones[0].Password)
	fmt.Fprintf(&b, "\nLook at it with `./bin/tandem status`, `calls` and `registrations`")
	if a := n.HTTPAddr(); a != nil {
		fmt.Fprintf(&b, ", or http://%s/metrics", a)
	}
	b.WriteString(". Ctrl-C stops it.\n\n")
	return b.String()
}

// links lead to the page for browsers: on this machine without encryption, which browsers trust there, and from elsewhere
// with our own certificate, which they ask about once.
func links(d *configs.DemoSwitch, n *node.Node, token string) []string {
	var out []string
	for _, l := range n.Listeners() {
		at := l.Addr.Addr()
		local := at.IsUnspecified() || at.IsLoopback()
		if l.Proto == transport.WS && local {
			place := l.Addr.String()
			if at.IsUnspecified() || at == netip.MustParseAddr("127.0.0.1") || at == netip.IPv6Loopback() {
				place = fmt.Sprintf("localhost:%d", l.Addr.Port())
			}
			out = append(out, fmt.Sprintf("http://%s/phone#token=%s", place, token))
		}
		if l.Proto == transport.WSS {
			for _, place := range strings.Fields(reach("", l.Addr, d.Hosts)) {
				if at, err := netip.ParseAddrPort(place); err == nil && (!at.Addr().IsLoopback() || !local) {
					out = append(out, fmt.Sprintf("https://%s/phone#token=%s", place, token))
				}
			}
		}
	}
	return out
}

// demoGuests are the demo's phones, lent to whoever has the link, for half a day.
func demoGuests(d *configs.DemoSwitch) *node.Guests {
	g := &node.Guests{Token: strings.ToLower(rand.Text()), Until: time.Now().Add(12 * time.Hour)}
	for _, p := range d.Phones {
		g.Phones = append(g.Phones, node.Guest{Extension: p.Extension, Name: p.Name})
	}
	for _, number := range d.Numbers {
		if !strings.ContainsRune(number.Number, ',') {
			g.Numbers = append(g.Numbers, pages.Number{Number: number.Number, Name: strings.ToUpper(number.What[:1]) + number.What[1:]})
		}
	}
	return g
}

// nearest is where a phone on this machine reaches the first listener, that of UDP.
func nearest(n *node.Node) string {
	listeners := n.Listeners()
	if len(listeners) == 0 {
		return ""
	}
	at := listeners[0].Addr
	host := at.Addr().String()
	if at.Addr().IsUnspecified() {
		host = "127.0.0.1"
		if at.Addr().Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(int(at.Port())))
}

// reach writes where a listener is reached: at every address of the machine, of its family, if it listens on all.
func reach(proto string, addr netip.AddrPort, hosts []string) string {
	places := []string{addr.String()}
	if addr.Addr().IsUnspecified() {
		places = nil
		for _, h := range hosts {
			if ip, err := netip.ParseAddr(h); err == nil && ip.Is4() == addr.Addr().Is4() {
				places = append(places, netip.AddrPortFrom(ip, addr.Port()).String())
			}
		}
	}
	for i, p := range places {
		switch proto {
		case "WS":
			places[i] = "ws://" + p
		case "WSS":
			places[i] = "wss://" + p
		}
	}
	return strings.Join(places, "  ")
}
