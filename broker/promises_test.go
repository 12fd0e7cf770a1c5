package broker

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// TestPromisesOutliveAssignments: a broker that has promised to refuse an epoch doesn't go on in it when the journal is
// assigned to it again, though it is the only member.
func TestPromisesOutliveAssignments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		d := l.env.directories.(*loneDirectories)
		synctest.Wait()
		j := d.now.Load().journal
		l.append("one")
		anew := func() int64 {
			require.NoError(t, l.close())
			l.replica = newReplica(t.Context(), l.env, j, nil)
			require.NoError(t, l.awaitIndex(t.Context()))
			l.append("more")
			last, _ := d.now.Load().epochs.Last()
			require.Equal(t, last.Number, l.spool.State().Epoch)
			return last.Number
		}
		require.EqualValues(t, 1, anew(), "it goes on")
		l.env.promises.raise(l.id, 2) // as a remnant does that closes the first
		require.EqualValues(t, 2, anew())
		require.Zero(t, l.env.promises.get(l.id), "it is logged")
		require.EqualValues(t, 2, anew())

		// And what a replica promises to a poll.
		require.NoError(t, l.promise(3))
		require.EqualValues(t, 3, anew())
		require.NoError(t, l.close())
	})
}

// TestPromises are kept while they matter.
func TestPromises(t *testing.T) {
	var p promises
	one, two := spool.ID{Journal: "a", CreateRevision: 1}, spool.ID{Journal: "a", CreateRevision: 2}
	p.raise(one, 3)
	p.raise(one, 2)
	require.EqualValues(t, 3, p.get(one))
	require.Zero(t, p.get(two))
	p.logged(one, 2)
	require.EqualValues(t, 3, p.get(one))
	p.logged(one, 3)
	p.raise(two, 1)
	p.forget(two)
	require.Empty(t, p.of)
}
