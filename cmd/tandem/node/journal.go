package node

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tandem/call"
	"tandem/cluster"
	"tandem/media"
	"tandem/record"
	"tandem/registrar"
)

// callJournal keeps the state of calls in the engine.
type callJournal struct{ engine *cluster.Engine }

// Put keeps a call's state.
func (j callJournal) Put(id string, state []byte, done func(error)) {
	w := cluster.Write{Bucket: bucketCalls, Key: id}
	w.Version, w.Value = inForm[call.State](j.engine.Form(), state)
	if done != nil {
		w.Done = func(err error) { done(deposedOr(err)) }
	}
	j.engine.Put(w)
}

// Rings implements call.Journal: a switch of the version before would take such a call for one that was answered.
func (j callJournal) Rings() bool { return j.engine.Form() >= ringingForm }

// noteLife is how long a note of streams stays: they are written again each 10 or 25 seconds, and the call's state each five minutes.
const noteLife = 2 * time.Minute

// Note keeps how far the streams of one leg have come. Nobody waits for it, and it goes by itself.
func (j callJournal) Note(id, leg string, note []byte) {
	w := cluster.Write{Bucket: bucketMedia, Key: noteKey(id, leg), TTL: noteLife}
	w.Version, w.Value = inForm[media.StreamState](j.engine.Form(), note)
	j.engine.Put(w)
}

func noteKey(id, leg string) string { return id + "/" + leg }

// Delete forgets a call.
func (j callJournal) Delete(id string, done func(error)) {
	j.engine.Put(cluster.Write{Bucket: bucketCalls, Key: id, Delete: true, Done: done})
}

// journalShards spreads AORs, so that readers of several sockets do not wait for each other.
const journalShards = 64

// bindingJournal keeps bindings in the engine, and knows which writes are still under way: the 200 to a REGISTER leaves when its
// change is held. There is no goroutine for a request; writes are pipelined.
type bindingJournal struct {
	engine *cluster.Engine
	log    *slog.Logger
	shards [journalShards]journalShard
	aors   atomic.Int64 // of which something is under way
}

// crowd is how many AORs may have a change under way before phones that are new are turned away. A pair's store holds some fifteen
// thousand changes a second, so these wait for some 35 ms, and with more of them the store would seem not to answer in time.
const crowd = 512

// crowded tells whether as much is on its way into the store as it takes in time.
func (j *bindingJournal) crowded() bool { return j.aors.Load() >= crowd }

// journalShard is bounded by the requests that the transports read at once: each entry ends within the engine's patience.
type journalShard struct {
	mu     sync.Mutex
	flying map[string]*flying
}

// flying is what is under way for one AOR.
type flying struct {
	writes int
	fenced bool
	after  []func(held bool)
}

func newBindingJournal(engine *cluster.Engine, log *slog.Logger) *bindingJournal {
	j := &bindingJournal{engine: engine, log: log}
	for i := range j.shards {
		j.shards[i].flying = map[string]*flying{}
	}
	return j
}

func (j *bindingJournal) shard(aor string) *journalShard {
	h := uint32(2166136261) // FNV-1a
	for i := range len(aor) {
		h = (h ^ uint32(aor[i])) * 16777619
	}
	return &j.shards[h%journalShards]
}

// Put implements registrar.Journal. A record stays until it is deleted, which the registrar of the node that serves does when its last binding
// has expired: so who follows is told, and the store has no clock to keep for each.
func (j *bindingJournal) Put(r registrar.Record) {
	value, err := record.Marshal(r)
	if err != nil {
		j.log.Error("binding not written", "aor", r.AOR, "err", err)
		return
	}
	j.write(r.AOR, cluster.Write{Value: value})
}

// Delete implements registrar.Journal.
func (j *bindingJournal) Delete(aor string) { j.write(aor, cluster.Write{Delete: true}) }

func (j *bindingJournal) write(aor string, w cluster.Write) {
	sh := j.shard(aor)
	sh.mu.Lock()
	f := sh.flying[aor]
	if f == nil {
		f = &flying{}
		sh.flying[aor] = f
		j.aors.Add(1)
	}
	f.writes++
	sh.mu.Unlock()
	w.Bucket, w.Key = bucketRegistrations, aor
	if !w.Delete {
		w.Version, w.Value = inForm[registrar.Record](j.engine.Form(), w.Value)
	}
	w.Done = func(err error) {
		j.landed(sh, aor, errors.Is(err, cluster.ErrFenced) || errors.Is(err, cluster.ErrClosed))
	}
	j.engine.Put(w)
}

// landed is the end of one write; after the last one those who wait are told.
func (j *bindingJournal) landed(sh *journalShard, aor string, fenced bool) {
	sh.mu.Lock()
	f := sh.flying[aor]
	f.writes--
	f.fenced = f.fenced || fenced
	var tell []func(bool)
	if f.writes == 0 {
		tell = f.after
		delete(sh.flying, aor)
		j.aors.Add(-1)
	}
	sh.mu.Unlock()
	for _, t := range tell {
		t(!f.fenced)
	}
}

// settled tells that nothing of an AOR is under way, as after most refreshes.
func (j *bindingJournal) settled(aor string) bool {
	sh := j.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.flying[aor] == nil
}

// after runs then when what was written of an AOR so far is held, or has waited long enough; at once where nothing is under way. held is
// false where nothing may be answered any more.
func (j *bindingJournal) after(aor string, then func(held bool)) {
	sh := j.shard(aor)
	sh.mu.Lock()
	if f := sh.flying[aor]; f != nil {
		f.after = append(f.after, then)
		sh.mu.Unlock()
		return
	}
	sh.mu.Unlock()
	then(true)
}
