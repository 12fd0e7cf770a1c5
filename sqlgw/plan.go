package sqlgw

import "broadsheet.dev/broadsheet/fragments"

// storedFragment is a fragment in a store, and what is known of its content under the
// schema that it is to be read with.
type storedFragment struct {
	fragments.Fragment
	// Clean: it was proven that DuckDB reads exactly the rows that the decoder reads,
	// and it ends in a newline. Only where DuckDB can open the file at all.
	Clean bool
	// Terminated: it is known to end in a newline.
	Terminated bool
}

// piece is a part [Begin, End) of a journal that a scan reads in one way: InPlace by
// DuckDB from the file of that fragment, or else decoded from what brokers serve.
type piece struct {
	Begin, End int64
	InPlace    *fragments.Fragment
}

// planJournal cuts [begin, head) of a journal into pieces, in order and without gap or
// overlap. Begin is the start of a line.
//
// A row is a line of the stream, whatever fragments it spans, so a fragment is read in
// place only if it is clean, lies wholly in the range, and begins where a line begins:
// where the piece before it is known to end in a newline. Everything else is decoded, in
// pieces that are as long as they can be. With decodeAll nothing is read in place.
//
// Stored is ordered by (Begin, End); the time taken is linear in it.
func planJournal(begin, head int64, stored []storedFragment, decodeAll bool) []piece {
	var out []piece
	sweep := sweep{stored: stored}
	lineStart := true
	for at := begin; at < head; {
		aligned, furthest := sweep.to(at)
		switch {
		case !decodeAll && lineStart && aligned != nil && aligned.End <= head:
			out = append(out, piece{Begin: at, End: aligned.End, InPlace: &aligned.Fragment})
			at = aligned.End
		case furthest != nil:
			end := min(furthest.End, head)
			out = appendDecoded(out, at, end)
			at, lineStart = end, furthest.Terminated && end == furthest.End
		default: // only brokers hold it, up to the next stored fragment
			end := sweep.nextBegin(head)
			out = appendDecoded(out, at, end)
			at, lineStart = end, false
		}
	}
	return out
}

// sweep goes once over fragments ordered by (Begin, End).
type sweep struct {
	stored   []storedFragment
	next     int             // the first that begins beyond where the sweep is
	furthest *storedFragment // of those before next, the one that ends last
}

// to moves the sweep on to an offset. It returns the longest clean fragment that begins
// there, and the fragment around the offset that ends last; each nil if there is none.
func (s *sweep) to(at int64) (*storedFragment, *storedFragment) {
	var aligned *storedFragment
	for ; s.next < len(s.stored) && s.stored[s.next].Begin <= at; s.next++ {
		f := &s.stored[s.next]
		if s.furthest == nil || f.End > s.furthest.End {
			s.furthest = f
		}
		if f.Begin == at && f.Clean && f.End > at {
			aligned = f
		}
	}
	if s.furthest == nil || s.furthest.End <= at {
		return aligned, nil
	}
	return aligned, s.furthest
}

// nextBegin is where the next fragment begins, or limit.
func (s *sweep) nextBegin(limit int64) int64 {
	if s.next < len(s.stored) {
		return min(s.stored[s.next].Begin, limit)
	}
	return limit
}

// appendDecoded adds a decoded piece, as part of the one before it if that is decoded too.
func appendDecoded(pieces []piece, begin, end int64) []piece {
	if n := len(pieces); n > 0 && pieces[n-1].InPlace == nil {
		pieces[n-1].End = end
		return pieces
	}
	return append(pieces, piece{Begin: begin, End: end})
}
