package sqlgw

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

// TestKnownHeads: whatever the order in which answers come, a head that may be used again has all that
// was acknowledged before the time that it is good for, and what is told of a journal never goes back.
func TestKnownHeads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1000, 0)
		now := start
		var head int64 // of the journal
		history := map[time.Time]int64{}
		type question struct {
			asked time.Time
			head  int64 // that it will be answered with
		}
		var open []question
		var known knownHeads
		var told int64
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				now = now.Add(time.Second)
				history[now] = head
			},
			"append": func(t *rapid.T) { head += rapid.Int64Range(1, 9).Draw(t, "bytes") },
			"append here": func(*rapid.T) {
				head++
				known.appended("j", head, now)
			},
			"ask": func(*rapid.T) { open = append(open, question{asked: now, head: head}) },
			"answer": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nobody asks")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				q := open[i]
				open = append(open[:i:i], open[i+1:]...)
				known.learn("j", q.head, q.asked, now)
			},
			"use": func(t *rapid.T) {
				since := now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "within")) * time.Second)
				h, ok := known.since("j", since)
				if !ok {
					return
				}
				require.GreaterOrEqual(t, h, history[since])
				require.GreaterOrEqual(t, h, told)
				require.LessOrEqual(t, h, head)
				told = h
			},
		})
	})
}

// TestKnownHeadOfAnotherJournal: a lower head is believed if it was asked for after the higher one came.
func TestKnownHeadOfAnotherJournal(t *testing.T) {
	var known knownHeads
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	known.learn("j", 100, at(1), at(2))
	known.learn("j", 10, at(3), at(4))
	h, ok := known.since("j", at(3))
	require.True(t, ok)
	require.Equal(t, int64(10), h)
	_, ok = known.since("j", at(4))
	require.False(t, ok)
	_, ok = known.since("other", at(0))
	require.False(t, ok)
}

// TestRevisions: journals are listed once, until a fresh listing is wanted; one that is gone is forgotten.
func TestRevisions(t *testing.T) {
	there := map[string]int64{"a": 5, "b": 6}
	asked := 0
	var fails error
	r := revisions{list: func(_ context.Context, s *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error) {
		asked++
		var out []*protocol.ListResponse_Journal
		for _, l := range s.GetInclude().GetLabels() {
			if rev, ok := there[l.GetValue()]; ok {
				out = append(out, &protocol.ListResponse_Journal{Spec: &protocol.JournalSpec{Name: l.GetValue()}, CreateRevision: rev})
			}
		}
		return out, fails
	}}
	for range 2 {
		got, err := r.of(t.Context(), []string{"a", "b"})
		require.NoError(t, err)
		require.Equal(t, there, got)
		require.Equal(t, 1, asked)
	}
	delete(there, "b")
	there["a"] = 9
	got, err := r.fresh(t.Context(), []string{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a": 9}, got)
	fails = errors.New("away")
	_, err = r.of(t.Context(), []string{"a", "b"})
	require.ErrorContains(t, err, "away")
	fails = nil
	got, err = r.of(t.Context(), []string{"a"})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a": 9}, got)
}
