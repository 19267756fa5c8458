// Package phone is a SIP softphone that people and tests can script: it registers, calls, answers, plays,
// records, sends and reads digits, and reports what it heard.
//
// It stands on emiago/sipgo for messages, transactions and transports, on pion/rtp, rtcp and srtp for packets, on
// pion/webrtc to be a browser (peer.go),
// and on nothing of the switch's own: a phone that shared the switch's parser, codec or SRTP code would also share
// its misreadings, and a test between the two would prove nothing. Dialogs are kept here, because sipgo's hold
// one early dialog and cannot answer a re-INVITE.
//
// New makes a Phone; Register, Dial, Call and WaitIncoming use it; Close frees every socket and goroutine.
// Command wraps all that for the command line, and Script for lines of text.
package phone
