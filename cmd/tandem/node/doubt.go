package node

import (
	"context"
	"strings"
	"time"

	"tandem/cluster"
	"tandem/voicemail"
)

// A deposed node may thaw and write once more. Who follows sees that such a record is older than the fence of the node that serves, takes
// no notice of it, and tells that node, which puts its own value in its place.

const (
	doubtTopic = "doubt"
	// doubtsWait bounds the keys that wait to be told: a node that thaws writes a few before it knows. What is beyond is told by the
	// next one who follows.
	doubtsWait  = 256
	doubtWithin = time.Second
)

// doubt implements cluster.Config.Doubt: what the store may have lost is put again, by the node that serves.
func (n *Node) doubt(bucket, key string) {
	switch {
	case !n.built.Load():
	case n.state.Lease().Epoch() == 0:
		select {
		case n.doubts <- bucket + "/" + key:
		default:
		}
	case bucket == bucketRegistrations:
		n.bindings.Doubt(key)
	case bucket == bucketCalls:
		n.board.Doubt(key)
	case bucket == bucketState:
		n.doubtState(key)
	case bucket == bucketRecords && key != "": // its node was deposed, or has written what it claimed
		n.unclaimed.gone(key)
		n.state.Put(cluster.Write{Bucket: bucketRecords, Key: key, Delete: true})
	}
}

// doubtState puts again what people have set and calls have used up, and a message that is here; without a key all of that.
func (n *Node) doubtState(key string) {
	kind, name, _ := strings.Cut(key, "/")
	switch kind + "/" {
	case keyMessage:
		box, id, _ := strings.Cut(name, "/")
		if m, here := n.boxes.Find(box, id); here {
			n.listAgain(m)
		}
	case keyLamp, keyACME, keyEverywhere: // they are told, fetched or set again by themselves
	case "/":
		n.board.DoubtSetting("")
		for _, m := range n.boxes.All() {
			n.listAgain(m)
		}
	default:
		n.board.DoubtSetting(key)
	}
}

// listAgain puts a message on the list of all nodes once more, if it was there.
func (n *Node) listAgain(m voicemail.Message) {
	if !m.Shared {
		return // it is still to be offered
	}
	if w, err := listing(m); err == nil {
		w.Bucket, w.Version = bucketState, stateForm
		n.state.Put(w)
	}
}

// answerDoubts takes what other nodes have seen.
func (n *Node) answerDoubts() error {
	return n.state.Answer(doubtTopic, func(question []byte) []byte {
		bucket, key, ok := strings.Cut(string(question), "/")
		if !ok || n.state.Lease().Epoch() == 0 {
			return nil
		}
		n.doubt(bucket, key)
		return []byte("yes")
	})
}

// tellDoubts passes on what this node sees while it stands by, until ctx ends.
func (n *Node) tellDoubts(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case what := <-n.doubts:
			for _, node := range n.state.Switches() {
				ask, cancel := context.WithTimeout(ctx, doubtWithin)
				_, err := n.state.Ask(ask, node, doubtTopic, []byte(what))
				cancel()
				if err == nil {
					break
				}
			}
		}
	}
}
