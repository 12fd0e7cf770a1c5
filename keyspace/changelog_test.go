package keyspace

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"pgregory.net/rapid"
)

// TestChangesAreTheDifference holds that what differs between two views is among the keys
// that the later one tells of.
func TestChangesAreTheDifference(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := testMirror(t, 5)
		views := []*View{m.view()}
		for revision := int64(11); revision < 40; revision++ {
			var events []*clientv3.Event
			for range rapid.IntRange(1, 3).Draw(r, "events") {
				e := event(fmt.Sprintf("/p/%08d", rapid.IntRange(0, 9).Draw(r, "key")), revision)
				if rapid.Bool().Draw(r, "deleted") {
					e.Type = clientv3.EventTypeDelete
				}
				events = append(events, e)
			}
			require.NoError(r, m.apply(events))
			if rapid.Bool().Draw(r, "published") {
				views = append(views, m.view())
			}
		}
		from, to := rapid.IntRange(0, len(views)-1).Draw(r, "from"), len(views)-1
		changed, ok := views[to].ChangedSince(views[from].Revision())
		require.True(r, ok)
		keys := slices.Collect(changed)
		for i := range 10 {
			key := fmt.Sprintf("/p/%08d", i)
			was, had := views[from].Get(key)
			is, has := views[to].Get(key)
			if had != has || was.ModRevision != is.ModRevision {
				require.Contains(r, keys, key)
			}
		}
	})
}

// TestChangesThatAreNotKnown: after a reload, and after more changes than are kept.
func TestChangesThatAreNotKnown(t *testing.T) {
	m := testMirror(t, 3)
	_, ok := m.view().ChangedSince(9)
	require.False(t, ok, "before it was loaded")
	for i := range 3 * minLog {
		require.NoError(t, m.apply([]*clientv3.Event{event("/p/a", int64(11+i))}))
		require.LessOrEqual(t, len(m.log.changes), minLog)
	}
	v := m.view()
	_, ok = v.ChangedSince(10)
	require.False(t, ok)
	changed, ok := v.ChangedSince(v.Revision() - 5)
	require.True(t, ok)
	require.Len(t, slices.Collect(changed), 5)
	changed, ok = v.ChangedSince(v.Revision())
	require.True(t, ok)
	require.Empty(t, slices.Collect(changed))
}
