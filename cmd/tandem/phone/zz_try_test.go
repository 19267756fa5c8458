package phone
import ("testing";"context";"time";"os")
func TestTry(t *testing.T) {
	target := os.Getenv("TRY"); if target == "" { t.Skip() }
	p := newPhone(t, Config{SRTP: SRTP(os.Getenv("TRYSRTP")), Transport: os.Getenv("TRYNET")})
	ctx, c := context.WithTimeout(context.Background(), 5*time.Second); defer c()
	call, err := p.Call(ctx, target, CallOptions{Play:"tone:440"})
	if err != nil { t.Fatal(err) }
	s, err := call.WaitTone(ctx, 660)
	t.Log(s, err)
	t.Log(call.Hold(ctx)); t.Log(call.Resume(ctx))
	s, err = call.WaitTone(ctx, 660)
	t.Log(s, err)
	t.Log(call.SendDTMF(ctx, "12"))
	t.Log(call.Hangup(ctx))
	t.Log(call.Report())
}
