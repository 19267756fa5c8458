//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"

	"github.com/pion/webrtc/v4"

	"tandem/media"
)

// What the two relays of browser legs are asked, one JSON line each way. They run as processes of their own, beside each other: the media room of
// the switch, and one of a hundred lines on pion's PeerConnection.
type question struct {
	Do  string `json:"do"`            // leg, join, close or stats
	SDP string `json:"sdp,omitempty"` // leg: the offer
	A   int    `json:"a,omitempty"`   // leg numbers: join, close
	B   int    `json:"b,omitempty"`
}

type reply struct {
	Error      string `json:"error,omitempty"`
	Leg        int    `json:"leg,omitempty"`
	SDP        string `json:"sdp,omitempty"`
	Memory     uint64 `json:"memory,omitempty"` // bytes of heap and stacks in use after a collection
	Goroutines int    `json:"goroutines,omitempty"`
}

// A relayer holds legs.
type relayer interface {
	answer(offer string) (leg int, sdp string, err error)
	join(a, b int) error
	close(leg int)
}

// serveRelay answers questions until the input ends.
func serveRelay(kind string, in io.Reader, out io.Writer) error {
	var r relayer
	switch kind {
	case "media":
		ctx, cancel := context.WithCancel(context.Background())
		e, err := media.NewEngine(media.Config{LoopbackPeers: true, Loops: 1}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err != nil {
			cancel()
			return err
		}
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		defer func() { cancel(); <-done }()
		r = &mediaRelay{engine: e, legs: map[int]*media.Session{}}
	case "pion":
		r = &pionRelay{legs: map[int]*pionLeg{}}
	default:
		return fmt.Errorf("no relay %q", kind)
	}
	enc, lines := json.NewEncoder(out), bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		if err := enc.Encode(ask(r, q)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func ask(r relayer, q question) (a reply) {
	var err error
	switch q.Do {
	case "leg":
		a.Leg, a.SDP, err = r.answer(q.SDP)
	case "join":
		err = r.join(q.A, q.B)
	case "close":
		r.close(q.A)
	case "stats":
		runtime.GC()
		runtime.GC() // what the first one has freed is swept
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		a.Memory, a.Goroutines = m.HeapAlloc+m.StackInuse, runtime.NumGoroutine()
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// mediaRelay is the media room of the switch.
type mediaRelay struct {
	engine *media.Engine
	legs   map[int]*media.Session
	next   int
}

func (r *mediaRelay) answer(offer string) (int, string, error) {
	s, err := r.engine.NewSession(media.Options{Call: fmt.Sprint(r.next / 2), Local: servers, SignallingSource: generator, Web: true})
	if err != nil {
		return 0, "", err
	}
	r.next++
	r.legs[r.next] = s
	if err := s.SetOffer([]byte(offer)); err != nil {
		return 0, "", err
	}
	answer, err := s.CreateAnswer(nil)
	return r.next, string(answer), err
}

func (r *mediaRelay) join(a, b int) error { return media.Join(r.legs[a], r.legs[b]) }

func (r *mediaRelay) close(leg int) {
	r.legs[leg].Close()
	delete(r.legs, leg)
}

// pionRelay forwards RTP between PeerConnections as pion's examples do: what a track reads, the other leg's track writes.
type pionRelay struct {
	legs map[int]*pionLeg
	next int
}

type pionLeg struct {
	pc    *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	other chan *pionLeg
}

var errNoLeg = errors.New("no such leg")

func (r *pionRelay) api() (*webrtc.API, error) {
	var s webrtc.SettingEngine
	s.SetLite(true)
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	m := new(webrtc.MediaEngine)
	err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}},
		webrtc.RTPCodecTypeAudio)
	return webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(m)), err
}

func (r *pionRelay) answer(offer string) (int, string, error) {
	api, err := r.api()
	if err != nil {
		return 0, "", err
	}
	l := &pionLeg{other: make(chan *pionLeg, 1)}
	if l.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return 0, "", err
	}
	capability := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}
	if l.track, err = webrtc.NewTrackLocalStaticRTP(capability, "audio", "relay"); err != nil {
		return 0, "", err
	}
	if _, err = l.pc.AddTrack(l.track); err != nil {
		return 0, "", err
	}
	l.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		other := <-l.other
		for {
			p, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			_ = other.track.WriteRTP(p)
		}
	})
	sdp, err := l.describe(offer)
	r.next++
	r.legs[r.next] = l
	return r.next, sdp, err
}

func (l *pionLeg) describe(offer string) (string, error) {
	if err := l.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	answer, err := l.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(l.pc)
	if err := l.pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return l.pc.LocalDescription().SDP, nil
}

func (r *pionRelay) join(a, b int) error {
	x, y := r.legs[a], r.legs[b]
	if x == nil || y == nil {
		return errNoLeg
	}
	x.other <- y
	y.other <- x
	return nil
}

func (r *pionRelay) close(leg int) {
	if l := r.legs[leg]; l != nil {
		select {
		case l.other <- l: // for a track that still waits
		default:
		}
		_ = l.pc.Close()
		delete(r.legs, leg)
	}
}
