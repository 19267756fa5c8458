package codec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrINFO says that an INFO body carries no key press.
var ErrINFO = errors.New("codec: INFO body carries no key press")

// ParseINFO reads the body of an INFO request of type application/dtmf-relay ("Signal=5", "Duration=160" in ms, one a line) or
// application/dtmf (the key alone). The content type's parameters and case do not matter. Without a duration it is 0.
func ParseINFO(contentType string, body []byte) (Pressed, error) {
	if len(body) > 256 {
		return Pressed{}, fmt.Errorf("%w: %d bytes", ErrINFO, len(body))
	}
	kind, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/dtmf-relay":
		return parseRelay(string(body))
	case "application/dtmf":
		text := strings.TrimSpace(string(body))
		if strings.ContainsAny(text, "=") {
			return parseRelay(text) // sent under the wrong name by some gateways
		}
		return pressOf(text)
	}
	return Pressed{}, fmt.Errorf("%w: content type %q", ErrINFO, kind)
}

func parseRelay(body string) (Pressed, error) {
	var p Pressed
	found := false
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "signal":
			one, err := pressOf(value)
			if !ok || err != nil || found {
				return Pressed{}, ErrINFO
			}
			p.Code, found = one.Code, true
		case "duration":
			if ms, err := strconv.ParseUint(value, 10, 16); err == nil {
				p.Duration = time.Duration(ms) * time.Millisecond
			}
		}
	}
	if !found {
		return Pressed{}, ErrINFO
	}
	return p, nil
}

// pressOf reads a key, or the event's number as some gateways write * (10) to D (15) and the hook flash (16).
func pressOf(text string) (Pressed, error) {
	if len(text) == 1 {
		if code, ok := EventOf(text[0]); ok {
			return Pressed{Code: code}, nil
		}
		return Pressed{}, ErrINFO
	}
	if code, err := strconv.ParseUint(text, 10, 8); err == nil && code >= 10 && code <= EventFlash && len(text) == 2 {
		return Pressed{Code: uint8(code)}, nil
	}
	if strings.EqualFold(text, "hf") || strings.EqualFold(text, "flash") {
		return Pressed{Code: EventFlash}, nil
	}
	return Pressed{}, ErrINFO
}

// RelayBody is the application/dtmf-relay body for a press.
func RelayBody(p Pressed) []byte {
	signal := strconv.Itoa(int(p.Code))
	if d, ok := DigitOf(p.Code); ok {
		signal = string(d)
	}
	return fmt.Appendf(nil, "Signal=%s\r\nDuration=%d\r\n", signal, p.Duration.Milliseconds())
}
