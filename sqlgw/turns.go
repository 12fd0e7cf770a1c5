package sqlgw

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// awayAtMost is how long a query may be away with its turn while others wait.
	awayAtMost = 100 * time.Millisecond
	// unreadAtMost is how long it may be away at all, while others wait for its place.
	unreadAtMost = 5 * time.Second
	// turnLook is how often who waits looks for these.
	turnLook = 50 * time.Millisecond
)

// turns shares the engine out among queries that read tables, first come first served. Two
// things are scarce. A turn is the right to be in the engine; a place is what the engine
// holds of a query from its beginning to its end, whether it is worked on or not.
//
// A query is away from the engine while its rows are on their way, which for a client that
// doesn't read is as long as the client likes. While nobody waits that harms nobody, and it
// keeps turn and place. Otherwise who waits takes them away, by what it does itself: the turn
// at once, for which the query then has to wait before it goes on; and the place, if all are
// taken, from the query that is away for the longest time, and long: that one is over.
//
// Invariant: at most most queries hold a turn, at most places are open, and who is away isn't
// in the engine, so that it can be dropped there.
type turns struct {
	most, places int

	mu      sync.Mutex
	held    int     // turns
	open    int     // places
	leaving int     // places of queries that are being dropped
	waiting []*turn // in the order in which they came
	away    []*turn // in the order in which they went
}

// turn is what one query has of them. It belongs to the query's session, whose calls don't
// overlap.
type turn struct {
	of *turns

	// All of these are guarded by of.mu.
	open, held bool
	dropped    bool
	since      time.Time     // it is away
	drop       func()        // ends it in the engine while it is away
	granted    chan struct{} // closed when it need wait no longer
}

func newTurns(most, unread int) *turns { return &turns{most: most, places: most + unread} }

// take waits until the query may be in the engine: for the first time, or again.
func (t *turn) take(ctx context.Context) error {
	if t == nil {
		return nil
	}
	granted, err := t.of.enter(t)
	if err != nil || granted == nil {
		return err
	}
	tick := time.NewTicker(turnLook)
	defer tick.Stop()
	for {
		if drop := t.of.look(time.Now()); drop != nil {
			drop()
			continue
		}
		select {
		case <-granted:
			return nil
		case <-ctx.Done():
			t.of.giveUp(t)
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// leave tells that the query goes away from the engine, until take; drop ends it there
// meanwhile, and is called at most once.
func (t *turn) leave(drop func()) {
	if t == nil {
		return
	}
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.since, t.drop = time.Now(), drop
	t.of.away = append(t.of.away, t)
}

// end gives everything back, once the engine has nothing of the query any more. It may be
// called again.
func (t *turn) end() {
	if t == nil {
		return
	}
	s := t.of
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = without(s.away, t)
	s.release(t)
	s.grant()
}

// enter begins to wait. Nil is that there is nothing to wait for.
func (s *turns) enter(t *turn) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = without(s.away, t)
	switch {
	case t.dropped:
		return nil, hinted(sqlError("53000", "the query was ended to make room for others: its rows weren't taken for %v", unreadAtMost),
			"Read a result as it comes, or ask for fewer rows.")
	case t.held:
		return nil, nil
	}
	t.granted = make(chan struct{})
	s.waiting = append(s.waiting, t)
	s.grant()
	return t.granted, nil
}

// giveUp ends waiting. A turn that was granted meanwhile stays until end.
func (s *turns) giveUp(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = without(s.waiting, t)
}

// look takes turns that are away too long for those who wait, and chooses a query to be
// dropped if places are wanting: the caller is to do it.
func (s *turns) look(now time.Time) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.most - s.held
	for _, t := range s.away {
		if free < len(s.waiting) && t.held && now.Sub(t.since) >= awayAtMost {
			t.held = false
			s.held--
			free++
		}
	}
	s.grant()
	wanting := slices.ContainsFunc(s.waiting, func(t *turn) bool { return !t.open }) && s.open-s.leaving >= s.places
	if !wanting || len(s.away) == 0 || now.Sub(s.away[0].since) < unreadAtMost {
		return nil
	}
	t := s.away[0]
	s.away = without(s.away, t)
	t.dropped = true
	s.leaving++
	return func() {
		t.drop()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.leaving--
		s.release(t)
		s.grant()
	}
}

// grant gives free turns to those who wait; one that isn't open needs a place, too.
func (s *turns) grant() {
	for i := 0; i < len(s.waiting) && s.held < s.most; {
		t := s.waiting[i]
		if !t.open && s.open == s.places {
			i++
			continue
		}
		if !t.open {
			t.open = true
			s.open++
		}
		t.held = true
		s.held++
		s.waiting = slices.Delete(s.waiting, i, i+1)
		close(t.granted)
	}
}

func (s *turns) release(t *turn) {
	if t.held {
		t.held = false
		s.held--
	}
	if t.open {
		t.open = false
		s.open--
	}
}

func without(list []*turn, t *turn) []*turn {
	if i := slices.Index(list, t); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
