package transport

import (
	"testing"
	"time"
)

// The pulse is stepped: each row is an instant, what happens then, and what the pulse asks for.
func TestPulse(t *testing.T) {
	start := time.Unix(1000, 0)
	type step struct {
		at   float64
		do   string // heard, pong, message, partial, whole; empty: the deadline has come
		want beat
	}
	opened := pulse{idle: 600 * time.Second, whole: 30 * time.Second, ping: 25 * time.Second, pong: 10 * time.Second}
	accepted := pulse{idle: 600 * time.Second, whole: 30 * time.Second, firstBy: start.Add(10 * time.Second)}
	web := pulse{idle: 600 * time.Second, whole: 30 * time.Second, ping: 30 * time.Second, pong: 10 * time.Second, must: true}
	for name, c := range map[string]struct {
		pulse pulse
		steps []step
	}{
		"opened, peer knows no pong": {opened, []step{{25, "", beatPing}, {35, "", beatNone}, {50, "", beatPing}, {60, "", beatNone}, {75, "", beatPing}}},
		"opened, pong stops":         {opened, []step{{25, "", beatPing}, {25.1, "pong", 0}, {50.1, "", beatPing}, {60.1, "", beatDead}}},
		"opened, messages instead":   {opened, []step{{20, "heard", 0}, {45, "", beatPing}, {46, "heard", 0}, {71, "", beatPing}}},
		"first message late":         {accepted, []step{{5, "heard", 0}, {5, "partial", 0}, {10, "", beatSlow}}},
		"first message, then idle":   {accepted, []step{{5, "heard", 0}, {5, "message", 0}, {605, "", beatSlow}}},
		"keepalives are no message":  {accepted, []step{{9, "heard", 0}, {10, "", beatSlow}}},
		"second message late": {accepted, []step{{5, "heard", 0}, {5, "message", 0}, {20, "heard", 0}, {20, "partial", 0},
			{40, "heard", 0}, {40, "partial", 0}, {50, "", beatSlow}}},
		"second message in time": {accepted, []step{{5, "heard", 0}, {5, "message", 0}, {20, "heard", 0}, {20, "partial", 0},
			{40, "heard", 0}, {40, "message", 0}, {40, "whole", 0}, {640, "", beatSlow}}},
		"browser answers":         {web, []step{{30, "", beatPing}, {31, "heard", 0}, {61, "", beatPing}}},
		"browser does not answer": {web, []step{{30, "", beatPing}, {40, "", beatDead}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.pulse
			p.heard(start)
			for _, s := range c.steps {
				now := start.Add(time.Duration(s.at * float64(time.Second)))
				switch s.do {
				case "heard":
					p.heard(now)
				case "pong":
					p.heard(now)
					p.ponged()
				case "message":
					p.message()
				case "partial":
					p.rest(now, true)
				case "whole":
					p.rest(now, false)
				default:
					if !p.deadline().Equal(now) {
						t.Fatalf("deadline %v, want %v", p.deadline().Sub(start), now.Sub(start))
					}
					if got := p.expire(now); got != s.want {
						t.Fatalf("at %v: %v, want %v", s.at, got, s.want)
					}
				}
			}
		})
	}
}
