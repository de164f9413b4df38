package cache

import (
	"strings"
	"sync"

	"spate/job"
)

// maxSequencer is the longest sequencer that is made sense of; S3's have 16 or 18 digits.
const maxSequencer = 64

// compareSequencers orders two changes of one key: negative when a came before b, 0 when they are the same change.
// Sequencers are hexadecimal numbers of which the shorter one is to be padded with zeros on its right (Amazon S3 user
// guide, "Event message structure").
func compareSequencers(a, b string) int {
	if len(a) < len(b) {
		return -compareSequencers(b, a)
	}
	return strings.Compare(a, b+strings.Repeat("0", len(a)-len(b)))
}

// rememberedKeys is how many keys' changes are remembered at least, and half as many as at most: of 64 Ki keys, at about 150
// bytes each.
const rememberedKeys = 1 << 15

// handledChanges remembers of the keys handled last which change was the newest whose effect the ledger has. A change that is
// not newer needs no look: S3, which is strongly consistent, was looked at after that newest change, so that what it
// said, and the ledger says, has the effect of all the older ones, too.
//
// What is forgotten, by chance or with the process, is looked at again, which changes nothing. It is safe for concurrent
// use, but who asks and later remembers holds the key meanwhile. The zero value remembers nothing yet.
type handledChanges struct {
	mu         sync.Mutex
	young, old map[job.Key]string // old is forgotten when young is full
}

// covers reports whether the ledger has the effect of a change.
func (h *handledChanges) covers(c Change) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	newest := h.newest(c.Key)
	return newest != "" && c.Sequencer != "" && compareSequencers(c.Sequencer, newest) <= 0
}

func (h *handledChanges) newest(k job.Key) string {
	if s, ok := h.young[k]; ok {
		return s
	}
	return h.old[k]
}

// remember says that S3 was looked at after a change, and the ledger written.
func (h *handledChanges) remember(c Change) {
	if c.Sequencer == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if newest := h.newest(c.Key); newest != "" && compareSequencers(c.Sequencer, newest) < 0 {
		return
	}
	if len(h.young) >= rememberedKeys {
		h.old, h.young = h.young, nil
	}
	if h.young == nil {
		h.young = map[job.Key]string{}
	}
	h.young[c.Key] = c.Sequencer
}

// forget says that somebody else has changed the ledger without looking at S3.
func (h *handledChanges) forget(k job.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.young, k)
	delete(h.old, k)
}
