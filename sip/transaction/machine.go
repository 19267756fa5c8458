package transaction

import "time"

// Kind is one of the four machines of RFC 3261 §17.
type Kind uint8

// The four machines.
const (
	InviteClient Kind = iota
	NonInviteClient
	InviteServer
	NonInviteServer
	kinds
)

var kindNames = [kinds]string{"invite-client", "non-invite-client", "invite-server", "non-invite-server"}

// String is the kind as logs and metrics have it.
func (k Kind) String() string { return kindNames[k] }

// State is a state of RFC 3261 §17 or RFC 6026.
type State uint8

// The states; which of them occur depends on the Kind.
const (
	Calling State = iota
	Trying
	Proceeding
	Accepted
	Completed
	Confirmed
	Terminated
	states
)

var stateNames = [states]string{"calling", "trying", "proceeding", "accepted", "completed", "confirmed", "terminated"}

// String is the state as logs and metrics have it.
func (s State) String() string { return stateNames[s] }

// Action is one thing that the owner of a Machine must do after a step, in the order given.
type Action uint8

// Actions. "Kept" is the text that the owner keeps for the machine: a client's request and later its ACK, or
// a server's last response.
const (
	Send    Action = iota + 1 // server: send and keep the response just given to Respond
	Resend                    // send the kept text again, if there is one
	Hundred                   // server: send and keep 100 Trying
	Ack                       // client: make, keep and send the ACK for the response just received
	Cancel                    // client: send a CANCEL in a transaction of its own; server: tell the user of the CANCEL
	Pass                      // hand the message just received to the user
	Fail                      // tell the user that no answer, or no ACK, came
	End                       // forget the transaction; always the last
)

// Input is a message from the peer that matches the transaction, as far as its machine must know it.
type Input struct {
	Status int    // a client's response; 0 for a server
	Method string // a server's request: its own method again, ACK or CANCEL
}

// queue names the durations that a machine waits for at a stretch. Within one queue everything waits equally
// long, so that a table keeps each as a list in order of arrival.
type queue uint8

const (
	queueNone   queue = iota
	queueGiveUp       // 64*T1 that end in a failure: B, F, H, and the wait after a CANCEL
	queueTrying       // 200 ms to 100 Trying
	queueC            // Timer C
	queueLinger       // 64*T1 in which only retransmissions are absorbed: J, L, M
	queueT4           // I, K
	queueD            // D
	queues
)

// quiet tells the queues whose end nobody sees on the wire.
func (q queue) quiet() bool { return q >= queueLinger }

// cancelling is how far the CANCEL of our INVITE has come (RFC 3261 §9.1).
type cancelling uint8

const (
	cancelNone   cancelling = iota
	cancelWanted            // waits for a provisional response
	cancelSent
)

// Machine is one transaction as a value: no clock, lock, socket or message. Its owner steps it with Receive,
// Respond, Cancel, Broken and Tick, each of which appends to out what must be done, and calls Tick again at
// Deadline. Instants are durations since a beginning that the owner chose, and are above 0.
type Machine struct {
	kind     Kind
	state    State
	reliable bool       // TCP and its kin: timers A, E and G do not run, D, I, J and K are zero
	cancel   cancelling // InviteClient: ours; InviteServer: cancelSent once the user knows of the peer's
	queue    queue      // what life is waiting for
	timers   *Timers
	interval time.Duration // of A, E or G
	resend   time.Duration // next retransmission; 0: none
	life     time.Duration // end of the state by time; 0: none
}

// Start makes a machine whose request was sent (client) or received (server) at the instant now.
func Start(kind Kind, reliable bool, timers *Timers, now time.Duration) Machine {
	m := Machine{kind: kind, reliable: reliable, timers: timers}
	switch kind {
	case InviteClient, NonInviteClient:
		m.startClient(now)
	case InviteServer:
		m.state = Proceeding
		m.wait(queueTrying, now+timers.Trying)
	case NonInviteServer:
		// RFC 3261 sets no limit here. After 64*T1 the client has given up and an answer would be of no
		// use (RFC 4320 §4.2), so a user that forgot to answer does not keep the transaction for ever.
		m.state = Trying
		m.wait(queueGiveUp, now+timers.giveUp())
	}
	return m
}

// Kind is which of the four machines it is.
func (m *Machine) Kind() Kind { return m.kind }

// State is where the machine stands.
func (m *Machine) State() State { return m.state }

// Deadline is the instant of the next Tick; 0 when the machine waits for no timer.
func (m *Machine) Deadline() time.Duration {
	if m.resend != 0 && (m.life == 0 || m.resend < m.life) {
		return m.resend
	}
	return m.life
}

// Receive steps the machine with a message from the peer.
func (m *Machine) Receive(now time.Duration, in Input, out []Action) []Action {
	switch m.kind {
	case InviteClient:
		return m.inviteClientReceive(now, in.Status, out)
	case NonInviteClient:
		return m.nonInviteClientReceive(now, in.Status, out)
	case InviteServer:
		return m.inviteServerReceive(now, in.Method, out)
	default:
		return m.nonInviteServerReceive(out)
	}
}

// Respond steps a server's machine with a response of the user. ErrFinal or ErrTerminated: it must not be sent.
func (m *Machine) Respond(now time.Duration, status int, out []Action) ([]Action, error) {
	if m.state == Terminated {
		return out, ErrTerminated
	}
	if m.kind == InviteServer {
		return m.inviteServerRespond(now, status, out)
	}
	return m.nonInviteServerRespond(now, status, out)
}

// Tick steps the machine when its Deadline has come; earlier it does nothing.
func (m *Machine) Tick(now time.Duration, out []Action) []Action {
	if d := m.Deadline(); d == 0 || now < d {
		return out
	}
	switch m.kind {
	case InviteClient:
		return m.inviteClientTick(now, out)
	case NonInviteClient:
		return m.nonInviteClientTick(now, out)
	case InviteServer:
		return m.inviteServerTick(now, out)
	default:
		return m.nonInviteServerTick(out)
	}
}

// Broken steps a client's machine when its request can no longer be sent, or its connection is gone
// (RFC 3261 §17.1.4). One that has its final response does not mind.
func (m *Machine) Broken(out []Action) []Action {
	switch m.state {
	case Calling, Trying, Proceeding:
		return m.end(append(out, Fail))
	}
	return out
}

// wait sets the time limit of the state.
func (m *Machine) wait(q queue, until time.Duration) { m.queue, m.life = q, until }

// calm stops both timers.
func (m *Machine) calm() { m.queue, m.life, m.resend = queueNone, 0, 0 }

// end enters Terminated.
func (m *Machine) end(out []Action) []Action {
	m.calm()
	m.state = Terminated
	return append(out, End)
}

// linger enters a state that only absorbs retransmissions; over a reliable transport there are none.
func (m *Machine) linger(s State, q queue, until time.Duration, out []Action) []Action {
	m.calm()
	if m.reliable {
		return m.end(out)
	}
	m.state = s
	m.wait(q, until)
	return out
}
