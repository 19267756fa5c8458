package call

import (
	"context"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
	"tandem/voicemail"
)

// keyPatience is how long a listener may think after a message; then it counts as heard, and the next one is played.
const keyPatience = 6 * time.Second

// listening is a voicemail step that plays the messages of a box. As many short tones as there are new messages come
// first, nine at most; then each message. Keys: 1 plays it again, 2 keeps it, 3 deletes it, # goes on, * ends.
type listening struct {
	c     *Call
	box   string
	left  []voicemail.Message // the first one is being heard
	clip  media.Clip          // of it
	stage listenStage
}

type listenStage uint8

const (
	listenCount   listenStage = iota // the count is being told
	listenFetch                      // a file is being read, or changed
	listenMessage                    // a message is being played
	listenKey                        // it was: what shall become of it?
	listenSign                       // what became of it is told
	listenEnd                        // there are no more
)

// mostCounted bounds the tones of a count.
const mostCounted = 9

// listen lets the owner of a box, who has proven who he is by calling from his own phone, hear its messages.
func (c *Call) listen(s dialplan.Voicemail) {
	if c.facts.From != s.Box || c.shown != nil { // nor one whom the owner has transferred there
		c.log.Warn("somebody else's messages asked for", "box", s.Box, "from", c.a.party)
		c.refuseCaller("switch", &sip.StatusError{Code: 403, Reason: "Not your mailbox"})
		return
	}
	l := &listening{c: c, box: s.Box, left: c.board.voicemail.List(s.Box)}
	c.converse(l, l.tell)
}

// tell says how many messages are new.
func (l *listening) tell() error {
	fresh := 0
	for _, m := range l.left {
		if !m.Heard {
			fresh++
		}
	}
	if len(l.left) == 0 {
		return l.goodbye()
	}
	l.stage = listenCount
	if fresh == 0 {
		return l.c.a.media.Play(l.c.board.sounds().done, false)
	}
	return l.c.a.media.Play(l.c.board.sounds().fresh[min(fresh, mostCounted)-1], false)
}

func (l *listening) goodbye() error {
	l.stage = listenEnd
	return l.c.a.media.Play(l.c.board.sounds().none, false)
}

// fetch reads the next message and plays it.
func (l *listening) fetch() {
	c := l.c
	c.talkEnds = time.Time{}
	if len(l.left) == 0 {
		c.say(l.goodbye)
		return
	}
	l.stage = listenFetch
	c.say(func() error { return c.a.media.Play(c.board.sounds().quiet, true) })
	m := l.left[0]
	err := errNotDone
	c.away(func(ctx context.Context) { l.clip, err = loadMessage(ctx, c.board.voicemail, m) }, func() {
		if err != nil {
			c.log.Warn("message not playable", "box", l.box, "err", err)
			l.left = l.left[1:]
			l.fetch()
			return
		}
		l.play()
	}, nil)
}

// loadMessage reads the sound of a message, wherever it is.
func loadMessage(ctx context.Context, boxes *voicemail.Store, m voicemail.Message) (media.Clip, error) {
	file, giveBack, err := boxes.Borrow(ctx, m)
	if err != nil {
		return media.Clip{}, err
	}
	defer giveBack()
	return media.LoadWAV(file)
}

func (l *listening) play() {
	l.stage = listenMessage
	l.c.talkEnds = time.Time{}
	l.c.say(func() error { return l.c.a.media.Play(l.clip, false) })
}

func (l *listening) played() {
	switch l.stage {
	case listenCount, listenSign:
		l.fetch()
	case listenMessage:
		l.stage = listenKey
		l.c.talkEnds = time.Now().Add(keyPatience)
		l.c.say(func() error { return l.c.a.media.Play(l.c.board.sounds().quiet, true) })
	case listenEnd:
		l.c.nextStep()
	}
}

func (l *listening) pressed(key byte) {
	switch {
	case key == '*':
		l.c.talkEnds = time.Time{}
		l.c.say(l.goodbye)
	case l.stage == listenCount:
		l.fetch()
	case l.stage != listenMessage && l.stage != listenKey:
	case key == '1':
		l.play()
	case key == '2', key == '#':
		l.heard(l.c.board.sounds().done)
	case key == '3':
		l.become(l.c.board.sounds().erased, l.c.board.voicemail.Delete)
	}
}

// timedOut: who says nothing has heard it.
func (l *listening) timedOut() { l.heard(l.c.board.sounds().done) }

func (l *listening) recorded() {}
func (l *listening) end()      {}

func (l *listening) heard(sign media.Clip) { l.become(sign, l.c.board.voicemail.Mark) }

// become changes the message that was heard, says so, and goes on to the next.
func (l *listening) become(sign media.Clip, do func(box, id string) error) {
	c, m := l.c, l.left[0]
	c.talkEnds = time.Time{}
	l.left, l.stage = l.left[1:], listenFetch
	c.say(func() error { return c.a.media.Play(c.board.sounds().quiet, true) })
	err := errNotDone
	c.away(func(context.Context) { err = do(l.box, m.ID) }, func() {
		if err != nil {
			c.log.Warn("message not changed", "box", l.box, "message", m.ID, "err", err)
			sign = c.board.sounds().failed
		}
		l.stage = listenSign
		c.say(func() error { return c.a.media.Play(sign, false) })
	}, nil)
}
