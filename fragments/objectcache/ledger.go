package objectcache

import "container/list"

// ledger is the bookkeeping of a cache: which objects take how much room, who pins them, and which of the
// others was used last. It does no I/O, and isn't safe for concurrent use.
//
// Invariant: used is the sum of the sizes of all entries that are there or still pinned, and of what was lost. It never
// exceeds the bound, unless the bound was larger when they came.
type ledger struct {
	bound   int64
	used    int64
	entries map[key]*entry
	idle    *list.List // of *entry without pins, the least recently used first
}

// entry is an object that takes room. While nobody pins it, it is idle.
type entry struct {
	key  key
	size int64

	pins    int
	dropped bool          // it isn't among the ledger's any more, but somebody pins it
	place   *list.Element // among the idle; nil if it is pinned
	seen    *stamp        // its file as it was when it was verified; nil if it wasn't
}

func newLedger(bound int64) *ledger {
	return &ledger{bound: bound, entries: map[key]*entry{}, idle: list.New()}
}

// get returns the entry of an object, nil if there is none.
func (l *ledger) get(k key) *entry { return l.entries[k] }

// room tells which idle entries have to go for size bytes more, and whether that is enough. If it
// isn't, none has to.
func (l *ledger) room(size int64) ([]*entry, bool) {
	if size > l.bound {
		return nil, false
	}
	var victims []*entry
	used := l.used
	for e := l.idle.Front(); used+size > l.bound; e = e.Next() {
		if e == nil {
			return nil, false
		}
		victim := e.Value.(*entry) //nolint:forcetypeassert // all are
		victims = append(victims, victim)
		used -= victim.size
	}
	return victims, true
}

// add makes an entry, pinned once. There is none of that key.
func (l *ledger) add(k key, size int64) *entry {
	e := &entry{key: k, size: size, pins: 1}
	l.entries[k] = e
	l.used += size
	return e
}

// pin an entry some more times.
func (l *ledger) pin(e *entry, times int) {
	if times == 0 {
		return
	}
	if e.place != nil {
		l.idle.Remove(e.place)
		e.place = nil
	}
	e.pins += times
}

// unpin it once. After the last time it is the one that was used last.
func (l *ledger) unpin(e *entry) {
	e.pins--
	switch {
	case e.pins > 0:
	case e.dropped:
		l.used -= e.size
	default:
		e.place = l.idle.PushBack(e)
	}
}

// drop an entry, whose file is gone. It takes its room until nobody pins it: it may still be open.
func (l *ledger) drop(e *entry) {
	if !e.dropped {
		delete(l.entries, e.key)
	}
	e.dropped = true
	if e.place != nil {
		l.idle.Remove(e.place)
		e.place = nil
	}
	if e.pins == 0 {
		l.used -= e.size
	}
}

// lose an entry whose file can't be removed: it isn't used any more, and takes its room for ever.
func (l *ledger) lose(e *entry) {
	l.used += e.size
	l.drop(e)
}
