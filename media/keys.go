package media

import (
	"fmt"
	"strings"

	"tandem/media/sdp"
	"tandem/media/secure"
)

// SRTPPolicy says what a leg's media may be.
type SRTPPolicy uint8

// The policies.
const (
	SRTPOff      SRTPPolicy = iota // plain RTP; offers that demand SRTP are refused
	SRTPOptional                   // SRTP where the peer offers or takes it (RTP/AVP with a=crypto, RFC 8643)
	SRTPRequired                   // RTP/SAVP only
)

// A keyring holds a leg's SRTP keys. Ours are made once for each suite and live as long as the leg, and so do the contexts that
// protect with them: the same key in a fresh context would use its key stream twice.
type keyring struct {
	own     []secure.Key
	lines   []sdp.Crypto // the same for the SDP
	protect map[secure.Suite]*secure.Context

	peer      secure.Key
	unprotect *secure.Context // for peer; nil: none
}

func newKeyring() (*keyring, error) {
	k := &keyring{protect: make(map[secure.Suite]*secure.Context)}
	for i, suite := range secure.Preferred() {
		key, err := secure.NewKey(i+1, suite)
		if err != nil {
			return nil, fmt.Errorf("media: SRTP key: %w", err)
		}
		k.own = append(k.own, key)
		line, err := cryptoLine(key)
		if err != nil {
			return nil, err
		}
		k.lines = append(k.lines, line)
	}
	return k, nil
}

func cryptoLine(k secure.Key) (sdp.Crypto, error) { return lineOf(k.Tag, k.Crypto()) }

// lineOf is the line whose value is text.
func lineOf(tag int, text string) (sdp.Crypto, error) {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return sdp.Crypto{}, fmt.Errorf("media: SRTP key without parameters")
	}
	return sdp.Crypto{Tag: tag, Suite: parts[1], Params: parts[2]}, nil
}

// contexts gives those for what was agreed: ours by its suite, the peer's the same as before while its key is the same.
func (k *keyring) contexts(local, remote sdp.Crypto) (protect, unprotect *secure.Context, err error) {
	peer, err := secure.ParseCrypto(remote.Value())
	if err != nil {
		return nil, nil, err
	}
	for _, own := range k.own {
		if own.Suite.String() == local.Suite {
			if protect, err = k.protector(own); err != nil {
				return nil, nil, err
			}
		}
	}
	if protect == nil {
		return nil, nil, secure.ErrSuite
	}
	if k.unprotect == nil || !k.peer.Equal(peer) {
		if k.unprotect, err = secure.NewContext(peer); err != nil {
			return nil, nil, err
		}
		k.peer = peer
	}
	return protect, k.unprotect, nil
}

func (k *keyring) protector(own secure.Key) (*secure.Context, error) {
	if c := k.protect[own.Suite]; c != nil {
		return c, nil
	}
	c, err := secure.NewContext(own)
	if err == nil {
		k.protect[own.Suite] = c
	}
	return c, err
}

// usable says whether a peer's a=crypto line can be worked with.
func usable(c sdp.Crypto) bool {
	_, err := secure.ParseCrypto(c.Value())
	return err == nil
}
