package trunk

import (
	"errors"
	"time"

	"tandem/sip/transport"
)

// RegistrationState is one registration as it is shown.
type RegistrationState struct {
	AOR        string    `json:"aor"`
	State      string    `json:"state"` // trying, registered, refused, failed
	Why        string    `json:"why,omitempty"`
	Hop        string    `json:"hop,omitempty"`
	Expires    time.Time `json:"expires,omitzero"`
	Associated []string  `json:"associated,omitempty"` // P-Associated-URI
}

// Snapshot is a trunk as an operator sees it.
type Snapshot struct {
	Trunk         string              `json:"trunk"`
	State         string              `json:"state"` // up, degraded, down, drained
	Why           string              `json:"why,omitempty"`
	Registrations []RegistrationState `json:"registrations,omitempty"`
	Targets       []TargetState       `json:"targets,omitempty"`
	ChannelsOut   int                 `json:"channels_out"` // in use
	ChannelsIn    int                 `json:"channels_in"`
	Channels      int                 `json:"channels"`         // the limit over both directions; 0: none
	PerSecond     int                 `json:"calls_per_second"` // that took a channel in the last whole second
	Minutes       MinutesState        `json:"minutes"`
	Groups        []string            `json:"groups,omitempty"` // that it is in
	Panics        uint64              `json:"panics,omitempty"` // bugs: its registrations and probes began anew
	Out           Figures             `json:"out"`
	In            Figures             `json:"in"`
}

// MinutesState is how long calls to the carrier have talked, those in progress included, and how long they may; 0: no
// limit.
type MinutesState struct {
	Today      float64 `json:"today"`
	ThisMonth  float64 `json:"this_month"`
	DayLimit   int     `json:"day_limit,omitempty"`
	MonthLimit int     `json:"month_limit,omitempty"`
}

// Figures are the counts of one direction with what is made of them.
type Figures struct {
	Counts
	ASR float64 `json:"asr"` // 0 to 1
	NER float64 `json:"ner"` // 0 to 1
	ACD float64 `json:"acd"` // seconds
	PDD float64 `json:"pdd"` // seconds
}

func figures(c *Counts) Figures {
	return Figures{Counts: c.clone(), ASR: c.ASR(), NER: c.NER(), ACD: c.ACD(), PDD: c.PDD()}
}

// Snapshot is the trunk as it is now.
func (t *Trunk) Snapshot(now time.Time) Snapshot {
	cfg := t.cfg.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	state, why := t.state(now)
	var groups []string
	for _, g := range t.groups {
		groups = append(groups, g.name)
	}
	return Snapshot{
		Minutes: MinutesState{t.meters.day.used(now).Minutes(), t.meters.month.used(now).Minutes(), cfg.MinutesPerDay, cfg.MinutesPerMonth},
		Groups:  groups, PerSecond: t.pace.last(now),
		Trunk: t.name, State: state.String(), Why: why, Registrations: t.regs, Targets: t.targets.Snapshot(),
		ChannelsOut: t.limits.busy[Out], ChannelsIn: t.limits.busy[In], Channels: cfg.Channels.Both, Panics: t.panics.Load(),
		Out: figures(&t.counts[Out]), In: figures(&t.counts[In]),
	}
}

func isNoRoute(err error) bool { return errors.Is(err, transport.ErrNoRoute) }
