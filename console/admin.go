package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tandem/call"
	"tandem/dialplan"
	"tandem/trunk"
)

// Status is the state of the switch in one look.
type Status struct {
	Node          string     `json:"node"`
	Version       string     `json:"version"`
	Started       time.Time  `json:"started"`
	Plan          string     `json:"plan"` // version of the plan in force
	Draining      bool       `json:"draining"`
	Calls         int        `json:"calls"`
	Dialogs       int        `json:"dialogs"`
	Registrations int        `json:"registrations"` // bindings
	Transactions  int        `json:"transactions"`
	MediaSessions int        `json:"media_sessions"`
	PortsInUse    int        `json:"ports_in_use"`
	RecordsWait   int        `json:"call_records_waiting"` // for room on their disk, or for the store
	Goroutines    int        `json:"goroutines"`
	Listeners     []Listener `json:"listeners"`
}

// Listener is a socket that serves.
type Listener struct {
	Name      string `json:"name"`
	Transport string `json:"transport"`
	Address   string `json:"address"`
}

// Registration is one binding as an operator sees it.
type Registration struct {
	Extension  string    `json:"extension"`
	Contact    string    `json:"contact"`
	Source     string    `json:"source"`
	Transport  string    `json:"transport"`
	UserAgent  string    `json:"user_agent,omitempty"`
	NAT        bool      `json:"nat"`
	Registered time.Time `json:"registered"`
	Expires    time.Time `json:"expires"`
}

// Change is what a reload did.
type Change struct {
	Plan    string   `json:"plan"`    // version now in force
	Changes []string `json:"changes"` // what differs, a line each; empty: nothing
}

// Difference is what a reload would change.
type Difference struct {
	Plan      string             `json:"plan"`      // version that would be in force
	Changes   []string           `json:"changes"`   // in the configuration, a line each
	Behaviour dialplan.Behaviour `json:"behaviour"` // in how calls go
}

// Switch is what the console asks of the node. Its methods may be called from any goroutine.
type Switch interface {
	Clustered
	Status() Status
	Calls() []call.Snapshot
	Registrations(limit int) []Registration
	HangUp(call string) bool
	Trunks() []trunk.Snapshot
	TrunkGroups() []trunk.GroupState
	// DrainTrunk keeps new calls off a trunk, or lets them on again; it fails where there is no such trunk.
	DrainTrunk(name string, on bool) error
	// Reload reads the configuration anew; on an error nothing has changed. The error's text is for people. A test of
	// the configuration that fails is an error, unless force is set.
	Reload(force bool) (Change, error)
	// Diff says what the configuration in a folder would change, or where it is empty what Reload would; and changes
	// nothing.
	Diff(config string) (Difference, error)
	Drain(on bool)
	FeatureSwitch
	PassSwitch
	// Ready is nil when calls are taken.
	Ready() error
}

// maxRegistrations bounds what one request lists.
const maxRegistrations = 100_000

// admin is the API on the local socket.
func admin(s Switch) http.Handler {
	mux := http.NewServeMux()
	profiles(mux)
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Status()) })
	mux.HandleFunc("GET /v1/calls", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Calls()) })
	mux.HandleFunc("GET /v1/registrations", func(w http.ResponseWriter, r *http.Request) {
		limit, err := strconv.Atoi(r.FormValue("limit"))
		if err != nil || limit <= 0 || limit > maxRegistrations {
			limit = maxRegistrations
		}
		reply(w, s.Registrations(limit))
	})
	mux.HandleFunc("GET /v1/trunks", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Trunks()) })
	mux.HandleFunc("GET /v1/trunks/groups", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.TrunkGroups()) })
	mux.HandleFunc("POST /v1/trunks/drain", func(w http.ResponseWriter, r *http.Request) {
		if err := s.DrainTrunk(r.FormValue("trunk"), r.FormValue("off") == ""); err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		reply(w, s.Trunks())
	})
	mux.HandleFunc("POST /v1/hangup", func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("call")
		if !s.HangUp(id) {
			refuse(w, http.StatusNotFound, fmt.Errorf("no call %q is in progress: `tandem calls` lists them", id))
			return
		}
		reply(w, map[string]string{"call": id})
	})
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		change, err := s.Reload(r.FormValue("force") != "")
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err)
			return
		}
		reply(w, change)
	})
	mux.HandleFunc("GET /v1/diff", func(w http.ResponseWriter, r *http.Request) {
		d, err := s.Diff(r.FormValue("config"))
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err)
			return
		}
		reply(w, d)
	})
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, r *http.Request) {
		s.Drain(r.FormValue("off") == "")
		reply(w, s.Status())
	})
	features(mux, s)
	clusterAPI(mux, s)
	passes(mux, s)
	return mux
}

// failure is the body of an error.
type failure struct {
	Error string `json:"error"`
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{err.Error()})
}

// health answers /healthz (the process serves) and /readyz (calls are taken).
func health(mux *http.ServeMux, s Switch) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
}

// ErrStandsBy is why a node that does not serve is not ready.
var ErrStandsBy = errors.New("stands by: another node of the cluster serves")

// ErrDraining is why a draining switch is not ready.
var ErrDraining = errors.New("draining: new calls are refused")
