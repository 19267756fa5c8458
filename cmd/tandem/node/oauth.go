package node

import (
	"errors"
	"time"

	"tandem/configs"
	"tandem/token"
)

// bearers are the bearer tokens that speak for extensions of ours.
type bearers struct {
	*token.OAuth
	n *Node
}

var errNoExtension = errors.New("bearer token names no extension of ours")

// Verify tells which extension a token speaks for.
func (b bearers) Verify(now time.Time, text string) (string, time.Time, error) {
	extension, until, err := b.OAuth.Verify(now, text)
	if err != nil {
		return "", until, err
	}
	if _, ok := b.n.config.Load().Credentials[extension]; !ok {
		return "", until, errNoExtension
	}
	return extension, until, nil
}

// acceptTokens takes bearer tokens as a configuration says.
func (n *Node) acceptTokens(cfg *configs.Config) {
	n.oauth.Update(cfg.OAuth)
	if cfg.OAuth == nil {
		n.authority.Accept(nil)
		return
	}
	n.authority.Accept(bearers{n.oauth, n})
}
