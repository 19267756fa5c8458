//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"sync"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// serveRooms is the peer of the switch for browsers: pion/webrtc's PeerConnection behind a SIP server of sipgo's. It takes every REGISTER, and joins
// the two phones that call the same number. It serves until the input ends; its heap is shown at http.
func serveRooms(ws, httpAddr string, in io.Reader) error {
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
	agent, err := sipgo.NewUA()
	if err != nil {
		return err
	}
	defer agent.Close()
	server, err := sipgo.NewServer(agent)
	if err != nil {
		return err
	}
	r := &rooms{relay: pionRelay{legs: map[int]*pionLeg{}}, waiting: map[string]int{}, dialogs: map[string]int{}, contact: "<sip:" + ws + ";transport=ws>"}
	server.OnInvite(r.invite)
	server.OnBye(r.bye)
	server.OnAck(func(*sip.Request, sip.ServerTransaction) {})
	server.OnRegister(func(req *sip.Request, tx sip.ServerTransaction) { r.respond(req, tx, 200, "OK", nil) })
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	failed := make(chan error, 2)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { failed <- http.ListenAndServe(httpAddr, mux) }()
	go func() { failed <- server.ListenAndServe(ctx, "ws", ws) }()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		failed <- nil
	}()
	return <-failed
}

// rooms joins who calls the same number.
type rooms struct {
	mu      sync.Mutex
	relay   pionRelay
	waiting map[string]int // leg by number
	dialogs map[string]int // leg by Call-ID
	contact string
}

func (r *rooms) invite(req *sip.Request, tx sip.ServerTransaction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	leg, answer, err := r.relay.answer(string(req.Body()))
	if err != nil {
		r.respond(req, tx, 488, "Not Acceptable Here", nil)
		return
	}
	r.dialogs[req.CallID().Value()] = leg
	room := req.Recipient.User
	if other, ok := r.waiting[room]; ok {
		delete(r.waiting, room)
		if err := r.relay.join(leg, other); err != nil {
			r.respond(req, tx, 500, err.Error(), nil)
			return
		}
	} else {
		r.waiting[room] = leg
	}
	r.respond(req, tx, 200, "OK", []byte(answer))
}

func (r *rooms) bye(req *sip.Request, tx sip.ServerTransaction) {
	r.respond(req, tx, 200, "OK", nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relay.close(r.dialogs[req.CallID().Value()])
	delete(r.dialogs, req.CallID().Value())
}

func (r *rooms) respond(req *sip.Request, tx sip.ServerTransaction, status int, reason string, body []byte) {
	res := sip.NewResponseFromRequest(req, status, reason, body)
	if h := req.Contact(); h != nil && req.Method == sip.REGISTER {
		res.AppendHeader(sip.NewHeader("Contact", h.Value()+";expires=600"))
	} else {
		res.AppendHeader(sip.NewHeader("Contact", r.contact))
	}
	if body != nil {
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	if err := tx.Respond(res); err != nil {
		fmt.Println("not answered:", err)
	}
}
