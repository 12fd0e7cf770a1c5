package sqlgw

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// pacer says which journals are asked for their heads, and when: one that moved since it was asked last, every
// second; one that didn't, after twice as long each time, up to maxPollWait, or longer if there are so many that they
// would take more than half of pollsPerRound a second. It is a state machine without I/O.
type pacer struct{ polls map[string]*poll }

// poll is when a journal is asked for next, and how long after the time before.
type poll struct {
	at     time.Time
	wait   time.Duration
	offset int64
}

const (
	pollsPerRound = 100
	minPollWait   = time.Second
	maxPollWait   = 16 * time.Second
)

// keep the journals that there are: new ones are due at once.
func (p *pacer) keep(names []string, now time.Time) {
	polls := make(map[string]*poll, len(names))
	for _, j := range names {
		if polls[j] = p.polls[j]; polls[j] == nil {
			polls[j] = &poll{at: now, wait: minPollWait}
		}
	}
	p.polls = polls
}

// due are the journals whose time has come. If they are too many, half of those that are asked are the ones that
// moved last, so that many idle ones don't keep them waiting, and half those whose time came first, so that each is
// asked in the end.
func (p *pacer) due(now time.Time) []string {
	due := slices.DeleteFunc(slices.Collect(maps.Keys(p.polls)), func(j string) bool { return p.polls[j].at.After(now) })
	if len(due) <= pollsPerRound {
		return due
	}
	first := func(a, b string) int { return cmp.Or(p.polls[a].at.Compare(p.polls[b].at), cmp.Compare(a, b)) }
	slices.SortFunc(due, func(a, b string) int { return cmp.Or(cmp.Compare(p.polls[a].wait, p.polls[b].wait), first(a, b)) })
	slices.SortFunc(due[pollsPerRound/2:], first)
	return due[:pollsPerRound]
}

// asked notes the head of a journal that was due; it is the one before if there was no answer.
func (p *pacer) asked(journal string, head int64, now time.Time) {
	x := p.polls[journal]
	longest := max(maxPollWait, time.Duration(len(p.polls))*time.Second/(pollsPerRound/2))
	if x.wait = min(2*x.wait, longest); head != x.offset {
		x.wait = minPollWait
	}
	x.offset, x.at = head, now.Add(x.wait)
}
