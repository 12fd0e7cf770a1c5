package broker

import (
	"sync"

	"broadsheet.dev/broadsheet/fragments"
)

// maxHoles is how many ranges are remembered of a journal that stores have nothing of.
const maxHoles = 64

// span is a range of offsets [begin, end).
type span struct{ begin, end int64 }

// holes are ranges of a journal that its stores have nothing of: each was listed as missing by a listing that
// was begun once it was known to be missing. One listing alone doesn't tell that, as it may have been made while
// the store was away.
//
// It is known as of a revision of the journal's epochs. With another epoch, those leave the list whose bytes are
// stored by then; and which were with their members when a listing that was made before didn't have them.
type holes struct {
	mu       sync.Mutex
	revision int64
	spans    []span
}

// known tells whether all of a range is known to be a hole, as of a revision.
func (h *holes) known(revision int64, s span) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.revision != revision {
		return false
	}
	for _, k := range h.spans {
		if k.begin <= s.begin && s.end <= k.end {
			return true
		}
	}
	return false
}

// note a hole, as of a revision that isn't older than the one of the others.
func (h *holes) note(revision int64, s span) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case revision < h.revision:
		return
	case revision > h.revision || len(h.spans) == maxHoles:
		h.spans = nil
	}
	h.revision = revision
	h.spans = append(h.spans, s)
}

// holeAround widens a range downwards, to where what is stored before it ends; false if something in it is stored.
func holeAround(stored fragments.CoverSet, s span) (span, bool) {
	i, ok := stored.Longest(s.begin)
	if ok || i < len(stored) && stored[i].Begin < s.end {
		return span{}, false
	}
	s.begin = 0
	if i > 0 {
		s.begin = stored[i-1].End
	}
	return s, true
}
