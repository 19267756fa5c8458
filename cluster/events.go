package cluster

import (
	"sync"
	"time"
)

// Meaning is what an Event tells an operator.
type Meaning struct {
	Name  string
	Alarm bool   // it may be one
	Means string // a sentence
	Do    string // what to do; empty: nothing
}

// Meanings are all events there are, in the order in which an operator looks for them: what stops the service first.
var Meanings = []Meaning{
	{"no majority", true, "This node reaches no other member, so it neither serves nor promotes itself.", "Bring the network or one other member back. If the others are well, look at this one's cable."},
	{"nobody serves", true, "Two machines without a witness: the other one is silent, and this one may not decide.", "Make sure that the other machine is off, then `tandem failover --force` here."},
	{"promotion failed", true, "This node was elected and could not serve; it gives the role away.", "The detail says why: a port in use, an address that cannot be set, a disk."},
	{"fence failed", true, "The fence could not turn the other machine off, so nobody serves.", "Turn it off by hand, then `tandem failover --force` here. Mend the fence's command."},
	{"serving in doubt", true, "The serving node of two does not know whether the other one has been promoted; it asks first.", "Bring the link between the two back."},
	{"address is taken", true, "Another machine answers for the address that moves, so this node does not serve.", "Find who has the address; a frozen node gives it up within two seconds."},
	{"replication degraded", true, "Records are not held by a second node; they wait in memory. Calls go on. If this process dies now they are lost; if only the role moves, the other node is told of the registrations.", "See which member is not heard in `tandem cluster status`. A member that has just died degrades the store for up to ten seconds, once."},
	{"standby differs", true, "The standby does not hold what the serving node holds, by their checksums: a takeover would lose it.", "The serving node writes anew what differs, within some ten seconds. If it stays, restart the standby, and keep both logs."},
	{"leader and active coincide", true, "The serving node leads streams of the store. If it died now, writes would stand still for seconds.", "It mends itself as soon as a standby has caught up. If it stays: is the standby synced?"},
	{"heartbeats late", true, "Members are heard so late that a healthy node may be taken for dead.", "Give the machines more processor time, or set `election` as the detail says, on all members."},
	{"clocks apart", true, "The clocks of members differ by more than a second. Calls, registrations and who serves do not go by them; schedules, logs, call records and certificates do.", "Run an NTP client on all members. Where two others agree, the detail says that this one is wrong."},
	{"health", true, "Something of this machine is wrong: interface, gateway, disk, or it runs late.", "The detail says what. A serving node that is clearly worse off than its standby hands over."},
	{"handing over for health", true, "The serving node hands over before it dies.", "Mend it; nothing changes back by itself."},
	{"not handed over", true, "The hand-over did not work, and nothing has changed.", "The detail says why, as a rule the standby."},
	{"store of this node has stopped", true, "The store could not write to its disk; calls go on, and records wait in memory.", "Make room on the disk: it starts again by itself."},
	{"store of this node does not start again", true, "There is room, and the store does not start all the same. It is tried again.", "The detail says why."},
	{"address", true, "The address that moves could not be set or taken away.", "CAP_NET_ADMIN and CAP_NET_RAW, the interface's name."},
	{"hook failed", true, "The hook did not take the change of the role: traffic may still go to the other node.", "Run what it does by hand, and mend it."},
	{"turn not written", true, "Two machines without a witness: whose turn it is could not be written to the disk.", "Look at the disk."},
	{"different plans", true, "The two switches run different configurations: a call would go another way after a change.", "Give both the same files, `tandem reload` each."},
	{"certificate not renewed", true, "The certificate of this node ends in less than two months, and no switch has signed the next one.", "`tandem cluster renew` here says why."},
	{"role", false, "The role of this node has changed.", ""},
	{"fencing", false, "The fence turns the other machine off.", ""},
	{"store of this node runs again", false, "There is room on its disk, and the store has started again.", ""},
	{"replication restored", false, "Every record is held by two nodes again.", ""},
	{"standby mended", false, "The serving node has written anew what the standby held otherwise; the detail says of which bucket and how much.", ""},
	{"standby agrees", false, "The standby holds what the serving node holds.", ""},
	{"leader and active apart", false, "The standby leads the streams again.", ""},
	{"heartbeats in time", false, "No heartbeat has been late for a minute.", ""},
	{"clocks together", false, "The clocks of all members that are heard agree to a second again.", ""},
	{"one plan", false, "Both switches run the same configuration again.", ""},
	{"form of records", false, "A member of another version has come or gone; records are written in the newest form that all read.", ""},
	{"certificate renewed", false, "This node has its next certificate.", ""},
	{"machine taken out", false, "A machine is let in no more: it was removed, or another one has taken its name.", ""},
}

// Happening is an Event that is remembered for people.
type Happening struct {
	At     time.Time `json:"at"`
	Name   string    `json:"name"`
	Alarm  bool      `json:"alarm,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// eventsKept is how many of the last events are remembered: the log has all.
const eventsKept = 20

// happened remembers the last events.
type happened struct {
	mu     sync.Mutex
	last   []Happening // the newest last
	alarms uint64
}

func (h *happened) add(ev Event, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.last) == eventsKept {
		h.last = append(h.last[:0], h.last[1:]...)
	}
	h.last = append(h.last, Happening{at, ev.Name, ev.Alarm, ev.Detail})
	if ev.Alarm {
		h.alarms++
	}
}

func (h *happened) get() (last []Happening, alarms uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Happening(nil), h.last...), h.alarms
}
