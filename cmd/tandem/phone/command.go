package phone

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// options are the flags of `tandem phone`.
type options struct {
	config       Config
	srtp         string
	passwordFile string
	bearer       string
	cert, key    string

	register bool
	expires  time.Duration
	call     string
	answer   bool
	after    time.Duration
	reject   int
	count    int
	phones   int
	length   time.Duration
	patience time.Duration
	cancel   time.Duration
	play     string
	record   string
	dtmf     string
	info     bool
	hear     float64
	hold     time.Duration
	holdFor  time.Duration
	restart  time.Duration
	transfer string
	late     bool
	headers  []string
	script   string
	json     bool
	verbose  bool
}

// Command is `tandem phone`.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "phone",
		Short: "A softphone for scripts: register, call, answer, play, record, and report what was heard",
		Long: "A softphone for scripts: register, call, answer, play, record, and report what was heard.\n" +
			"The exit code is 0 only when what was asked for happened.\n\n" + scriptHelp,
		Example: `  tandem phone --server 127.0.0.1 --user 101 --password-file pw --call 102 --play tone:440 --hear 1004 --for 5s
  tandem phone --server 127.0.0.1 --transport wss --insecure --user 102 --answer --record heard.wav --json
  printf 'register\ncall 102\nwait answered\nhear 1004\nhangup\n' | tandem phone --server 127.0.0.1 --user 101 --script -`,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return o.run(ctx, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.identityFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.register, "register", false, "register, and with nothing else to do stay registered for --for")
	f.DurationVar(&o.expires, "expires", time.Hour, "time to register for")
	f.StringVar(&o.call, "call", "", "number, user@host or SIP URI to call")
	f.BoolVar(&o.answer, "answer", false, "answer incoming calls (after --after)")
	f.DurationVar(&o.after, "after", 0, "with --answer: ring this long first")
	f.IntVar(&o.reject, "reject", 0, "refuse incoming calls with this status (486 busy, 603 decline)")
	f.IntVar(&o.count, "count", 1, "with --answer or --reject: calls to take before leaving")
	f.IntVar(&o.phones, "phones", 0, "with --call or --answer: that many phones at once, whose user names and numbers to call are counted up; prints their sums twice a second")
	f.DurationVar(&o.length, "for", 10*time.Second, "length of a call that is not ended before, or of staying registered")
	f.DurationVar(&o.patience, "wait", time.Minute, "longest wait for an answer, or for a call to come in")
	f.DurationVar(&o.cancel, "cancel-after", 0, "cancel the call when it is not answered after this time; that it is cancelled is then what was asked for")
	f.StringVar(&o.play, "play", "", "what to send: tone:HZ, tone:HZ@DBM0, a WAV or an Ogg Opus file; silence when not given")
	f.StringVar(&o.record, "record", "", "WAV file to write what is heard to")
	f.StringVar(&o.dtmf, "dtmf", "", "keys to send after the answer")
	f.BoolVar(&o.info, "dtmf-info", false, "send the keys by INFO rather than as telephone-events")
	f.Float64Var(&o.hear, "hear", 0, "frequency in Hz that must be heard")
	f.DurationVar(&o.hold, "hold-after", 0, "hold the call this long after the answer")
	f.DurationVar(&o.holdFor, "hold-for", 2*time.Second, "with --hold-after: resume after this time")
	f.StringVar(&o.transfer, "transfer", "", "number, user@host or SIP URI that the other side is asked to call in place of this phone, after all else")
	f.BoolVar(&o.late, "late-offer", false, "send the INVITE without SDP")
	f.StringArrayVar(&o.headers, "header", nil, "header to add to the INVITE, \"Name: value\" (may be repeated)")
	f.StringVar(&o.script, "script", "", "file with steps, - for standard input (instead of the flags above)")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.BoolVar(&o.verbose, "verbose", false, "log to standard error")
	return cmd
}

func (o *options) identityFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.config.Server, "server", "", "server, host[:port] or SIP URI; without it --call takes user@host")
	f.StringVar(&o.config.Transport, "transport", "", "udp, tcp, tls, ws or wss (default udp)")
	f.StringVar(&o.config.User, "user", "", "user name")
	f.StringVar(&o.config.AuthUser, "auth-user", "", "user name for the password, when it is another")
	f.StringVar(&o.config.Password, "password", "", "password (seen by all users of the machine: prefer --password-file or TANDEM_PASSWORD)")
	f.StringVar(&o.bearer, "bearer-file", "", "file with a bearer token to show in place of a password (RFC 8898)")
	f.StringVar(&o.passwordFile, "password-file", "", "file whose first line is the password")
	f.StringVar(&o.config.Domain, "domain", "", "domain of the address (default: the server's host)")
	f.StringVar(&o.config.Display, "display", "", "display name")
	f.StringVar(&o.config.Local, "local", "", "local IP or IP:port (default: by route to the server)")
	f.StringVar(&o.config.CAFile, "ca", "", "PEM file of the roots to trust")
	f.BoolVar(&o.config.Insecure, "insecure", false, "accept any certificate")
	f.StringVar(&o.config.ServerName, "server-name", "", "name to expect in the certificate")
	f.StringVar(&o.cert, "cert", "", "PEM certificate, for a TLS phone that others call directly")
	f.StringVar(&o.key, "key", "", "its PEM key")
	f.StringVar(&o.config.Path, "path", "/", "WebSocket path")
	f.StringVar(&o.config.Origin, "origin", "", "WebSocket Origin header")
	f.StringSliceVar(&o.config.Codecs, "codecs", nil, "codecs in order of preference (default PCMA,PCMU; OPUS with --webrtc)")
	f.BoolVar(&o.config.WebRTC, "webrtc", false, "be a browser: ICE, DTLS-SRTP, rtcp-mux, over ws unless --transport says wss")
	f.BoolVar(&o.config.ICETCP, "ice-tcp", false, "with --webrtc: no UDP candidates")
	f.DurationVar(&o.restart, "ice-restart-after", 0, "with --webrtc: restart ICE this long after the answer")
	f.StringVar(&o.srtp, "srtp", "off", "off, optional or required")
	f.BoolVar(&o.config.Outbound, "outbound", false, "register as RFC 5626 wants it")
}

func (o *options) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	if err := o.prepare(errOut); err != nil {
		return err
	}
	if o.phones != 0 {
		return o.actCrowd(ctx, out)
	}
	p, err := New(o.config)
	if err != nil {
		return err
	}
	defer p.Close()
	err = o.act(ctx, p, in, out)
	if p.Registration().Active {
		bye, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = p.Unregister(bye)
	}
	return err
}

// prepare turns the flags into a Config.
func (o *options) prepare(errOut io.Writer) error {
	o.config.SRTP = SRTP(o.srtp)
	if o.verbose {
		o.config.Log = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	switch {
	case o.passwordFile != "":
		data, err := os.ReadFile(o.passwordFile)
		if err != nil {
			return fmt.Errorf("password file: %w", err)
		}
		line, _, _ := strings.Cut(string(data), "\n")
		o.config.Password = strings.TrimRight(line, "\r")
	case o.config.Password == "":
		o.config.Password = os.Getenv("TANDEM_PASSWORD")
	}
	if o.bearer != "" {
		text, err := os.ReadFile(o.bearer)
		if err != nil {
			return fmt.Errorf("bearer token: %w", err)
		}
		o.config.Bearer = strings.TrimSpace(string(text))
	}
	if (o.cert == "") != (o.key == "") {
		return errors.New("--cert and --key belong together")
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		o.config.Certificate = &pair
	}
	switch {
	case o.reject != 0:
		o.config.Answer = Answer{Status: o.reject}
	case o.answer:
		o.config.Answer = Answer{Auto: true, After: o.after, Play: o.play, Record: o.record}
	}
	if o.reject != 0 && (o.reject < 300 || o.reject > 699) {
		return fmt.Errorf("cannot refuse with %d: want 300 to 699", o.reject)
	}
	if o.phones < 0 || o.phones > mostPhones {
		return fmt.Errorf("--phones %d: want 1 to %d", o.phones, mostPhones)
	}
	if o.script == "" && o.call == "" && !o.answer && o.reject == 0 && !o.register {
		return errors.New("nothing to do: give --call, --answer, --reject, --register or --script")
	}
	return nil
}

func (o *options) act(ctx context.Context, p *Phone, in io.Reader, out io.Writer) error {
	if o.script != "" {
		return o.actScript(ctx, p, in, out)
	}
	if o.register || o.config.Server != "" && (o.answer || o.reject != 0) {
		waiting, cancel := context.WithTimeout(ctx, o.patience)
		defer cancel()
		if err := p.Register(waiting, o.expires); err != nil {
			return err
		}
	} else if o.answer || o.reject != 0 {
		fmt.Fprintln(out, "reachable at", p.URI())
	}
	switch {
	case o.call != "":
		return o.actCall(ctx, p, out)
	case o.answer || o.reject != 0:
		return o.actAnswer(ctx, p, out)
	}
	return ignoreInterrupt(pause(ctx, o.length))
}

func (o *options) actScript(ctx context.Context, p *Phone, in io.Reader, out io.Writer) error {
	if o.script != "-" {
		f, err := os.Open(o.script)
		if err != nil {
			return fmt.Errorf("script: %w", err)
		}
		defer f.Close()
		in = f
	}
	s := script{phone: p, out: out, json: o.json, options: CallOptions{Play: o.play, Record: o.record}}
	return s.run(ctx, in)
}

func (o *options) actCall(ctx context.Context, p *Phone, out io.Writer) error {
	call := CallOptions{LateOffer: o.late, CancelAfter: o.cancel, Play: o.play, Record: o.record}
	for _, text := range o.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return fmt.Errorf("header %q has no colon", text)
		}
		call.Headers = append(call.Headers, Header{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	waiting, stop := context.WithTimeout(ctx, o.patience)
	defer stop()
	c, err := p.Call(waiting, o.call, call)
	if c == nil {
		return err
	}
	if err == nil {
		err = o.talk(ctx, c)
	} else {
		settling, done := context.WithTimeout(context.Background(), 2*time.Second)
		defer done()
		_, _ = c.Wait(settling)
		if e := c.Ended(); o.cancel > 0 && e.By == ByLocal && e.Status == 487 {
			err = nil
		}
	}
	return errors.Join(err, printReport(out, c.Report(), o.json))
}

func (o *options) actAnswer(ctx context.Context, p *Phone, out io.Writer) error {
	for range o.count {
		waiting, stop := context.WithTimeout(ctx, o.patience)
		c, err := p.WaitIncoming(waiting)
		if err == nil && o.answer && o.reject == 0 {
			err = c.WaitAnswered(waiting)
		}
		stop()
		if c == nil {
			return err
		}
		switch {
		case o.reject != 0:
			_, err = c.Wait(ctx)
		case err == nil:
			err = o.talk(ctx, c)
		}
		if err = errors.Join(err, printReport(out, c.Report(), o.json)); err != nil {
			return err
		}
	}
	return nil
}

// talk does what was asked for during one answered call, and ends it after --for.
func (o *options) talk(ctx context.Context, c *Call) error {
	limited, stop := context.WithTimeout(ctx, o.length)
	defer stop()
	err := o.say(limited, c)
	select {
	case <-c.Done():
	case <-limited.Done():
	}
	leaving, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	return errors.Join(err, c.Hangup(leaving))
}

func (o *options) say(ctx context.Context, c *Call) error {
	if o.hear > 0 {
		if _, err := c.WaitTone(ctx, o.hear); err != nil {
			return err
		}
	}
	if o.dtmf != "" {
		send := c.SendDTMF
		if o.info {
			send = c.SendInfo
		}
		if err := send(ctx, o.dtmf); err != nil {
			return fmt.Errorf("digits: %w", err)
		}
	}
	if o.hold > 0 {
		if err := pause(ctx, o.hold); err != nil {
			return fmt.Errorf("the call was over before the hold: %w", err)
		}
		if err := c.Hold(ctx); err != nil {
			return fmt.Errorf("hold: %w", err)
		}
		_ = pause(ctx, o.holdFor)
		if err := c.Resume(ctx); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
	}
	if o.restart > 0 {
		if err := pause(ctx, o.restart); err != nil {
			return fmt.Errorf("the call was over before the ICE restart: %w", err)
		}
		if err := c.RestartICE(ctx); err != nil {
			return fmt.Errorf("ICE restart: %w", err)
		}
	}
	if o.transfer != "" {
		if err := c.Transfer(ctx, o.transfer); err != nil {
			return fmt.Errorf("transfer: %w", err)
		}
	}
	return nil
}

func ignoreInterrupt(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func printReport(out io.Writer, r Report, asJSON bool) error {
	if !asJSON {
		_, err := io.WriteString(out, r.String())
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
