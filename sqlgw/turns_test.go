package sqlgw

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// begun is a query that was begun, and went away.
func begun(t *testing.T, s *turns, dropped *int) *turn {
	t.Helper()
	q := &turn{of: s}
	require.NoError(t, q.take(t.Context()))
	q.leave(func() { *dropped++ })
	return q
}

// bounds checks what always holds.
func (s *turns) bounds(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.LessOrEqual(t, s.held, s.most)
	require.LessOrEqual(t, s.open, s.places)
}

// TestTurnIsTakenFromWhoIsAway, and not before it was away for long, nor while nobody waits.
func TestTurnIsTakenFromWhoIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dropped := newTurns(1, 1), 0
		first := begun(t, s, &dropped)
		time.Sleep(time.Hour)
		require.NoError(t, first.take(t.Context()), "it kept its turn")
		first.leave(func() { dropped++ })
		began := time.Now()
		second := &turn{of: s}
		require.NoError(t, second.take(t.Context()))
		require.Equal(t, awayAtMost, time.Since(began))

		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errTimeout)
		defer cancel()
		require.ErrorIs(t, first.take(ctx), error(errTimeout), "the second one is in the engine")
		second.end()
		require.NoError(t, first.take(t.Context()))
		first.end()
		first.end()
		require.Zero(t, s.held+s.open+dropped)
	})
}

// TestFirstComeFirstServed, whether they begin or go on.
func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dropped := newTurns(1, 3), 0
		away := begun(t, s, &dropped)
		time.Sleep(awayAtMost)
		holder := &turn{of: s}
		require.NoError(t, holder.take(t.Context()))
		var order []string
		for i, q := range []*turn{{of: s}, away, {of: s}} {
			go func() {
				assertTaken := q.take(t.Context()) == nil
				order = append(order, []string{"new", "again", "newer"}[i])
				if assertTaken {
					q.end()
				}
			}()
			synctest.Wait()
		}
		holder.end()
		synctest.Wait()
		require.Equal(t, []string{"new", "again", "newer"}, order)
		require.Zero(t, s.held+s.open+dropped)
	})
}

// TestPlaceIsTakenFromWhoIsAwayLongest, when all are taken, and only then.
func TestPlaceIsTakenFromWhoIsAwayLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dropped := newTurns(2, 2), [6]int{}
		var all []*turn
		began := time.Now()
		for i := range 6 {
			all = append(all, begun(t, s, &dropped[i]))
			s.bounds(t)
			switch i {
			case 3:
				require.Equal(t, awayAtMost, time.Since(began), "places are free")
			case 4:
				require.Equal(t, unreadAtMost, time.Since(began).Truncate(turnLook))
			}
		}
		require.Equal(t, [6]int{1, 1, 0, 0, 0, 0}, dropped)
		for i, q := range all {
			if err := q.take(t.Context()); i < 2 {
				require.Contains(t, errorText(err), "53000: the query was ended to make room for others")
			} else {
				require.NoError(t, err)
			}
			q.end()
		}
		require.Zero(t, s.held+s.open+s.leaving)
	})
}

// TestWhoGivesUpTakesNothing: those who wait may end at any moment.
func TestWhoGivesUpTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns(3, 3)
		for i := range 200 {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%17)*20*time.Millisecond)
				defer cancel()
				q := &turn{of: s}
				defer q.end()
				for range i % 5 {
					if q.take(ctx) != nil {
						return
					}
					time.Sleep(time.Duration(i%3) * 30 * time.Millisecond)
					q.leave(func() {})
					time.Sleep(time.Duration(i%7) * 30 * time.Millisecond)
				}
			}()
		}
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			s.bounds(t)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, s.held+s.open+s.leaving+len(s.waiting)+len(s.away))
	})
}
