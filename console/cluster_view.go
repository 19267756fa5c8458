package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tandem/cluster"
)

// ClusterView is the state of a pair as people read it, in the terminal and on the page.
type ClusterView struct {
	Verdict string // one line: is all well?
	Well    bool
	Facts   [][2]string // what, and how it is
	Members []MemberView
	Events  []cluster.Happening // the newest first
	cluster.Status
}

// MemberView is a line of the table of members. A field is empty where it does not apply.
type MemberView struct{ Name, Role, Epoch, Synced, Registrations, Calls, Health, Late, Certificate, Version, Plan, Leads string }

// MemberHeads are the heads of the table, in the order of MemberView.Cells.
var MemberHeads = []string{"MEMBER", "ROLE", "EPOCH", "SYNCED", "REGISTRATIONS", "CALLS", "HEALTH", "LATE", "CERTIFICATE", "LEADS", "PLAN", "VERSION"}

// Cells are the fields in order, "-" where there is none.
func (m MemberView) Cells() []string {
	cells := []string{m.Name, m.Role, m.Epoch, m.Synced, m.Registrations, m.Calls, m.Health, m.Late, m.Certificate, m.Leads, m.Plan, m.Version}
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	return cells
}

// report is what a switch tells the others of itself.
type report struct {
	Version       string `json:"version"`
	Hot           bool   `json:"hot"`
	Registrations int    `json:"registrations"`
	Calls         int    `json:"calls"`
	Standing      int    `json:"standing"` // calls at hand while it stands by
}

// ViewCluster makes a status readable.
func ViewCluster(s cluster.Status, now time.Time) ClusterView {
	v := ClusterView{Status: s}
	fact := func(what, how string, args ...any) {
		v.Facts = append(v.Facts, [2]string{what, fmt.Sprintf(how, args...)})
	}
	fact("this node", "%s: %s", s.Node, roleInWords(s, now))
	if s.Role != "single" {
		serves := s.Active
		if serves == "" {
			serves = "NOBODY, as far as this node knows"
		}
		fact("serves", "%s", serves)
	}
	if s.Epoch != 0 {
		fact("epoch", "%d", s.Epoch)
	}
	if len(s.Address) > 0 {
		where := "not here"
		if s.Here {
			where = "here"
		}
		fact("addresses", "%s (%s)", strings.Join(s.Address, ", "), where)
	}
	if s.Store != "" {
		fact("store", "outside, %s: its servers choose their leaders, so pinning them to the standby is off, and when one dies records may wait in memory for some seconds", s.Store)
	}
	if s.Copy != "" {
		fact("copy", "%s", s.Copy)
	}
	if s.Epoch != 0 || s.Put > 0 {
		fact("records", "%d written, %d wait, %d were late, %d lost", s.Put, s.Waits, s.Late, s.Lost)
	}
	if s.Agrees != nil && len(s.Agrees.Differs) == 0 {
		fact("agrees", "%s", s.Agrees)
	}
	if !s.Certificate.IsZero() {
		fact("certificate", "until %s (%s)", s.Certificate.Format(time.DateOnly), days(s.Certificate, now))
	}
	for _, p := range s.Members {
		v.Members = append(v.Members, viewMember(p, now))
	}
	for i := len(s.Events) - 1; i >= 0; i-- {
		v.Events = append(v.Events, s.Events[i])
	}
	v.judge()
	return v
}

// judge gives the line that is read first.
func (v *ClusterView) judge() {
	count := map[int]string{1: "1 problem"}[len(v.Problems)]
	if count == "" {
		count = fmt.Sprintf("%d problems", len(v.Problems))
	}
	unsynced := ""
	for _, m := range v.Members {
		if m.Synced == "NO" {
			unsynced = m.Name
		}
	}
	switch {
	case v.Role != "single" && v.Active == "":
		v.Verdict = "NOBODY SERVES, " + count
	case len(v.Problems) > 0:
		v.Verdict = v.Active + " serves, " + count
	case unsynced != "":
		v.Verdict = v.Active + " serves, " + unsynced + " is not synced yet"
	default:
		v.Verdict, v.Well = "well", true
	}
}

// roleInWords says what a role means, since when.
func roleInWords(s cluster.Status, now time.Time) string {
	role := s.Role
	if words, ok := map[string]string{
		"witness":     "votes, and serves never",
		"promoting":   "takes over at this moment",
		"suspended":   "mute: the others did not answer, or elect somebody; it goes on if nobody else has served",
		"no majority": "reaches no majority of the members, and does not promote itself",
		"starting":    "starts",
	}[role]; ok {
		role += ", " + words
	}
	if s.Role == "active" && !s.Held {
		role += ", and may not send at this moment"
	}
	if !s.Since.IsZero() && s.Since.Unix() > 0 {
		role += fmt.Sprintf(", since %v", now.Sub(s.Since).Round(time.Second))
	}
	return role
}

// ViewMember makes what is known of a member readable.
func ViewMember(p cluster.Peer) MemberView { return viewMember(p, time.Now()) }

func viewMember(p cluster.Peer, now time.Time) MemberView {
	m := MemberView{Name: p.Node, Role: p.Role}
	if p.Role == cluster.NotHeard {
		if !p.Heard.IsZero() {
			m.Role += fmt.Sprintf(" for %v", now.Sub(p.Heard).Round(time.Second))
		}
		return m
	}
	if p.Epoch != 0 {
		m.Epoch = fmt.Sprint(p.Epoch)
	}
	m.Plan, m.Leads = p.Plan, strings.Join(p.Leads, " ")
	if p.Health != nil {
		m.Health = "well"
		if p.Health.Score > 0 {
			m.Health = fmt.Sprintf("%d: %s", p.Health.Score, strings.Join(p.Health.Reasons, "; "))
		}
	}
	if p.Election != 0 {
		m.Late = fmt.Sprintf("%v of %v", p.Late.Round(time.Millisecond), p.Election)
	}
	if !p.Certificate.IsZero() {
		m.Certificate = days(p.Certificate, now)
	}
	var r report
	if len(p.Report) == 0 || json.Unmarshal(p.Report, &r) != nil || r.Version == "" {
		return m
	}
	m.Version, m.Registrations, m.Calls = r.Version, fmt.Sprint(r.Registrations), fmt.Sprint(max(r.Calls, r.Standing))
	switch {
	case p.Role == "active":
	case r.Hot:
		m.Synced = "yes"
	default:
		m.Synced = "NO"
	}
	return m
}

// days is how long something lasts, for people.
func days(until, now time.Time) string {
	left := until.Sub(now)
	switch {
	case left < 0:
		return "ENDED"
	case left < 48*time.Hour:
		return left.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(left/(24*time.Hour)))
}
