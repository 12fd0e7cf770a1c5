package mapping

import (
	"sync/atomic"

	"broadsheet.dev/broadsheet/client"
)

// Snapshots has the journals that match a selector, as they are now;
// *client.WatchedList does.
type Snapshots interface {
	// Snapshot is nil before the first one is known.
	Snapshot() *client.Snapshot
}

// Followed are the partitions of journals that come and go. It may be used
// concurrently.
type Followed struct {
	from Snapshots
	last atomic.Pointer[followed]
}

type followed struct {
	snapshot   *client.Snapshot
	partitions *Partitions
}

// Follow returns the partitions of what is watched.
func Follow(from Snapshots) *Followed { return &Followed{from: from} }

// Partitions as they are now; nil, which has none, before the first snapshot. They're
// made once for each snapshot.
func (f *Followed) Partitions() *Partitions {
	now := f.from.Snapshot()
	if now == nil {
		return nil
	}
	if last := f.last.Load(); last != nil && last.snapshot == now {
		return last.partitions
	}
	next := &followed{now, Of(now.Journals)}
	f.last.Store(next)
	return next.partitions
}

// Map a key by a mapping, over the partitions as they are now.
func (f *Followed) Map(m Mapping, key []byte) (Partition, error) { return m(f.Partitions(), key) }
