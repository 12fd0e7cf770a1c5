package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// TestHoleAround: what a listing tells of a range that the index has nothing of.
func TestHoleAround(t *testing.T) {
	var entries []fragments.Entry
	for _, s := range []span{{100, 200}, {300, 400}} {
		entries = append(entries, fragments.Entry{Fragment: fragments.Fragment{Begin: s.begin, End: s.end}})
	}
	stored := fragments.NewCoverSet(entries)
	for asked, want := range map[span]span{
		{50, 100}:  {0, 100},
		{0, 101}:   {},
		{150, 160}: {},
		{199, 300}: {},
		{250, 300}: {200, 300},
		{400, 500}: {400, 500},
		{450, 500}: {400, 500},
	} {
		got, ok := holeAround(stored, asked)
		require.Equal(t, want, got, "%v", asked)
		require.Equal(t, want != span{}, ok, "%v", asked)
	}
}

// TestHolesAreOfARevision: what is known of them isn't when another epoch has begun, and it is bounded.
func TestHolesAreOfARevision(t *testing.T) {
	var h holes
	require.False(t, h.known(1, span{5, 10}))
	h.note(1, span{0, 10})
	require.True(t, h.known(1, span{5, 10}))
	require.False(t, h.known(1, span{5, 11}))
	h.note(1, span{20, 30})
	require.True(t, h.known(1, span{20, 21}))
	require.False(t, h.known(2, span{5, 10}))
	h.note(2, span{40, 50})
	require.False(t, h.known(2, span{5, 10}))
	h.note(1, span{5, 10})
	require.False(t, h.known(2, span{5, 10}), "it came late")
	for i := range int64(2 * maxHoles) {
		h.note(2, span{100 * i, 100*i + 1})
	}
	require.LessOrEqual(t, len(h.spans), maxHoles)
}

// planner is a reader of a lone replica whose index has what is said, and which blocks.
func planner(l *lone, offset int64) *reader {
	return &reader{
		broker: &Broker{env: l.env, stopping: make(chan struct{})}, replica: l.replica,
		req: &protocol.ReadRequest{Journal: "a/journal", Offset: offset, Block: true}, offset: offset,
	}
}

// plan of a reader, as of the present index and epochs.
func (r *reader) planNow(t *testing.T) (readAction, int64) {
	t.Helper()
	hit, err := r.replica.index.Query(r.offset)
	require.NoError(t, err)
	return r.plan(r.replica.env.entry(r.replica.id), hit)
}

// TestNoHoleIsJumpedUnlisted: neither one below the first fragment, nor an old one, nor a reset, before a listing
// of the stores that began after it was seen tells that there is nothing.
func TestNoHoleIsJumpedUnlisted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		synctest.Wait() // Its first epoch is recorded.
		d := l.env.directories.(*loneDirectories)
		epochs := func(revision int64, list ...epoch.Epoch) {
			d.change(func(e *entry) { e.epochs, e.epochsRevision = list, revision })
		}
		fragment := func(begin, end int64, age time.Duration) fragments.Fragment {
			return fragments.Fragment{Journal: "a/journal", Begin: begin, End: end, Store: "file:///", ModTime: time.Now().Add(-age).Unix()}
		}
		for name, c := range map[string]struct {
			offset, to int64
			epochs     []epoch.Epoch
			age        time.Duration
		}{
			"first":     {offset: 50, to: 100, epochs: []epoch.Epoch{{Number: 1}}},
			"old":       {offset: 200, to: 300, epochs: []epoch.Epoch{{Number: 1}}, age: 7 * time.Hour},
			"reset":     {offset: 450, to: 1000, epochs: []epoch.Epoch{{Number: 1}, {Number: 2, Start: 1000, Reset: true}}},
			"reset low": {offset: 250, to: 280, epochs: []epoch.Epoch{{Number: 1}, {Number: 2, Start: 280, Reset: true}}},
		} {
			l.index.SetStored([]fragments.Fragment{fragment(100, 200, c.age), fragment(300, 400, c.age)})
			l.holes = holes{}
			epochs(7, c.epochs...)
			r := planner(l, c.offset)
			action, to := r.planNow(t)
			require.Equal(t, readConfirm, action, name)
			require.Equal(t, c.to, to, name)
			l.holes.note(7, span{c.offset, c.to})
			action, to = r.planNow(t)
			require.Equal(t, readSeek, action, name)
			require.Equal(t, c.to, to, name)
			epochs(8, c.epochs...)
			action, _ = r.planNow(t)
			require.Equal(t, readConfirm, action, name)
		}
		// With epochs that are listed, it waits.
		l.index.SetStored([]fragments.Fragment{fragment(100, 200, 0)})
		epochs(9, epoch.Epoch{Number: 1}, epoch.Epoch{Number: 2, Start: 100})
		action, _ := planner(l, 50).planNow(t)
		require.Equal(t, readAwait, action)
		// And if the journal has gone elsewhere.
		d.now.Store(nil)
		action, _ = planner(l, 50).planNow(t)
		require.Equal(t, readAwait, action)
		require.NoError(t, l.close())
	})
}

// TestConfirmTellsWhy: a read that doesn't block is told that the stores can't be listed; one that does
// asks them again, but not all the time, and goes on once they can be.
func TestConfirmTellsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		synctest.Wait()
		l.index.SetStored([]fragments.Fragment{{Journal: "a/journal", Begin: 100, End: 200, Store: "file:///"}})
		l.update(specWith(func(f *protocol.JournalSpec_Fragment) { f.Stores = []string{"s3://bucket/"} }))
		synctest.Wait()

		r := planner(l, 0)
		r.req.Block = false
		more, err := r.confirm(t.Context(), 0, span{0, 100})
		require.False(t, more)
		require.ErrorContains(t, err, "journal a/journal: list its stores: store s3://bucket/: no entry allows it")
		require.ErrorContains(t, err, "whether offsets [0, 100) are stored isn't known")

		r.req.Block = true
		began := time.Now()
		more, err = r.confirm(t.Context(), 0, span{0, 100})
		require.NoError(t, err)
		require.True(t, more)
		require.Equal(t, relistAfter, time.Since(began))
		require.False(t, l.holes.known(0, span{0, 100}))

		l.update(specWith(func(*protocol.JournalSpec_Fragment) {}))
		more, err = r.confirm(t.Context(), 0, span{0, 100})
		require.NoError(t, err)
		require.True(t, more)
		require.True(t, l.holes.known(0, span{0, 100}))
		require.NoError(t, l.close())
	})
}
