package dialog

import (
	"fmt"
	"strings"
	"time"

	"tandem/sip"
)

// MinSE is the shortest session interval that we agree to (RFC 4028 §5).
const MinSE = 90 * time.Second

// SessionTimer is the keep-alive of one dialog (RFC 4028). The zero value means that there is none.
type SessionTimer struct {
	Interval  time.Duration
	Refresher bool      // we refresh; otherwise the peer does
	Due       time.Time // when the last refresh was agreed
}

// Refresh is when we must send one: half the interval (RFC 4028 §10); zero when it is not for us.
func (t SessionTimer) Refresh() time.Time {
	if t.Interval == 0 || !t.Refresher {
		return time.Time{}
	}
	return t.Due.Add(t.Interval / 2)
}

// Expiry is when the session ends for lack of a refresh: min(32 s, interval/3) before the interval is over
// (RFC 4028 §10); zero when there is no timer.
func (t SessionTimer) Expiry() time.Time {
	if t.Interval == 0 {
		return time.Time{}
	}
	return t.Due.Add(t.Interval - min(32*time.Second, t.Interval/3))
}

// OfferedBy reads the session interval that a request asks for. The error is the 422 with our Min-SE.
func OfferedBy(now time.Time, m *sip.Message) (SessionTimer, *sip.StatusError) {
	seconds, ok := m.Seconds(sip.HeaderSessionExpires)
	if !ok || !m.Lists(sip.HeaderSupported, "timer") {
		return SessionTimer{}, nil
	}
	t := SessionTimer{Interval: time.Duration(seconds) * time.Second, Due: now}
	if t.Interval < MinSE {
		return t, &sip.StatusError{Code: 422, Header: fmt.Sprintf("Min-SE: %d", int(MinSE.Seconds()))}
	}
	t.Refresher = refresher(m) == "uas"
	return t, nil
}

// AgreedBy reads the session interval of a 2xx to a request of ours.
func AgreedBy(now time.Time, m *sip.Message) SessionTimer {
	seconds, ok := m.Seconds(sip.HeaderSessionExpires)
	if !ok || seconds == 0 {
		return SessionTimer{}
	}
	return SessionTimer{
		Interval:  max(time.Duration(seconds)*time.Second, MinSE),
		Refresher: refresher(m) != "uas", Due: now,
	}
}

func refresher(m *sip.Message) string {
	_, params, _ := strings.Cut(m.Header(sip.HeaderSessionExpires), ";")
	r, _ := sip.Params(";" + params).Get("refresher")
	return strings.ToLower(r)
}

// Header is the value of Session-Expires in our 2xx, where we are the uas.
func (t SessionTimer) Header() string {
	side := "uac"
	if t.Refresher {
		side = "uas"
	}
	return fmt.Sprintf("%d;refresher=%s", int(t.Interval.Seconds()), side)
}

// HeaderAs is the value of Session-Expires with the refresher that a request of ours names: "uac" is us.
func (t SessionTimer) HeaderAs(side string) string {
	return fmt.Sprintf("%d;refresher=%s", int(t.Interval.Seconds()), side)
}
