package console

import (
	"net/http"
	"net/url"

	"tandem/dialplan"
)

// Features is what an extension does with calls for it.
type Features struct {
	Extension string `json:"extension"`
	dialplan.Features
}

// NightSwitch is a schedule as it is now.
type NightSwitch struct {
	Schedule string `json:"schedule"`
	State    string `json:"state"` // "open" or "closed" by hand, "auto" by its hours
	Open     bool   `json:"open"`
}

// FeatureSwitch is what people can set without touching the configuration.
type FeatureSwitch interface {
	Features(extension string) (Features, error)
	// Set does one thing for an extension, or for a schedule; it fails where there is none, or where the extension may not
	// forward to a number.
	Set(extension string, set dialplan.Set) error
	NightSwitch(schedule string) (NightSwitch, error)
}

// features is the part of the admin API that sets forwards, do-not-disturb and night switches.
func features(mux *http.ServeMux, s FeatureSwitch) {
	show := func(w http.ResponseWriter, extension string) {
		f, err := s.Features(extension)
		if err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		reply(w, f)
	}
	mux.HandleFunc("GET /v1/features", func(w http.ResponseWriter, r *http.Request) { show(w, r.FormValue("extension")) })
	mux.HandleFunc("POST /v1/features", func(w http.ResponseWriter, r *http.Request) {
		extension := r.FormValue("extension")
		err := s.Set(extension, dialplan.Set{Feature: r.FormValue("feature"), Number: r.FormValue("number")})
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err)
			return
		}
		show(w, extension)
	})
	night := func(w http.ResponseWriter, schedule string) {
		n, err := s.NightSwitch(schedule)
		if err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		reply(w, n)
	}
	mux.HandleFunc("GET /v1/night", func(w http.ResponseWriter, r *http.Request) { night(w, r.FormValue("schedule")) })
	mux.HandleFunc("POST /v1/night", func(w http.ResponseWriter, r *http.Request) {
		schedule := r.FormValue("schedule")
		err := s.Set("", dialplan.Set{Feature: dialplan.Night, Schedule: schedule, State: r.FormValue("state")})
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err)
			return
		}
		night(w, schedule)
	})
}

// Features asks what an extension does with calls for it.
func (c *Client) Features(extension string) (f Features, err error) {
	return f, c.ask(http.MethodGet, "/v1/features?extension="+url.QueryEscape(extension), &f)
}

// Set changes one of an extension's features.
func (c *Client) Set(extension string, set dialplan.Set) (f Features, err error) {
	q := url.Values{"extension": {extension}, "feature": {set.Feature}, "number": {set.Number}}
	return f, c.ask(http.MethodPost, "/v1/features?"+q.Encode(), &f)
}

// NightSwitch asks how a schedule is; state, where it is not empty, changes it: "open", "closed" or "auto".
func (c *Client) NightSwitch(schedule, state string) (n NightSwitch, err error) {
	q := url.Values{"schedule": {schedule}, "state": {state}}
	method := http.MethodPost
	if state == "" {
		method = http.MethodGet
	}
	return n, c.ask(method, "/v1/night?"+q.Encode(), &n)
}
