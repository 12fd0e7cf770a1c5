package sqlgw

import (
	"context"
	"maps"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/clock"
)

// sighted is what a session has seen and made: the cut of its last statement that read tables where they
// are now, and how far its appends went. It is what broadsheet.last_cut tells.
type sighted struct {
	revision int64 // of the last catalog snapshot that was used
	read     map[string]clock.Place
	wrote    map[string]int64
	tooMuch  bool // of wrote
}

// maxWrote bounds the journals whose appends a session remembers.
const maxWrote = 1 << 14

// reads notes the cut of a statement, given the revisions of its journals, which were looked up before.
func (s *session) reads(snap *catalog.Snapshot, at cut, created map[string]int64) {
	if len(at) == 0 {
		return
	}
	s.sighted.revision = max(s.sighted.revision, snap.Revision())
	s.sighted.read = make(map[string]clock.Place, len(at))
	for j, head := range at {
		if rev, ok := created[j]; ok {
			s.sighted.read[j] = clock.Place{Journal: j, Revision: rev, Offset: head}
		}
	}
}

// writes notes an append that was acknowledged.
func (s *session) writes(journal string, r *protocol.AppendResponse) {
	s.wrote(journal, r.GetCommit().GetEnd())
}

// wrote notes where an append ended.
func (s *session) wrote(journal string, end int64) {
	s.gateway.appended(journal, end)
	x := &s.sighted
	if x.wrote == nil {
		x.wrote = map[string]int64{}
	}
	if _, ok := x.wrote[journal]; !ok && len(x.wrote) >= maxWrote {
		x.tooMuch = true
		return
	}
	x.wrote[journal] = max(x.wrote[journal], end)
}

// lastCut is the text of what was sighted; "" if that is nothing.
func (s *session) lastCut(ctx context.Context) (string, error) {
	x := &s.sighted
	if x.tooMuch {
		return "", hinted(sqlError("54000", "the session has appended to more than %d journals: %s can't tell of all", maxWrote, settingLastCut),
			"Connect again.")
	}
	created, err := s.gateway.revisions.of(ctx, slices.Collect(maps.Keys(x.wrote)))
	if err != nil {
		return "", err
	}
	places := maps.Clone(x.read)
	if places == nil {
		places = map[string]clock.Place{}
	}
	for j, end := range x.wrote {
		rev, there := created[j]
		if p, ok := places[j]; there && (!ok || p.Offset < end) {
			places[j] = clock.Place{Journal: j, Revision: rev, Offset: end}
		}
	}
	if len(places) == 0 {
		return "", nil
	}
	text := clock.NewCut(x.revision, slices.Collect(maps.Values(places))).String()
	if len(text) > clock.MaxCutText {
		return "", sqlError("54000", "the cut has %d journals: its text has %d bytes, at most %d work", len(places), len(text), clock.MaxCutText)
	}
	return text, nil
}

// notedAppender tells the session of an append of its own.
type notedAppender struct {
	appender
	journal string
	session *session
}

func (a notedAppender) Commit() (*protocol.AppendResponse, error) {
	r, err := a.appender.Commit()
	if err == nil {
		a.session.writes(a.journal, r)
	}
	return r, err
}
