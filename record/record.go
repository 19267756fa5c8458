// Package record is the form in which values outlive the process that made them: CBOR (RFC 8949), a map by the names that the fields
// have in JSON. A reader leaves out what it does not know and leaves at zero what is not there, so a field may be added by one version
// and read by the next; what an older one must understand raises the version that the value carries. Rooms declare plain structs with
// json tags, and never look at the bytes. Times are UTC to the nanosecond.
//
// A value of the version before, which is JSON, is read all the same: no map of CBOR begins as an object of JSON does.
package record

import (
	"encoding/json"
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// encode and decode are made once: they hold what is known of each type.
var encode, decode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	e, err := cbor.EncOptions{Time: cbor.TimeRFC3339NanoUTC}.EncMode()
	d, err2 := cbor.DecOptions{}.DecMode() // nesting, lengths and doubled names are bounded by its defaults
	if err := errors.Join(err, err2); err != nil {
		panic(err) // the options are constants that the library allows
	}
	return e, d
}

// Marshal is a struct as bytes. It fails for types that have no such form (channels, functions), so for none that a test has seen.
func Marshal(v any) ([]byte, error) { return encode.Marshal(v) }

// Unmarshal reads what Marshal has written, and JSON.
func Unmarshal(data []byte, v any) error {
	if len(data) > 0 && data[0] == '{' {
		return json.Unmarshal(data, v)
	}
	return decode.Unmarshal(data, v)
}
