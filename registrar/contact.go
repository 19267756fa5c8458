package registrar

import (
	"strings"
	"time"

	"tandem/sip"
)

// Bounds on one REGISTER.
const (
	maxContactsInRequest = 32
	maxContactText       = 1024 // bytes of one Contact value
	maxPathText          = 1024 // bytes of all Path values
	maxPaths             = 8
	maxAgentText         = 128
)

// contact is one value of Contact, read.
type contact struct {
	addr     sip.NameAddr
	uri      sip.URI
	expires  time.Duration // 0: to be removed
	instance string
	regID    uint32 // 0 unless the phone uses outbound
	q        uint16
}

// contacts reads all Contact values of a REGISTER (RFC 3261 §10.3 steps 6 and 7). star is true for "*".
func (r *Registrar) contacts(dst []contact, m *sip.Message) (list []contact, star bool, refused *sip.StatusError) {
	list = dst
	n := 0
	for i := m.Index(sip.HeaderContact); i >= 0; i = m.Next(sip.HeaderContact, i) {
		for text := range sip.List(m.Value(i)) {
			if n++; n > maxContactsInRequest {
				return nil, false, sip.Errorf(403, "Too many contacts")
			}
			c, err := r.contact(text, m)
			if err != nil {
				return nil, false, err
			}
			star = star || c.addr.Star
			list = append(list, c)
		}
	}
	if star {
		if n, ok := m.Seconds(sip.HeaderExpires); len(list) != 1 || !ok || n != 0 || list[0].addr.Params != "" {
			return nil, false, sip.Errorf(400, "Contact * needs Expires: 0 and nothing else")
		}
		return nil, true, nil
	}
	return list, false, repeatedContact(list)
}

// repeatedContact refuses two values for one binding: which one would count?
func repeatedContact(list []contact) *sip.StatusError {
	flows := 0
	for i := range list {
		if list[i].regID != 0 && list[i].expires > 0 {
			flows++
		}
		for j := range i {
			same := list[i].uri.Equal(list[j].uri)
			if list[i].regID != 0 && list[j].regID != 0 {
				same = list[i].regID == list[j].regID && sip.EqualFold(list[i].instance, list[j].instance)
			}
			if same {
				return sip.Errorf(400, "Contact given twice")
			}
		}
	}
	if flows > 1 { // RFC 5626 §6
		return sip.Errorf(400, "More than one contact with reg-id")
	}
	return nil
}

// contact reads one value.
func (r *Registrar) contact(text string, m *sip.Message) (c contact, refused *sip.StatusError) {
	if len(text) > maxContactText {
		return c, sip.Errorf(400, "Contact too long")
	}
	var err error
	if c.addr, err = sip.ParseNameAddr(text); err != nil {
		return c, sip.Errorf(400, "Malformed Contact")
	}
	if c.addr.Star {
		return c, nil
	}
	if c.uri, err = sip.ParseURI(c.addr.URI); err != nil || c.uri.Scheme == "tel" {
		return c, sip.Errorf(400, "Unusable Contact")
	}
	var ok bool
	if c.q, ok = quality(c.addr.Params); !ok {
		return c, sip.Errorf(400, "Malformed q")
	}
	c.expires = r.expires(c.addr.Params, m)
	c.instance, _ = c.addr.Params.Get("+sip.instance")
	if text, ok := c.addr.Params.Get("reg-id"); ok {
		n, ok := sip.Digits(text)
		if !ok || n == 0 || n >= 1<<31 { // RFC 5626 §4.2.1
			return c, sip.Errorf(400, "Malformed reg-id")
		}
		if c.instance != "" && m.Lists(sip.HeaderSupported, "outbound") {
			c.regID = uint32(n)
		}
	}
	if c.expires > 0 && c.expires < r.policy().MinExpires {
		e := sip.Errorf(423, "")
		e.Header = r.policy().minExpires
		return c, e
	}
	c.expires = min(c.expires, r.policy().MaxExpires)
	return c, nil
}

// expires is how long a contact is to live: its parameter, else Expires, else the default. What is malformed
// counts as not given (RFC 3261 §10.2.1.1, §20.10).
func (r *Registrar) expires(p sip.Params, m *sip.Message) time.Duration {
	if text, ok := p.Get("expires"); ok {
		if n, ok := sip.ParseSeconds(text); ok {
			return time.Duration(n) * time.Second
		}
		return r.policy().DefaultExpires
	}
	if n, ok := m.Seconds(sip.HeaderExpires); ok {
		return time.Duration(n) * time.Second
	}
	return r.policy().DefaultExpires
}

// quality reads q in thousandths; none means 1. False for what is not 0 to 1 with three decimals at most
// (RFC 3261 §25.1, qvalue).
func quality(p sip.Params) (q uint16, ok bool) {
	text, given := p.Get("q")
	if !given {
		return 1000, true
	}
	whole, part, _ := strings.Cut(text, ".")
	if whole != "0" && whole != "1" || len(part) > 3 {
		return 0, false
	}
	for i := range 3 {
		d := byte('0')
		if i < len(part) {
			d = part[i]
		}
		if d < '0' || d > '9' {
			return 0, false
		}
		q = q*10 + uint16(d-'0')
	}
	if whole == "1" {
		return 1000, q == 0
	}
	return q, true
}

// matches tells whether a contact names a stored binding: the same flow of the same instance (RFC 5626 §6), or
// an equal URI (RFC 3261 §10.3 step 7).
func (c *contact) matches(b *Binding) bool {
	if c.regID != 0 {
		return c.regID == b.RegID && sip.EqualFold(c.instance, b.Instance)
	}
	if c.addr.URI == b.Contact {
		return true
	}
	u, err := sip.ParseURI(b.Contact)
	return err == nil && c.uri.Equal(u)
}

// appendParams writes a contact's header parameters without expires, which changes with every answer, and without
// the line ends of folding.
func (c *contact) appendParams(dst []byte) []byte {
	for name, value := range c.addr.Params.All() {
		if sip.EqualFold(name, "expires") {
			continue
		}
		dst = append(append(dst, ';'), name...)
		if value == "" {
			continue
		}
		dst = append(dst, '=')
		for i := range len(value) {
			if ch := value[i]; ch < ' ' {
				dst = append(dst, ' ')
			} else {
				dst = append(dst, ch)
			}
		}
	}
	return dst
}
