package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tandem/call"
	"tandem/cluster"
	"tandem/voicemail"
)

// stateRecord is one of the bucket of state.
func stateRecord(t *testing.T, key string, x any) cluster.Record {
	t.Helper()
	value, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return cluster.Record{Key: key, Value: value, Version: stateForm}
}

// Whichever shard's records come first, the setting that was made last holds, on a switchboard that was there before and on one that
// comes later.
func TestLastSettingHolds(t *testing.T) {
	open, closed := json.RawMessage("true"), json.RawMessage("false")
	records := []cluster.Record{
		stateRecord(t, keyEverywhere+"schedule/office", setting{100, open}),
		stateRecord(t, keyEverywhere+"schedule/office", setting{300, closed}),
		stateRecord(t, keyEverywhere+"schedule/office", setting{200, nil}),
		stateRecord(t, keyEverywhere+"schedule/shop", setting{100, open}),
		stateRecord(t, keyEverywhere+"schedule/shop", setting{101, nil}),
	}
	for range 2 {
		d := &Directory{settings: newSettings()}
		log := slog.New(slog.DiscardHandler)
		first, late := call.New(call.Config{}, call.Rooms{}, log), call.New(call.Config{}, call.Rooms{}, log)
		d.settings.join(first, log)
		for _, r := range records {
			d.applyState(newMessageList(), r, log)
		}
		d.settings.join(late, log)
		for name, b := range map[string]*call.Switchboard{"first": first, "late": late} {
			if s := b.Switches(); len(s) != 1 || s["office"] {
				t.Errorf("%s: %v", name, s)
			}
		}
		d.settings.leave(first)
		d.settings.take("schedule/office", setting{400, open})
		if first.Switches()["office"] || !late.Switches()["office"] {
			t.Error("one that has left is told, or one that is here is not")
		}
		slices.Reverse(records)
	}
}

// A node that has read its own shard knows what was set there before it serves, whether the directory has come so far or not; what a later
// version writes is left out.
func TestOwnSettingsBeforeServing(t *testing.T) {
	n := shardNode(t, "")
	n.log = slog.New(slog.DiscardHandler)
	n.board = call.New(call.Config{}, call.Rooms{}, n.log)
	all := n.opts.Directory.everywhere()
	all.join(n.board, n.log)
	n.remember(stateRecord(t, keyEverywhere+"schedule/office", setting{100, json.RawMessage("true")}))
	if !n.board.Switches()["office"] {
		t.Error("not known")
	}
	newer := stateRecord(t, keyEverywhere+"schedule/office", setting{200, json.RawMessage("false")})
	newer.Version = stateForm + 1
	if n.remember(newer); all.takeRecord(newer) == nil || !n.board.Switches()["office"] {
		t.Error("a record of a later form is taken")
	}
}

// A setting is later than what it replaces, whatever the clock says; one that could not be kept leaves what was.
func TestStampsRise(t *testing.T) {
	s, now := newSettings(), time.Unix(1000, 0)
	s.take("schedule/office", setting{now.Add(time.Hour).UnixNano(), json.RawMessage("true")}) // of a node whose clock is ahead
	x, undo := s.stamp(now, "schedule/office", []byte("false"))
	if x.At <= now.Add(time.Hour).UnixNano() {
		t.Errorf("set at %d", x.At)
	}
	undo()
	if got := s.newest["schedule/office"]; string(got.Value) != "true" {
		t.Errorf("after undo: %s", got.Value)
	}
	_, undo = s.stamp(now, "features/1001", nil)
	undo()
	if _, there := s.newest["features/1001"]; there {
		t.Error("what was never set is there")
	}
	y, stale := s.stamp(now, "schedule/office", nil)
	s.take("schedule/office", setting{y.At + 1, json.RawMessage("true")})
	stale() // another shard has set it meanwhile
	if got := s.newest["schedule/office"]; got.At != y.At+1 {
		t.Errorf("undo took a later one back: %+v", got)
	}
}

// Messages of other shards are known by their lists, and what shall become of one is asked of the node that serves its shard.
func TestBoxesOfOtherShards(t *testing.T) {
	n := shardNode(t, "b")
	log := slog.New(slog.DiscardHandler)
	d := n.opts.Directory
	for shard, id := range map[string]string{"a": "20260101T000000-00000000000a", "b": "20260101T000001-00000000000b", "c": "20260101T000002-00000000000c"} {
		d.applyState(d.shard(shard).messages.Load(), stateRecord(t, keyMessage+"1002/"+id, map[string]any{"id": id, "box": "1002"}), log)
	}
	asked := ""
	d.shard("b").part.Store(&part{
		serving: func() string { return "node-of-b" },
		ask: func(_ context.Context, node, topic string, question []byte) ([]byte, error) {
			asked = node + " " + topic
			return []byte("y"), nil
		},
	})
	boxes := otherBoxes{n}
	if list := boxes.List("1002"); len(list) != 2 || boxes.Empty() || len(boxes.List("1003")) != 0 {
		t.Errorf("list %+v", list)
	}
	if err := boxes.Delete("1002", "20260101T000001-00000000000b"); err != nil || asked != "node-of-b erase" {
		t.Errorf("%v, asked %q", err, asked)
	}
	if err := boxes.Mark("1002", "20260101T000002-00000000000c"); err == nil {
		t.Error("a shard that nobody serves has changed a message")
	}
	if err := boxes.Mark("1002", "20260101T000000-00000000000a"); !errors.Is(err, voicemail.ErrNoMessage) {
		t.Errorf("its own message is asked of others: %v", err)
	}
	gone := cluster.Record{Key: keyMessage + "1002/20260101T000001-00000000000b", Deleted: true}
	d.applyState(d.shard("b").messages.Load(), gone, log)
	if list := boxes.List("1002"); len(list) != 1 {
		t.Errorf("after the end of one: %+v", list)
	}
}
