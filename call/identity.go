package call

import (
	"context"
	"slices"
	"time"

	"tandem/sip"
	"tandem/stir"
	"tandem/trunk"
)

// passedOn is how old a call may be whose own PASSporT is passed on: a later one would be stale at the next verifier.
const passedOn = 25 * time.Second

// verifyCaller has the Identity headers of a carrier's call looked at elsewhere, for that may mean to fetch a certificate; the
// call is routed when that is known. It is false where there is nothing to wait for.
func (c *Call) verifyCaller() bool {
	v := c.settings.Verifier
	if c.a.trunk == nil || v == nil || !c.a.trunk.Config().STIR.Verify.On() {
		return false
	}
	m, cfg, home := c.a.invite.Request(), c.a.trunk.Config(), c.home()
	var values []string
	for e := range m.Elements(sip.HeaderIdentity) {
		values = append(values, e)
	}
	call := stir.Call{Orig: cfg.Asserted(m, home), To: cfg.ToNumber(m, home), Called: c.facts.To}
	verdict := stir.Verdict{Verstat: stir.Failed, Refusal: &sip.StatusError{Code: 436, Err: errNotDone}}
	c.away(func(ctx context.Context) {
		verdict = v.Verify(ctx, time.Now(), values, call)
	}, func() { c.verified(verdict) }, nil)
	return true
}

// verified goes on with a call whose caller has been looked at.
func (c *Call) verified(v stir.Verdict) {
	c.verdict = v
	if i := slices.Index(Verstats[:], v.Verstat); i >= 0 {
		c.board.stats.Verified[i].Add(1)
	}
	c.record.Verstat, c.record.Attest, c.record.OrigID = v.Verstat, v.Attest, printable(v.OrigID)
	if v.Refusal != nil {
		c.log.Info("caller not verified", "trunk", c.a.trunk.Name(), "status", v.Refusal.Code, "err", v.Refusal.Err)
		if c.a.trunk.Config().STIR.Verify == trunk.VerifyRequire {
			refusal := *v.Refusal
			refusal.Err = nil
			c.refuseCaller("switch", &refusal)
			return
		}
	}
	c.route()
}

// tellVerdict tells a phone what is known of the caller's number (3GPP TS 24.229 §7.2A.20). What anybody has written of it
// before has not come this far.
func (c *Call) tellVerdict(l *Leg, w *sip.Writer) {
	number := c.decision.CallerID.Number
	if c.shown != nil {
		number = c.shown.Number
	}
	if c.verdict.Verstat == "" || stir.Number(number) == "" {
		return
	}
	w.Set(sip.HeaderPAssertedIdentity,
		"<sip:"+sip.EscapeUser(number)+";verstat="+string(c.verdict.Verstat)+"@"+c.domain(l.flow)+";user=phone>")
}

// sign writes the Identity headers of a call to a carrier that is to have them: those that came with the call and passed,
// with our own word on where it was diverted, or else our own word on who calls.
func (c *Call) sign(l *Leg, w *sip.Writer) {
	s, cfg := c.settings.Signer, l.trunk.Config()
	if s == nil || !cfg.STIR.Sign || c.hunt == nil {
		return
	}
	who := c.outwardCaller()
	shown, dest := cfg.Shown(who), c.hunt.target.Number
	level := attestation(&cfg.STIR, c.facts.Trunk != "", who.Ours && shown == who.Number)
	if stir.Number(shown) == "" || stir.Number(dest) == "" || level == "none" {
		return
	}
	now := time.Now()
	if len(c.verdict.Values) > 0 && stir.Number(shown) == c.verdict.Orig && now.Sub(c.started) < passedOn {
		values := c.verdict.Values
		if stir.Number(dest) != stir.Number(c.decision.Number) {
			div, err := s.SignDiversion(now, shown, c.decision.Number, dest)
			if err != nil {
				c.log.Warn("diversion not signed", "trunk", l.trunk.Name(), "err", err)
				return
			}
			values = append(values[:len(values):len(values)], div)
		}
		for _, v := range values {
			w.Add("Identity", oneLine(v))
		}
		return
	}
	value, err := s.Sign(now, stir.Attestation(level), shown, dest, c.a.party)
	if err != nil {
		c.log.Warn("call not signed", "trunk", l.trunk.Name(), "err", err)
		return
	}
	w.Add("Identity", value)
}

// attestation is the word that we give for a caller.
func attestation(s *trunk.STIR, transit, owned bool) string {
	switch {
	case transit:
		return s.Transit
	case owned:
		return s.Owned
	}
	return s.Known
}
