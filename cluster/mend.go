package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A standby that differs from the node that serves is mended by it. Its store may have come back from a kill with a value that had been
// deleted, and then reading everything anew does not help. The node that serves asks the standby for the checksums of its records, in parts and
// only of those parts that differ, and writes what it holds itself once more: values that the standby lacks, and that a key is deleted.

const (
	heldTopic  = "held"
	heldWithin = time.Second // for one answer
	mendEvery  = time.Second
	// mendAgain is how long what was written may take until it shows in what the standby says.
	mendAgain = 2 * differsAfter
	// mostMended is how many records are written anew at a time, and as many deleted: few enough that no call waits for them.
	mostMended = 256
)

var errHeld = errors.New("cluster: what a member holds cannot be read")

// keepAgreement tells other members what this one holds, and mends a standby that differs.
func (e *Engine) keepAgreement(run context.Context) error {
	if err := e.Answer(heldTopic, e.tellHeld); err != nil {
		return err
	}
	e.keeping.Go(func() { e.mendStandby(run) })
	return nil
}

// tellHeld answers the node that serves: "bucket" for the checksums of its parts, 8 bytes each, and "bucket part" for the records of one.
func (e *Engine) tellHeld(question []byte) (answer []byte) {
	name, number, one := strings.Cut(string(question), " ")
	b := e.buckets[name]
	if b == nil {
		return nil
	}
	if !one {
		for _, sum := range b.holding.parts() {
			answer = binary.BigEndian.AppendUint64(answer, sum)
		}
		return answer
	}
	part, err := strconv.Atoi(number)
	if err != nil || part < 0 || part >= holdingParts {
		return nil
	}
	answer = []byte{form}
	for key, sum := range b.holding.part(part) {
		answer = binary.AppendUvarint(answer, uint64(len(key)))
		answer = append(answer, key...)
		answer = binary.BigEndian.AppendUint64(answer, sum)
	}
	return answer
}

// readHeld reads the records of a part.
func readHeld(text []byte) (map[string]uint64, error) {
	if len(text) == 0 || text[0] != form {
		return nil, errHeld
	}
	all := map[string]uint64{}
	for text = text[1:]; len(text) > 0; {
		size, n := binary.Uvarint(text)
		if n <= 0 || size > uint64(len(text)) || uint64(len(text)) < uint64(n)+size+8 {
			return nil, errHeld
		}
		key, rest := text[n:n+int(size)], text[n+int(size):]
		all[string(key)] = binary.BigEndian.Uint64(rest)
		text = rest[8:]
	}
	return all, nil
}

// mendStandby looks whether the standby differs until ctx ends.
func (e *Engine) mendStandby(ctx context.Context) {
	timer := time.NewTimer(mendEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := mendEvery
		x := e.agrees.get(time.Now())
		for _, name := range x.Differs {
			whole, err := e.mend(ctx, e.buckets[name], x.Node)
			if err != nil && ctx.Err() == nil {
				e.log.Warn("standby is not mended: it is tried again", "standby", x.Node, "bucket", name, "err", err)
			}
			if whole || err != nil {
				wait = mendAgain
			}
		}
		timer.Reset(wait)
	}
}

// mend writes anew what the standby holds otherwise of a bucket; not whole where that is more than is written at a time.
func (e *Engine) mend(ctx context.Context, b *bucket, standby string) (whole bool, err error) {
	lacks, beyond, err := e.differences(ctx, b, standby)
	if err != nil {
		return false, err
	}
	if len(beyond) > 0 && b.fence.begunAfter(b.read.Load()) {
		e.log.Error("the standby has records that this node does not have, and may not have read before it began to serve: they are left to it", "standby", standby, "bucket", b.Name, "records", len(beyond))
		beyond = nil
	}
	var written, deleted []string
	for _, key := range beyond {
		if e.writer.again(b, Write{Bucket: b.Name, Key: key, Delete: true}) {
			deleted = append(deleted, key)
		}
	}
	missing := len(lacks)
	if missing > 0 {
		for r, err := range e.Load(ctx, b.Name) {
			if err != nil {
				return false, err
			}
			if sum, ok := lacks[r.Key]; !ok || sum != sumOf(r.Key, r.Version, r.Value) {
				continue // a replica that differs itself may have answered
			}
			missing--
			if e.writer.again(b, Write{Bucket: b.Name, Key: r.Key, Version: r.Version, Value: r.Value}) {
				written = append(written, r.Key)
			}
		}
	}
	e.log.Warn("what the standby held otherwise is written anew", "standby", standby, "bucket", b.Name, "written", some(written), "deleted", some(deleted))
	e.tell(Event{Name: "standby mended", Detail: fmt.Sprintf("standby %s, bucket %s: %d records are written anew, %d deleted, and %d are not in the store that answered",
		standby, b.Name, len(written), len(deleted), missing)})
	return len(lacks) < mostMended && len(beyond) < mostMended, nil
}

// some is the beginning of a list, for the log.
func some(keys []string) []string { return keys[:min(len(keys), 8)] }

// differences are the records that the standby lacks, or has with another value, by their checksums here, and the keys that it has beyond.
func (e *Engine) differences(ctx context.Context, b *bucket, standby string) (lacks map[string]uint64, beyond []string, err error) {
	ask := func(question string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, heldWithin)
		defer cancel()
		return e.Ask(ctx, standby, heldTopic, []byte(question))
	}
	sums, err := ask(b.Name)
	if err != nil {
		return nil, nil, err
	}
	if len(sums) != 8*holdingParts {
		return nil, nil, errHeld
	}
	lacks = map[string]uint64{}
	for n, sum := range b.holding.parts() {
		if binary.BigEndian.Uint64(sums[8*n:]) == sum {
			continue
		}
		text, err := ask(b.Name + " " + strconv.Itoa(n))
		if err != nil {
			return nil, nil, err
		}
		theirs, err := readHeld(text)
		if err != nil {
			return nil, nil, err
		}
		for key, sum := range b.holding.part(n) {
			if there, ok := theirs[key]; (!ok || there != sum) && len(lacks) < mostMended {
				lacks[key] = sum
			}
			delete(theirs, key)
		}
		for key := range theirs {
			if len(beyond) < mostMended {
				beyond = append(beyond, key)
			}
		}
	}
	return lacks, beyond, nil
}
