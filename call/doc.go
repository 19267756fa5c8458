// Package call is where all the rooms meet: the Switchboard takes what the transactions deliver, and each Call
// is a B2BUA of two or more Legs, run by its one goroutine.
//
// What a Call owns, its legs, dialogs, timers and media sessions, is touched by that goroutine alone. Others
// post events to its bounded inbox, in the order of the wire, and read Snapshots. A call can be read from top to
// bottom: switchboard.go (what comes in), admit.go and limits.go (who may call), call.go and tick.go (the loop),
// steps.go (what the plan says), branch.go (the contacts that ring), answer.go (the first that wins), caller.go (what
// the caller is told), indialog.go, reoffer.go, ask.go, refresh.go and silence.go (what happens meanwhile), hangup.go
// (the end) and record.go (the CDR).
//
// Each leg has its own Call-ID, tags, Contact and session description. Nothing of one leg is shown to the other
// but the headers of passNames, the caller's number and name, and the cause of the end.
package call
