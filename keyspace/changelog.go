package keyspace

import (
	"iter"
	"slices"
	"sort"
)

// minLog is the number of changes that a log keeps at least.
const minLog = 4096

// logged is one change of a key.
type logged struct {
	key      string
	revision int64
}

// changeLog has the newest changes, so that who follows views needs to look at those
// only. A copy of it never changes: what is appended is beyond its end, and what is
// dropped is dropped by copying.
//
// Invariant: all changes after revision since are in it, in order.
type changeLog struct {
	changes []logged
	since   int64
}

// add appends a change. The log is kept below the number of keys: to look at more
// changes than that would be no saving.
func (l *changeLog) add(key string, revision int64, keys int) {
	if most := max(minLog, keys); len(l.changes) >= most {
		cut := len(l.changes) - most/2
		l.since = l.changes[cut-1].revision
		l.changes = slices.Clone(l.changes[cut:])
	}
	l.changes = append(l.changes, logged{key, revision})
}

// after returns the keys changed after a revision, and whether all of them are known.
func (l *changeLog) after(revision int64) (iter.Seq[string], bool) {
	if revision < l.since {
		return nil, false
	}
	first := sort.Search(len(l.changes), func(i int) bool { return l.changes[i].revision > revision })
	return func(yield func(string) bool) {
		for _, c := range l.changes[first:] {
			if !yield(c.key) {
				return
			}
		}
	}, true
}
