package sqlgw

import "slices"

// speech is what a transaction has to say to other sessions, and which channels it begins or ends to
// listen to, once it commits.
type speech struct {
	notes []utterance
	said  map[utterance]bool // the same is said once
	bytes int
	ears  []ear
}

// utterance is a notification that isn't sent yet.
type utterance struct{ channel, payload string }

// cost is what it takes of a transaction, and of each listener's letter box.
func (u utterance) cost() int { return letterCost + len(u.channel) + len(u.payload) }

// ear is a LISTEN, or an UNLISTEN; of all channels with the name "".
type ear struct {
	channel string
	open    bool
	table   *tableEar // if it stands for a table
}

// speechMark is a point to which a speech can be rolled back.
type speechMark struct{ notes, ears int }

const (
	// maxPayload and maxChannel are PostgreSQL's: the one is below this, the other up to it.
	maxPayload = 8000
	maxChannel = 63
	// maxSpeech bounds what a transaction's notifications cost: no transaction fills the box of a listener
	// that takes its letters. maxEars bounds its LISTENs, and the channels of a session.
	maxSpeech = maxWaiting / 2
	maxEars   = 10_000
)

// notify adds a notification, unless the transaction has the same already.
func (s *speech) notify(channel, payload string) error {
	switch {
	case channel == "":
		return sqlError("22023", "channel name cannot be empty")
	case len(channel) > maxChannel:
		return sqlError("22023", "channel name too long")
	case len(payload) >= maxPayload:
		return sqlError("22023", "payload string too long")
	}
	n := utterance{channel, payload}
	if s.said[n] {
		return nil
	}
	if s.bytes+n.cost() > maxSpeech {
		return sqlError("54000", "a transaction may send notifications of %d bytes, of which each takes %d beside its texts", maxSpeech, letterCost)
	}
	if s.said == nil {
		s.said = map[utterance]bool{}
	}
	s.bytes += n.cost()
	s.said[n] = true
	s.notes = append(s.notes, n)
	return nil
}

// listen adds a LISTEN or UNLISTEN of a session that hears channels already.
func (s *speech) listen(e ear, heard map[string]bool) error {
	switch {
	case len(s.ears) == maxEars:
		return sqlError("54000", "a transaction may have %d LISTENs and UNLISTENs", maxEars)
	case e.open && !heard[e.channel] && len(heard)+len(s.ears) >= maxEars:
		return sqlError("54000", "a session may listen to %d channels", maxEars)
	}
	s.ears = append(s.ears, e)
	return nil
}

func (s *speech) mark() speechMark { return speechMark{len(s.notes), len(s.ears)} }

func (s *speech) rollback(to speechMark) {
	for _, n := range s.notes[to.notes:] {
		delete(s.said, n)
		s.bytes -= n.cost()
	}
	s.notes, s.ears = slices.Clip(s.notes[:to.notes]), slices.Clip(s.ears[:to.ears])
}
