package dialplan

import "testing"

// In a test a hook answers what the outcome says, an answer that calls cannot follow is no answer, and without one nobody
// answers.
func TestHookInATest(t *testing.T) {
	src := sourceOf(t, `
extension "1001" {}
extension "1002" {}
route "ask" {
  to = "700"
  hook {
    url    = "https://crm.example.com/call"
    secret = "k"
    otherwise {
      reject { status = 480 }
    }
  }
}
test "it decides" {
  call    = { from = "1001", to = "700" }
  outcome = { "https://crm.example.com/call" = "{\"steps\":[{\"step\":\"dial\",\"extension\":\"1002\"}]}", "1002" = "answer" }
  expect  = { answered = "1002" }
}
test "it babbles" {
  call    = { from = "1001", to = "700" }
  outcome = { "https://crm.example.com/call" = "sorry" }
  expect  = { status = 480 }
}
test "it is silent" {
  call   = { from = "1001", to = "700" }
  expect = { status = 480 }
}
`)
	p, d := Compile(src)
	if p == nil {
		t.Fatal(describeAll(d))
	}
	if proof := p.Test(); proof.Failed != 0 || len(proof.Tests) != 3 {
		t.Error(proof.Failures())
	}
}
