package dialplan

import (
	"encoding/json"
	"fmt"
)

// MarshalJSON writes {"step": "dial", …}; times are in seconds.
func (s Dial) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Step       string    `json:"step"`
		Targets    []Target  `json:"targets"`
		Timeout    float64   `json:"timeout"`
		FailoverOn []string  `json:"failover_on,omitempty"`
		FirstReply float64   `json:"first_reply,omitempty"`
		On         []Handler `json:"on,omitempty"`
		Payer      string    `json:"payer,omitempty"`
	}{"dial", s.Targets, s.Timeout.Seconds(), s.Failover.On, s.Failover.FirstReply.Seconds(), s.On, s.Payer})
}

// MarshalJSON writes {"step": "ring", …}; times are in seconds.
func (s Ring) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Step     string    `json:"step"`
		Group    string    `json:"group"`
		Strategy Strategy  `json:"strategy"`
		Members  []string  `json:"members"`
		Timeout  float64   `json:"timeout"`
		Each     float64   `json:"each,omitempty"`
		On       []Handler `json:"on,omitempty"`
	}{"ring", s.Group, s.Strategy, s.Members, s.Timeout.Seconds(), s.Each.Seconds(), s.On})
}

// MarshalJSON writes {"step": "play", …}.
func (s Play) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Step   string `json:"step"`
		File   string `json:"file"`
		Answer bool   `json:"answer"`
	}{"play", s.File, s.Answer})
}

// MarshalJSON writes {"step": "echo"}.
func (s Echo) MarshalJSON() ([]byte, error) { return []byte(`{"step":"echo"}`), nil }

// MarshalJSON writes {"step": "tone", "hz": …}.
func (s Tone) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"step":"tone","hz":%d}`, s.Hz), nil
}

// MarshalJSON writes {"step": "reject", …}.
func (s Reject) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Step   string `json:"step"`
		Status int    `json:"status"`
		Reason string `json:"reason"`
		Cause  int    `json:"cause,omitempty"`
	}{"reject", s.Status, s.Reason, s.Cause})
}

// MarshalJSON writes {"step": "redirect", …}.
func (s Redirect) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Step    string `json:"step"`
		Status  int    `json:"status"`
		Contact string `json:"contact"`
	}{"redirect", s.Status, s.Contact})
}
