package siptest

import (
	"cmp"
	"strconv"
	"strings"
	"tandem/sip"
	"tandem/sip/transport"
)

// Request is a request to be written. Empty fields become something sensible, the same each time, but for the
// branch, which is new each time.
type Request struct {
	Method  string // default OPTIONS
	URI     string // default sip:bob@ the flow's remote address
	Via     string // default Flow.Via(Branch)
	Branch  string // default a new one
	From    string // default <sip:alice@example.com>;tag=FromTag
	FromTag string // default "a"
	To      string // default <sip:bob@example.com>, with ToTag where there is one
	ToTag   string
	CallID  string // default "call"
	CSeq    int    // default 1
	Lines   []string
	Type    string // Content-Type; default application/sdp
	Body    string
}

// Bytes writes the request for a flow.
func (r Request) Bytes(f transport.Flow) []byte {
	method := cmp.Or(r.Method, sip.OPTIONS)
	to := cmp.Or(r.To, "<sip:bob@example.com>")
	if r.ToTag != "" {
		to += ";tag=" + r.ToTag
	}
	w := sip.NewWriter(nil)
	w.Request(method, cmp.Or(r.URI, "sip:bob@"+f.Remote().String()))
	via := r.Via
	if via == "" {
		via = f.Via(cmp.Or(r.Branch, sip.NewBranch()))
	}
	w.Set(sip.HeaderVia, via)
	w.SetInt(sip.HeaderMaxForwards, 70)
	w.Set(sip.HeaderFrom, cmp.Or(r.From, "<sip:alice@example.com>;tag="+cmp.Or(r.FromTag, "a")))
	w.Set(sip.HeaderTo, to)
	w.Set(sip.HeaderCallID, cmp.Or(r.CallID, "call"))
	w.Set(sip.HeaderCSeq, strconv.Itoa(cmp.Or(r.CSeq, 1))+" "+method)
	addLines(w, r.Lines)
	w.Finish(cmp.Or(r.Type, "application/sdp"), []byte(r.Body))
	return must(w)
}

// Response writes a response without a body to a request, with whole header lines added.
func Response(req *sip.Message, status int, toTag string, lines ...string) []byte {
	if status == 100 {
		toTag = ""
	}
	w := sip.NewWriter(nil)
	w.Respond(req, status, "", toTag)
	addLines(w, lines)
	w.Finish("", nil)
	return must(w)
}

func addLines(w *sip.Writer, lines []string) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		w.Add(name, strings.TrimSpace(value))
	}
}

func must(w *sip.Writer) []byte {
	raw, err := w.Bytes()
	if err != nil {
		panic(err)
	}
	return raw
}
