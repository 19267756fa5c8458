package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/call"
	"tandem/cluster"
	"tandem/dialplan"
	"tandem/media"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"tandem/trunk"
)

// fakeSwitch is a switch with one call and one phone.
type fakeSwitch struct {
	draining bool
	hungUp   string

	trunkDrained bool
	reload       error

	features dialplan.Features
	night    string
}

func (f *fakeSwitch) Status() Status {
	return Status{Node: "n", Version: "v", Plan: "p", Draining: f.draining, Calls: 1}
}
func (f *fakeSwitch) Calls() []call.Snapshot {
	return []call.Snapshot{{Call: "c1", State: "up", From: "1001"}}
}
func (f *fakeSwitch) Registrations(limit int) []Registration {
	return []Registration{{Extension: "1001", Contact: "sip:1001@192.0.2.1"}}[:min(limit, 1)]
}
func (f *fakeSwitch) TrunkGroups() []trunk.GroupState {
	return []trunk.GroupState{{Group: "uk", Trunks: []string{"a"}, ChannelsOut: 3, Channels: 100}}
}
func (f *fakeSwitch) Trunks() []trunk.Snapshot {
	return []trunk.Snapshot{{Trunk: "a", State: "up", Channels: 60}}
}
func (f *fakeSwitch) DrainTrunk(name string, on bool) error {
	if name != "a" {
		return errors.New("there is no such trunk")
	}
	f.trunkDrained = on
	return nil
}
func (f *fakeSwitch) HangUp(id string) bool { f.hungUp = id; return id == "c1" }
func (f *fakeSwitch) Reload(force bool) (Change, error) {
	if force {
		return Change{Plan: "p3"}, nil
	}
	return Change{Plan: "p2", Changes: []string{"route a added"}}, f.reload
}
func (f *fakeSwitch) Diff(config string) (Difference, error) {
	return Difference{Plan: "p2" + config}, f.reload
}
func (f *fakeSwitch) Features(extension string) (Features, error) {
	if extension != "1001" {
		return Features{}, errors.New("there is no such extension")
	}
	return Features{Extension: extension, Features: f.features}, nil
}
func (f *fakeSwitch) Set(extension string, set dialplan.Set) error {
	if set.Schedule != "" {
		f.night = set.State
		return set.Valid()
	}
	f.features = set.Apply(f.features)
	return set.Valid()
}
func (f *fakeSwitch) NightSwitch(schedule string) (NightSwitch, error) {
	if schedule != "office" {
		return NightSwitch{}, errors.New("there is no such schedule")
	}
	return NightSwitch{Schedule: schedule, State: f.night, Open: f.night == "open"}, nil
}
func (f *fakeSwitch) Cluster() cluster.Status {
	return cluster.Status{Node: "a", Role: "single", Held: true, Problems: []string{}}
}
func (*fakeSwitch) Renew() (cluster.Status, error) {
	return cluster.Status{Node: "n", Certificate: time.Date(2027, 11, 28, 0, 0, 0, 0, time.UTC)}, nil
}
func (*fakeSwitch) Remove(node string) (cluster.Status, error) {
	if node != "b" {
		return cluster.Status{}, errors.New("node " + node + " runs and is heard: stop it first")
	}
	return cluster.Status{Node: "n"}, nil
}
func (*fakeSwitch) TakeOver() (cluster.Status, error) {
	return cluster.Status{}, errors.New("here a majority decides")
}
func (*fakeSwitch) Settle(string) (Settled, error) {
	return Settled{}, errors.New("node b is heard")
}
func (*fakeSwitch) Notify(string) (cluster.Status, error) { return cluster.Status{}, nil }
func (f *fakeSwitch) Failover(bool) (cluster.Rehearsal, error) {
	return cluster.Rehearsal{}, errors.New("a single node has nobody to hand over to")
}
func (f *fakeSwitch) Drain(on bool) { f.draining = on }
func (f *fakeSwitch) Ready() error {
	if f.draining {
		return ErrDraining
	}
	return nil
}

// serve starts a console of f and ends it with the test.
func serve(t *testing.T, f *fakeSwitch) (*Client, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	s, err := New(Config{Socket: socket, HTTP: "127.0.0.1:0"}, f, Metrics(sources()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return Dial(socket), "http://" + s.HTTPAddr().String()
}

func sources() Sources {
	stats := &call.Stats{}
	stats.Started.Store(7)
	stats.ByCause[16].Store(5)
	return Sources{
		Version: "v", Calls: func() (int, int, *call.Stats) { return 2, 4, stats },
		Registrations: func() int { return 3 }, TurnedAway: func() uint64 { return 4 }, Nonces: func() int { return 0 },
		Transactions: func() transaction.Stats { return transaction.Stats{Merged: 1} },
		Transports: func() []transport.Counts {
			return []transport.Counts{{Listener: "phones", Proto: transport.UDP, In: 10}}
		},
		Media:   func() media.Totals { return media.Totals{Sessions: 4, Drops: map[string]uint64{"source": 9}} },
		Records: func() (uint64, uint64) { return 6, 0 }, RecordsWait: func() int { return 3 },
		Cluster: func() cluster.Status {
			return cluster.Status{Node: "a", Role: "active", Epoch: 7, Held: true, Members: []cluster.Peer{{Node: "b", Role: cluster.NotHeard}}}
		},
		TrunkGroups: func() []trunk.GroupState { return []trunk.GroupState{{Group: "uk", ChannelsOut: 3}} },
		Trunks: func() []trunk.Snapshot {
			return []trunk.Snapshot{{Trunk: "a", State: "down", Out: trunk.Figures{Counts: trunk.Counts{Attempts: 7}}}}
		},
	}
}

func TestAdminSocket(t *testing.T) {
	f := &fakeSwitch{}
	c, _ := serve(t, f)
	if s, err := c.Status(); err != nil || s.Node != "n" || s.Calls != 1 {
		t.Fatalf("status %+v %v", s, err)
	}
	if calls, err := c.Calls(); err != nil || len(calls) != 1 || calls[0].Call != "c1" {
		t.Fatalf("calls %+v %v", calls, err)
	}
	if all, err := c.Registrations(); err != nil || len(all) != 1 || all[0].Extension != "1001" {
		t.Fatalf("registrations %+v %v", all, err)
	}
	if err := c.HangUp("c1"); err != nil || f.hungUp != "c1" {
		t.Fatalf("hang up: %v", err)
	}
	if err := c.HangUp("a&b=c"); err == nil || !strings.Contains(err.Error(), `"a&b=c"`) {
		t.Fatalf("hang up of no call: %v", err)
	}
	if ch, err := c.Reload(false); err != nil || ch.Plan != "p2" {
		t.Fatalf("reload %+v %v", ch, err)
	}
	if d, err := c.Diff("/a b"); err != nil || d.Plan != "p2/a b" {
		t.Fatalf("diff %+v %v", d, err)
	}
	f.reload = errors.New("a.hcl:1:2: error")
	if _, err := c.Reload(false); err == nil || err.Error() != "a.hcl:1:2: error" {
		t.Fatalf("broken reload: %v", err)
	}
	if ch, err := c.Reload(true); err != nil || ch.Plan != "p3" {
		t.Fatalf("forced reload %+v %v", ch, err)
	}
	if s, err := c.Drain(true); err != nil || !s.Draining {
		t.Fatalf("drain %+v %v", s, err)
	}
}

func TestSocketIsItsOwnersAlone(t *testing.T) {
	f := &fakeSwitch{}
	c, _ := serve(t, f)
	info, err := os.Stat(c.socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v %v", info.Mode(), err)
	}
	if _, err := New(Config{Socket: c.socket}, f, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another switch answers") {
		t.Fatalf("second switch on the socket: %v", err)
	}
}

func TestDeadSocketIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	if err := Dial(socket).ask(http.MethodGet, "/v1/status", nil); err == nil || !strings.Contains(err.Error(), "no switch runs here") {
		t.Fatalf("no socket: %v", err)
	}
	for range 2 { // the first is closed without being removed by anybody but us
		l, err := listenSocket(socket)
		if err != nil {
			t.Fatal(err)
		}
		l.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
		_ = l.Close()
	}
}

func TestHealthAndMetrics(t *testing.T) {
	f := &fakeSwitch{}
	_, url := serve(t, f)
	get := func(path string) (int, string) {
		client := http.Client{Timeout: 5 * time.Second}
		resp, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Fatalf("healthz %d", code)
	}
	if code, _ := get("/readyz"); code != 200 {
		t.Fatalf("readyz %d", code)
	}
	f.draining = true
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Fatalf("readyz while draining: %d %s", code, body)
	}
	if code, _ := get("/v1/status"); code != 404 {
		t.Fatalf("the admin API is on HTTP: %d", code)
	}
	_, body := get("/metrics")
	for _, want := range []string{
		`tandem_calls 2`, `tandem_calls_started_total 7`, `tandem_calls_ended_total{cause="16"} 5`, `tandem_registrations 3`, `tandem_registrations_turned_away_total 4`,
		`tandem_sip_messages_total{direction="in",listener="phones",transport="udp"} 10`, `tandem_media_dropped_total{reason="source"} 9`,
		`tandem_requests_merged_total 1`, `tandem_call_records_total{to="file"} 6`, `tandem_call_records_waiting 3`, `go_goroutines`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in /metrics", want)
		}
	}
}

func TestTrunksAreListedAndDrained(t *testing.T) {
	f := &fakeSwitch{}
	client, _ := serve(t, f)
	if all, err := client.TrunkGroups(); err != nil || len(all) != 1 || all[0].Group != "uk" || all[0].ChannelsOut != 3 {
		t.Error(all, err)
	}
	if all, err := client.Trunks(); err != nil || len(all) != 1 || all[0].Trunk != "a" || all[0].Channels != 60 {
		t.Fatal(all, err)
	}
	if _, err := client.DrainTrunk("a", true); err != nil || !f.trunkDrained {
		t.Error("not drained:", err)
	}
	if _, err := client.DrainTrunk("a", false); err != nil || f.trunkDrained {
		t.Error("still drained:", err)
	}
	if _, err := client.DrainTrunk("b", true); err == nil {
		t.Error("a trunk that is not there was drained")
	}
}
