package call

import (
	"encoding/json"
	"fmt"
	"os"
)

// mostKept bounds what is read of an old file, in bytes: some hundred for each of a hundred thousand extensions.
const mostKept = 64 << 20

// oldState is the file in which earlier versions kept what people had set and calls had used up.
type oldState struct {
	Version  int                        `json:"version"` // 1
	Switches map[string]json.RawMessage `json:"switches"`
	Features map[string]json.RawMessage `json:"features"`
	Day      string                     `json:"day"` // of the minutes
	Usage    map[string]keptUsage       `json:"usage"`
	Trunks   map[string]json.RawMessage `json:"trunks"`
}

// ReadOldState gives what an earlier version has left in its file as Remember takes it, by key. An error tells of a missing file too.
func ReadOldState(path string) (map[string][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > mostKept {
		return nil, fmt.Errorf("it is longer than %d bytes", mostKept)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var old oldState
	if err := json.Unmarshal(text, &old); err != nil {
		return nil, err
	}
	if old.Version != 1 {
		return nil, fmt.Errorf("it is of version %d, and this switch reads version 1", old.Version)
	}
	all := map[string][]byte{}
	for kind, values := range map[string]map[string]json.RawMessage{keyFeatures: old.Features, keySwitch: old.Switches, keyMinutes: old.Trunks} {
		for name, v := range values {
			all[kind+name] = v
		}
	}
	for extension, u := range old.Usage {
		u.Day = old.Day
		if all[keyUsage+extension], err = json.Marshal(u); err != nil {
			return nil, err
		}
	}
	return all, nil
}
