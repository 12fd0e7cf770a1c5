package broker

import (
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// readAction is what a reader does about the answer of a fragment index.
type readAction int

const (
	// readServe sends the entry's metadata, and its content from the offset on.
	readServe readAction = iota
	// readSeek asks again at another offset.
	readSeek
	// readAwait waits for another answer.
	readAwait
	// readUnavailable ends the read: its offset isn't there yet.
	readUnavailable
	// readConfirm asks the stores whether there is nothing up to the offset, before that is gone to.
	readConfirm
)

// String is the action in lower case.
func (a readAction) String() string {
	return [...]string{"serve", "seek", "await", "unavailable", "confirm"}[a]
}

// planRead decides about an answer, and returns the offset at which to go on.
//
// A hole is jumped over only where the index says that nothing can come into it any
// more. Stored fragments older than the request's begin are passed over; local ones
// never are, since they have no age.
func planRead(req *protocol.ReadRequest, hit fragments.Hit, now time.Time) (readAction, int64) {
	switch {
	case hit.Outcome == fragments.Found && hit.Entry.Stored() && hit.Entry.ModTime < req.GetBeginModTime():
		return readSeek, hit.Entry.End
	case hit.Outcome == fragments.Found:
		return readServe, hit.Offset
	case hit.MayJump(now):
		return readSeek, hit.Entry.Begin
	case req.GetBlock():
		return readAwait, hit.Offset
	default:
		return readUnavailable, hit.Offset
	}
}

// readLimit is where to stop within an entry: its end, or that of the request.
func readLimit(req *protocol.ReadRequest, e fragments.Entry) int64 {
	if end := req.GetEndOffset(); end != 0 && end < e.End {
		return end
	}
	return e.End
}

// stopsAtMetadata tells whether a read ends once the metadata of an entry is sent.
func stopsAtMetadata(req *protocol.ReadRequest, e fragments.Entry, offset int64) bool {
	return req.GetMetadataOnly() ||
		e.Local == nil && req.GetDoNotProxy() ||
		req.GetEndOffset() != 0 && offset >= req.GetEndOffset()
}
