package recoverylog

import (
	"cmp"
	"fmt"
	"slices"

	"broadsheet.dev/broadsheet/protocol"
)

// segment is a range of a log with operations of one author, all of which have to be read. Unlike in a Segment, its
// log is always named.
type segment struct {
	author      uint32
	firstSeqNo  int64
	lastSeqNo   int64
	firstOffset int64 // where the first operation begins, or a bound of operations before it
	lastOffset  int64 // where the last one ends, or a bound beyond it; 0 if that isn't known
	firstSum    uint32
	log         string
}

// SegmentError is of segments that can't be of one history.
type SegmentError struct {
	// SeqNo that the segment begins with.
	SeqNo int64
	// Reason why it can't be.
	Reason string
}

// Error has the sequence number and the reason.
func (e *SegmentError) Error() string {
	return fmt.Sprintf("segment from operation %d: %s", e.SeqNo, e.Reason)
}

func (s segment) refuse(format string, args ...any) error {
	return &SegmentError{SeqNo: s.firstSeqNo, Reason: fmt.Sprintf(format, args...)}
}

func segmentOf(x *Segment, log string) segment {
	return segment{
		author: x.GetAuthor(), firstSum: x.GetFirstChecksum(), log: cmp.Or(x.GetLog(), log),
		firstSeqNo: x.GetFirstSeqNo(), lastSeqNo: x.GetLastSeqNo(), firstOffset: x.GetFirstOffset(), lastOffset: x.GetLastOffset(),
	}
}

// proto of the segment, within hints of a log.
func (s segment) proto(log string) *Segment {
	x := &Segment{
		Author: s.author, FirstSeqNo: s.firstSeqNo, FirstOffset: s.firstOffset, FirstChecksum: s.firstSum,
		LastSeqNo: s.lastSeqNo, LastOffset: s.lastOffset,
	}
	if s.log != log {
		x.Log = s.log
	}
	return x
}

// Validate a segment of hints.
func (x *Segment) Validate() error {
	refuse := func(field, format string, args ...any) error {
		return &protocol.ValidationError{Path: field, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case x.GetAuthor() == 0:
		return refuse("Author", "is zero")
	case x.GetFirstSeqNo() <= 0:
		return refuse("FirstSeqNo", "invalid number (%d; expected > 0)", x.GetFirstSeqNo())
	case x.GetFirstOffset() < 0:
		return refuse("FirstOffset", "invalid offset (%d; expected >= 0)", x.GetFirstOffset())
	case x.GetFirstSeqNo() == 1 && x.GetFirstChecksum() != 0:
		return refuse("FirstChecksum", "invalid checksum of the first operation (%d; expected 0)", x.GetFirstChecksum())
	case x.GetLastSeqNo() < x.GetFirstSeqNo():
		return refuse("LastSeqNo", "invalid number (%d; expected >= %d)", x.GetLastSeqNo(), x.GetFirstSeqNo())
	case x.GetLastOffset() != 0 && x.GetLastOffset() <= x.GetFirstOffset():
		return refuse("LastOffset", "invalid offset (%d; expected > %d)", x.GetLastOffset(), x.GetFirstOffset())
	}
	if x.GetLog() != "" {
		if err := protocol.ValidateJournalName(x.GetLog()); err != nil {
			return refuse("Log", "%s", err)
		}
	}
	return nil
}

// segmentSet is a set of segments, which don't overlap, in the order of their numbers. The zero value is empty.
//
// Invariant: of two in one log, the later one's offsets are no less than the earlier one's.
type segmentSet []segment

// extend the set by an operation that comes after all that it has. The last segment is made longer, if it is of
// the same author and log: what lies between are operations on other files.
func (set *segmentSet) extend(s segment) error {
	n := len(*set)
	if n == 0 {
		*set = append(*set, s)
		return nil
	}
	last := &(*set)[n-1]
	if s.firstSeqNo <= last.lastSeqNo {
		return s.refuse("isn't after operation %d", last.lastSeqNo)
	}
	if err := checkOrder(*last, s); err != nil {
		return err
	}
	if s.author == last.author && s.log == last.log {
		last.lastSeqNo, last.lastOffset = s.lastSeqNo, s.lastOffset
		return nil
	}
	*set = append(*set, s)
	return nil
}

// checkOrder of the offsets of two segments, of which b begins after a, by its number.
func checkOrder(a, b segment) error {
	if a.log != b.log {
		return nil
	}
	if b.firstOffset < a.firstOffset && b.firstSeqNo > a.firstSeqNo {
		return b.refuse("begins at offset %d, before that of operation %d at %d", b.firstOffset, a.firstSeqNo, a.firstOffset)
	}
	if a.lastOffset != 0 && b.lastOffset != 0 && b.lastSeqNo > a.lastSeqNo && b.lastOffset < a.lastOffset {
		return b.refuse("ends at offset %d, before operation %d does at %d", b.lastOffset, a.lastSeqNo, a.lastOffset)
	}
	return nil
}

// add a segment, wherever it belongs, and make one of those that overlap. If it is an error the set is as it was.
func (set *segmentSet) add(s segment) error {
	// Those in [from, to) overlap it.
	from, _ := slices.BinarySearchFunc(*set, s.firstSeqNo, func(e segment, seqNo int64) int { return cmp.Compare(e.lastSeqNo, seqNo) })
	to := from
	for ; to < len(*set) && (*set)[to].firstSeqNo <= s.lastSeqNo; to++ {
		e := (*set)[to]
		if err := mergeable(e, s); err != nil {
			return err
		}
		s = merged(e, s)
	}
	if from > 0 {
		if err := checkOrder((*set)[from-1], s); err != nil {
			return err
		}
	}
	if to < len(*set) {
		if err := checkOrder(s, (*set)[to]); err != nil {
			return err
		}
	}
	*set = slices.Replace(*set, from, to, s)
	return nil
}

// mergeable tells why two segments that overlap can't be parts of one.
func mergeable(e, s segment) error {
	switch {
	case e.author != s.author:
		return s.refuse("overlaps one of another author, from operation %d", e.firstSeqNo)
	case e.log != s.log:
		return s.refuse("is in %s, and overlaps one in %s from operation %d", s.log, e.log, e.firstSeqNo)
	case e.firstSeqNo == s.firstSeqNo && e.firstSum != s.firstSum:
		return s.refuse("has the checksum %08x and %08x", e.firstSum, s.firstSum)
	}
	if e.firstSeqNo <= s.firstSeqNo {
		return checkOrder(e, s)
	}
	return checkOrder(s, e)
}

// merged is the least segment with both of two that overlap. Where they say different things of the same operation,
// both being bounds, it has the wider one.
func merged(a, b segment) segment {
	if a.firstSeqNo > b.firstSeqNo {
		a, b = b, a
	}
	if a.firstSeqNo == b.firstSeqNo {
		a.firstOffset = min(a.firstOffset, b.firstOffset)
	}
	switch {
	case b.lastSeqNo > a.lastSeqNo:
		a.lastSeqNo, a.lastOffset = b.lastSeqNo, b.lastOffset
	case b.lastSeqNo == a.lastSeqNo && (a.lastOffset == 0 || b.lastOffset == 0):
		a.lastOffset = 0
	case b.lastSeqNo == a.lastSeqNo:
		a.lastOffset = max(a.lastOffset, b.lastOffset)
	}
	return a
}
