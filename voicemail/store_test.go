package voicemail

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"tandem/media/codec"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func openStore(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Open(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leave puts a message of a tenth of a second into a box.
func leave(t *testing.T, s *Store, box, from string) Message {
	t.Helper()
	d, err := s.Begin(box)
	if err != nil {
		t.Fatal(err)
	}
	record(t, d)
	m, err := d.Commit(Message{From: from, Seconds: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func record(t *testing.T, d *Draft) {
	t.Helper()
	w, err := codec.NewWAVWriter(d, 1)
	if err == nil {
		err = w.Write(make([]int16, 800))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What was committed is there for the next process, with its sound; marks and deletions too, and each is told of.
func TestMessagesOutliveTheProcess(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "boxes")}
	s := openStore(t, c)
	if !s.Empty() {
		t.Error("a new store is not empty")
	}
	var told []string
	s.Notify(func(box string) { told = append(told, box) })
	leave(t, s, "1001", "1002")
	leave(t, s, "1001", "1003")
	leave(t, s, "1002", "1001")
	list := s.List("1001")
	if err := s.Mark("1001", list[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("1002", s.List("1002")[0].ID); err != nil {
		t.Fatal(err)
	}
	if len(told) != 5 {
		t.Errorf("told of %v", told)
	}
	for _, s := range []*Store{s, openStore(t, c)} {
		again := s.List("1001")
		if len(again) != 2 || again[0].ID != list[1].ID || again[0].Heard || !again[1].Heard || again[1].From != list[0].From {
			t.Errorf("%+v", again)
		}
		if n := s.Count("1001"); n != (Count{1, 1}) {
			t.Errorf("%+v", n)
		}
		if got := s.Boxes(); len(got) != 1 || got[0] != "1001" {
			t.Errorf("boxes %v", got)
		}
		if pcm, err := codec.LoadWAV(s.Sound(again[0])); err != nil || len(pcm) != 800 {
			t.Errorf("%d samples, %v", len(pcm), err)
		}
	}
	if err := s.Mark("1001", "gone"); !errors.Is(err, ErrNoMessage) {
		t.Error(err)
	}
}

// A crash at any moment of a commit or a deletion leaves whole messages and nothing else.
func TestCrash(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "boxes")}
	s := openStore(t, c)
	m := leave(t, s, "1001", "1002")
	if _, err := s.Begin("1001"); err != nil { // being recorded
		t.Fatal(err)
	}
	dir := filepath.Join(c.Dir, "1001")
	for name, text := range map[string]string{
		"20260101T000000-aaaa.wav":       "between the renames",
		"20260101T000001-aaaa.json":      `{"id": "20260101T000001-aaaa", "box": "1001"}`, // its sound is gone
		"20260101T000002-aaaa.json.part": "half of a",
		greetingFile:                     "is nobody's message",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = openStore(t, c)
	if list := s.List("1001"); len(list) != 1 || list[0].ID != m.ID {
		t.Errorf("%+v", list)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Errorf("%v %v", files, err)
	}
	if s.Greeting("1001") == "" || s.Greeting("1002") != "" || s.Greeting("../1001") != "" {
		t.Error("greetings")
	}
}

// A message whose description a person broke is left alone, and not heard.
func TestUnreadableMessage(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "boxes")}
	s := openStore(t, c)
	m := leave(t, s, "1001", "1002")
	for _, text := range []string{"{", `{"id": "../../x", "box": "1001"}`, `{"id": "` + m.ID + `", "box": "1002"}`} {
		if err := os.WriteFile(s.json(m), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if again := openStore(t, c); !again.Empty() {
			t.Errorf("%s: %+v", text, again.List("1001"))
		}
		if _, err := os.Stat(s.path(m)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBounds(t *testing.T) {
	s := openStore(t, Config{Dir: t.TempDir(), MaxMessages: 2})
	leave(t, s, "1001", "1002")
	d, err := s.Begin("1001")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin("1001"); !errors.Is(err, ErrFull) {
		t.Errorf("a message more than may be: %v", err)
	}
	d.Discard()
	d.Discard()
	leave(t, s, "1001", "1002")
	small := openStore(t, Config{Dir: t.TempDir(), MaxBytes: 1000})
	leave(t, small, "1001", "1002")
	if _, err := small.Begin("1001"); !errors.Is(err, ErrFull) {
		t.Errorf("more bytes than may be: %v", err)
	}
	for _, box := range []string{"", "..", "a/b", "a\\b", ".x", "1001 ", string(make([]byte, 65))} {
		if _, err := s.Begin(box); !errors.Is(err, ErrBox) {
			t.Errorf("box %q: %v", box, err)
		}
	}
}

func TestSummary(t *testing.T) {
	want := "Messages-Waiting: yes\r\nMessage-Account: sip:1001@192.0.2.1\r\nVoice-Message: 2/1 (0/0)\r\n"
	if got := string(Summary(Count{2, 1}, "sip:1001@192.0.2.1")); got != want {
		t.Errorf("%q", got)
	}
}
