package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"tandem/test/binary"
)

// phonePage opens the switch's own page and signs in.
func phonePage(t *testing.T, s *binary.Switch, extension string, scripts ...string) *tab {
	t.Helper()
	return phonePageAt(t, s.Addr(5066), extension, scripts...)
}

func phonePageAt(t *testing.T, at, extension string, scripts ...string) *tab {
	t.Helper()
	b := open(t, extension, append([]string{helpers}, scripts...)...)
	b.enter("http://"+at, extension)
	return b
}

// enter opens the page of a switch and signs in.
func (b *tab) enter(origin, extension string) {
	b.t.Helper()
	b.run(chromedp.Navigate(origin + "/phone"))
	b.signIn(extension, binary.Password)
	b.await("registration", `document.querySelector('.state')?.textContent === 'Ready'`)
}

// signIn fills the form and sends it.
func (b *tab) signIn(extension, password string) {
	b.t.Helper()
	b.await("form", `!!document.querySelector('#extension')`)
	eval[bool](b, fmt.Sprintf(`tests.type('#extension', %q) && tests.type('#password', %q)`, extension, password))
	b.click("Sign in")
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b := phonePage(t, s, "1001")
	b.run(chromedp.Reload())
	b.await("registration after a reload", `document.querySelector('.state')?.textContent === 'Ready'`)
	b.click("Settings")
	b.click("Sign out")
	b.signIn("1001", "wrong")
	b.await("what is wrong", `document.querySelector('#problem')?.textContent.includes('Wrong extension or password')`)
	if focus := eval[string](b, `document.querySelector('#extension').value`); focus != "1001" {
		t.Errorf("the form was emptied: %q", focus)
	}
	b.signIn("1001", binary.Password)
	b.await("registration", `document.querySelector('.state')?.textContent === 'Ready'`)
}
