package cluster

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Every Event of the code has its meaning, and no meaning is of an Event that is gone.
func TestEveryEventHasAMeaning(t *testing.T) {
	t.Parallel()
	known := map[string]Meaning{}
	for _, m := range Meanings {
		if _, twice := known[m.Name]; twice || m.Means == "" || m.Alarm != (m.Do != "") {
			t.Errorf("%+v", m)
		}
		known[m.Name] = m
	}
	used, alarms := map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if name, ok := lit.Type.(*ast.Ident); !ok || name.Name != "Event" {
				return true
			}
			name, alarm := "", false
			for _, e := range lit.Elts {
				pair := e.(*ast.KeyValueExpr)
				switch pair.Key.(*ast.Ident).Name {
				case "Name":
					name, _ = strconv.Unquote(pair.Value.(*ast.BasicLit).Value)
				case "Alarm":
					alarm = true
				}
			}
			used[name] = true
			alarms[name] = alarms[name] || alarm
			return true
		})
	}
	for name := range used {
		if m, ok := known[name]; !ok || m.Alarm != alarms[name] {
			t.Errorf("event %q, alarm %v: Meanings say %+v", name, alarms[name], m)
		}
	}
	for name := range known {
		if !used[name] {
			t.Errorf("nobody tells %q", name)
		}
	}
}

func TestLastEventsAreKept(t *testing.T) {
	t.Parallel()
	e := &Engine{log: quiet, cfg: Config{Tell: func(Event) {}}}
	for n := range 3 * eventsKept {
		e.tell(Event{Name: "role", Detail: strconv.Itoa(n), Alarm: n%2 == 0})
	}
	last, alarms := e.happened.get()
	if len(last) != eventsKept || last[0].Detail != strconv.Itoa(2*eventsKept) || last[eventsKept-1].Detail != strconv.Itoa(3*eventsKept-1) || alarms != 3*eventsKept/2 {
		t.Errorf("%d events, %d alarms: %+v", len(last), alarms, last)
	}
	if at := last[0].At; time.Since(at) > time.Minute {
		t.Error(at)
	}
}

// An alarm comes when the serving node has led streams for a while although a standby is there, and ends when it does not any more.
func TestLeaderAndActiveCoincide(t *testing.T) {
	t.Parallel()
	var events []string
	e := &Engine{log: quiet, cfg: Config{Node: "a", Tell: func(ev Event) { events = append(events, ev.Name) }}}
	now := time.Now()
	e.peers.all = map[string]Peer{"b": {Node: "b", Role: "standby", Heard: now.Add(time.Hour)}}
	e.lease.begin(7)
	look := func(after time.Duration, leads bool) {
		now = now.Add(after)
		e.judgeLeaders(now, leads)
	}
	look(0, false)
	look(time.Second, true) // the moment after a takeover
	look(900*time.Millisecond, true)
	if e.coincide.Load() || len(events) != 0 {
		t.Fatalf("an alarm after two seconds: %q", events)
	}
	look(1200*time.Millisecond, true)
	look(time.Second, true)
	if !e.coincide.Load() || strings.Join(events, ",") != "leader and active coincide" {
		t.Fatalf("events: %q", events)
	}
	look(time.Second, false)
	if e.coincide.Load() || strings.Join(events, ",") != "leader and active coincide,leader and active apart" {
		t.Fatalf("events: %q", events)
	}
	e.lease.end() // a node that does not serve may lead
	look(time.Second, true)
	look(time.Minute, true)
	if e.coincide.Load() {
		t.Error("an alarm of a standby")
	}
}
