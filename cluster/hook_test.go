package cluster

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hooked is an engine with a hook and nothing else; its hook runs before the engine knows where its addresses are.
type hooked struct {
	*addresses
	t      *testing.T
	events chan Event
}

func newHooked(t *testing.T, shard string, h Hook) *hooked {
	x := &hooked{t: t, events: make(chan Event, 16)}
	e := &Engine{log: quiet, cfg: Config{Node: "a", Shard: shard, Hook: h, Tell: func(ev Event) { x.events <- ev }}}
	x.addresses = newAddresses(e)
	t.Cleanup(x.close)
	return x
}

// active and standby are what a change of the role does to the lease and the address, in its order.
func (x *hooked) active(epoch uint64) {
	x.e.lease.begin(epoch)
	x.up()
}

func (x *hooked) standby() {
	x.e.lease.end()
	x.down()
}

// failed is the alarm that comes next.
func (x *hooked) failed() string {
	x.t.Helper()
	select {
	case ev := <-x.events:
		if ev.Name != "hook failed" || !ev.Alarm {
			x.t.Errorf("%+v", ev)
		}
		return ev.Detail
	case <-time.After(20 * time.Second):
		x.t.Fatal("nobody is told that the hook has failed")
		return ""
	}
}

// well tells that there was no alarm.
func (x *hooked) well() {
	x.t.Helper()
	select {
	case ev := <-x.events:
		x.t.Errorf("%+v", ev)
	default:
	}
}

// A hook's command is told of each change once and in order, with the epoch of who serves: standby when it begins, and when it ends.
func TestHookIsToldOfEachChange(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "told")
	script := `echo "$TANDEM_ROLE $TANDEM_EPOCH of $TANDEM_NODE in $TANDEM_SHARD" >>"$1"`
	x := newHooked(t, "north", Hook{Command: []string{"/bin/sh", "-c", script, "hook", file}, Timeout: time.Minute})
	all := ""
	told := func(line string) {
		t.Helper()
		all += line + "\n"
		var got []byte
		for limit := time.Now().Add(20 * time.Second); string(got) != all && time.Now().Before(limit); {
			<-time.After(hookEvery)
			got, _ = os.ReadFile(file)
		}
		if string(got) != all {
			t.Fatalf("told\n%s, and should be told\n%s", got, all)
		}
	}
	told("standby 0 of a in north")
	x.active(7)
	told("active 7 of a in north")
	x.standby()
	told("standby 0 of a in north")
	x.active(9)
	told("active 9 of a in north")
	<-time.After(5 * hookEvery) // of nothing new
	x.close()
	if got, _ := os.ReadFile(file); string(got) != all+"standby 0 of a in north\n" {
		t.Errorf("after its end\n%s", got)
	}
	x.well()
}

// cloud takes what hooks post.
type cloud struct {
	*httptest.Server
	posts  chan string // method, type and body
	status chan int    // what each is answered; closed: 200
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{posts: make(chan string, 16), status: make(chan int)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		c.posts <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(b)
		select {
		case status := <-c.status:
			w.WriteHeader(max(status, 200))
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// told waits for a post and says what it was; it is answered later.
func (c *cloud) told(t *testing.T) string {
	t.Helper()
	select {
	case p := <-c.posts:
		return p
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is posted")
		return ""
	}
}

// A hook's URL gets a POST of JSON for each change; what it answers from 300 on is an alarm, and the next change is told all the same.
func TestHookPosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ shard, tail string }{{"", "}"}, {"north", `,"shard":"north"}`}} {
		cloud := newCloud(t)
		x := newHooked(t, c.shard, Hook{URL: cloud.URL + "/move", Timeout: time.Minute})
		step := func(role, epoch string, status int) {
			t.Helper()
			want := `POST /move application/json {"node":"a","role":"` + role + `","epoch":` + epoch + c.tail
			if got := cloud.told(t); got != want {
				t.Errorf("told %s, and should be told %s", got, want)
			}
			cloud.status <- status
		}
		step("standby", "0", 204)
		x.active(7)
		step("active", "7", 503)
		if detail := x.failed(); !strings.Contains(detail, cloud.URL+"/move: 503") {
			t.Error(detail)
		}
		x.standby()
		step("standby", "0", 200)
		x.active(8)
		step("active", "8", 304)
		if detail := x.failed(); !strings.Contains(detail, "304") {
			t.Error(detail)
		}
		cloud.Close() // nobody listens any more
		x.standby()
		if detail := x.failed(); !strings.Contains(detail, "refused") {
			t.Error(detail)
		}
	}
}

// A hook that is slow is told of the last change alone.
func TestSlowHookIsToldOfTheLastChange(t *testing.T) {
	t.Parallel()
	cloud := newCloud(t)
	x := newHooked(t, "", Hook{URL: cloud.URL, Timeout: time.Minute})
	if got := cloud.told(t); !strings.Contains(got, `"standby"`) {
		t.Fatal(got)
	}
	x.active(7)
	<-time.After(3 * hookEvery)
	x.standby()
	<-time.After(3 * hookEvery)
	x.active(9)
	cloud.status <- 200
	if got := cloud.told(t); !strings.Contains(got, `"active","epoch":9`) {
		t.Error(got)
	}
	cloud.status <- 200
	<-time.After(3 * hookEvery)
	select {
	case got := <-cloud.posts:
		t.Errorf("told besides: %s", got)
	default:
	}
	x.well()
	close(cloud.status) // it is told of the end
}

// A command that fails is an alarm with the last that it has said, and the URL beside it is told.
func TestHookFails(t *testing.T) {
	t.Parallel()
	cloud := newCloud(t)
	script := "echo trying; echo no such address >&2; exit 3"
	x := newHooked(t, "", Hook{Command: []string{"/bin/sh", "-c", script}, URL: cloud.URL, Timeout: time.Minute})
	for _, role := range []string{"standby", "active"} {
		if got := cloud.told(t); !strings.Contains(got, `"`+role+`"`) {
			t.Error(got)
		}
		cloud.status <- 200
		if got, want := x.failed(), "/bin/sh ("+role+"): exit status 3: no such address"; got != want {
			t.Errorf("told %q, and should be told %q", got, want)
		}
		x.active(7)
	}
	close(cloud.status)
}

// A hook that hangs is ended at its time-out, though a process that it has begun goes on holding its output; the next change is told.
func TestHookHangs(t *testing.T) {
	t.Parallel()
	const limit = 100 * time.Millisecond
	began := time.Now()
	err := Hook{Command: []string{"/bin/sh", "-c", "sleep 4; true"}, Timeout: limit}.call(hookCall{Role: "active"})
	if took := time.Since(began); err == nil || took < limit || took > 3*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	cloud := newCloud(t)
	x := newHooked(t, "", Hook{URL: cloud.URL, Timeout: limit})
	for _, role := range []string{"standby", "active"} {
		if got := cloud.told(t); !strings.Contains(got, `"`+role+`"`) {
			t.Error(got)
		}
		if detail := x.failed(); !strings.Contains(detail, "deadline exceeded") {
			t.Error(detail)
		}
		x.active(7)
	}
}

// A hook that is slow and is the serving node's again by the time it ends is told so: another node's hook has taken the address meanwhile.
func TestSlowHookIsToldOfALaterEpoch(t *testing.T) {
	t.Parallel()
	cloud := newCloud(t)
	x := newHooked(t, "", Hook{URL: cloud.URL, Timeout: 20 * time.Second})
	cloud.told(t)
	x.active(7)
	cloud.status <- 200
	if got := cloud.told(t); !strings.Contains(got, `"active","epoch":7`) {
		t.Fatal(got)
	}
	x.standby() // and another node serves in epoch 8
	<-time.After(3 * hookEvery)
	x.active(9)
	close(cloud.status)
	select {
	case got := <-cloud.posts:
		if !strings.Contains(got, `"active","epoch":9`) {
			t.Error(got)
		}
	case <-time.After(50 * hookEvery):
		t.Error("not told that it serves again, in epoch 9")
	}
}
