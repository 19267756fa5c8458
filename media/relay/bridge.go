package relay

// Join makes each port's peer hear the other's, and opens the learning windows of both. Whatever either was joined to before is
// parted. Both come to one loop, so that the state of both streams has one owner.
func Join(a, b *Port) error {
	if a == b {
		return a.Echo()
	}
	if b.web != nil { // browsers stay where their port is
		a, b = b, a
	}
	if err := b.follow(a); err != nil {
		return err
	}
	gone := false
	err := a.do(func() {
		if gone = b.closed; gone {
			return
		}
		a.part()
		b.part()
		a.peer, b.peer = b, a
		a.direct()
		b.direct()
		a.expect()
		b.expect()
		a.learn()
		b.learn()
	})
	if gone {
		return ErrClosed
	}
	return err
}

// Echo sends the peer back what it says.
func (p *Port) Echo() error {
	return p.do(func() {
		p.part()
		p.peer = p
		p.direct()
		p.expect()
	})
}

// Part ends Join and Echo: the peer's packets are counted and go nowhere.
func (p *Port) Part() error { return p.do(p.part) }

func (p *Port) part() {
	q := p.peer
	if q == nil {
		return
	}
	p.peer = nil
	p.direct()
	if q != p {
		q.peer = nil
		q.direct()
	}
}

// expect begins the watch over both directions anew.
func (p *Port) expect() {
	p.lastIn, p.lastOut = p.loop.now, p.loop.now
	p.told, p.mute = [2]bool{}, false
	p.soon()
}

// follow moves a port to the loop of a, if that is another; it is parted before.
func (b *Port) follow(a *Port) (err error) {
	a.mu.RLock()
	to := a.loop
	a.mu.RUnlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loop == to || b.closed {
		return nil
	}
	from := b.loop
	from.do(func() {
		b.part()
		from.dismiss(b)
		from.rearm()
	})
	to.do(func() {
		err = to.adopt(b)
		to.rearm()
	})
	if err != nil { // back where it was, for Close to find it somewhere
		from.do(func() { _ = from.adopt(b) })
	}
	return err
}
