package siptorture

import (
	"strings"
	"testing"
)

func TestMessages(t *testing.T) {
	count, seen := map[int]int{}, map[string]bool{}
	for _, m := range Messages() {
		count[m.RFC]++
		if m.Raw == "" || seen[m.Name] || m.Trap == "" || m.Section == "" {
			t.Errorf("%s is empty, twice there or says nothing", m.Name)
		}
		seen[m.Name] = true
		head, _, _ := strings.Cut(m.Raw, "\r\n\r\n")
		if strings.Contains(strings.ReplaceAll(head, "\r\n", ""), "\n") {
			t.Errorf("%s: a tool has touched its line ends", m.Name)
		}
		response := strings.HasPrefix(m.Raw, "SIP/2.0 ")
		if silent := len(m.Answers(false)) == 0; silent != response {
			t.Errorf("%s: answers %v to a response: %v", m.Name, m.Answers(false), response)
		}
		for _, code := range append(m.Answers(true), m.Answers(false)...) {
			if m.Verdict == Refuse && code != m.Code && code != 400 || m.Verdict == Drop || code < 200 {
				t.Errorf("%s: %d is no answer for verdict %d", m.Name, code, m.Verdict)
			}
		}
	}
	if count[4475] != 49 || count[5118] != 12 {
		t.Errorf("%v messages, want 49 of RFC 4475 and 12 of RFC 5118", count)
	}
	if files, err := files.ReadDir("messages"); err != nil || len(files) != len(seen) {
		t.Errorf("%d files for %d messages: %v", len(files), len(seen), err)
	}
}
