package sqlgw

import (
	"fmt"
	"slices"
	"sync"
)

// lockKey names an advisory lock as pg_locks does: of one number its halves and 1, of two numbers these and 2.
type lockKey struct {
	class, object uint32
	sub           int16
}

// lockCounts is what an owner has of one lock: how often it took it, shared and exclusive.
type lockCounts [2]int

func (h lockCounts) any() bool { return h[0]+h[1] > 0 }

// lockMode is an index of lockCounts.
type lockMode int

const (
	sharedLock lockMode = iota
	exclusiveLock
)

func (m lockMode) String() string {
	if m == exclusiveLock {
		return "ExclusiveLock"
	}
	return "ShareLock"
}

func conflict(a, b lockMode) bool { return a == exclusiveLock || b == exclusiveLock }

// maxLocks bounds the locks that one session holds.
const maxLocks = 10_000

// lockOwner is a session as the lock table knows it. All of it is the table's.
type lockOwner struct {
	pid   uint32
	has   map[lockKey]lockCounts // of its session and its transaction together
	waits *lockWait              // nil while it doesn't
}

// lockWait is an owner in the queue of a lock. Granted is closed once it has it.
type lockWait struct {
	owner   *lockOwner
	key     lockKey
	mode    lockMode
	granted chan struct{}
}

// advisoryLock is held by some, and wanted by others: those in the queue before others come first, unless an owner that has it
// wants more of it.
type advisoryLock struct {
	owners []*lockOwner
	queue  []*lockWait
}

// lockTable has the advisory locks of a gateway. It never waits itself: who is to wait gets a lockWait.
type lockTable struct {
	mu    sync.Mutex
	locks map[lockKey]*advisoryLock
}

func newLockTable() *lockTable { return &lockTable{locks: map[lockKey]*advisoryLock{}} }

// take a lock. The wait is nil if it was granted at once. If it is to be taken now or not at all, the error is errLocked; if
// whom it would wait for waits for the owner, it is a deadlock's.
func (t *lockTable) take(o *lockOwner, key lockKey, mode lockMode, wait bool) (*lockWait, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, has := o.has[key]; !has && len(o.has) >= maxLocks {
		return nil, sqlError("53200", "a session may hold %d advisory locks", maxLocks)
	}
	l := t.locks[key]
	if l == nil {
		l = &advisoryLock{}
		t.locks[key] = l
	}
	w := &lockWait{owner: o, key: key, mode: mode, granted: make(chan struct{})}
	place := len(l.queue)
	if o.has[key].any() {
		place = 0
	}
	if len(l.blockers(w, l.queue[:place])) == 0 {
		l.give(w)
		return nil, nil
	}
	if !wait {
		return nil, errLocked
	}
	l.queue = slices.Insert(l.queue, place, w)
	o.waits = w
	if by := t.cycle(w); by != nil {
		t.leave(w)
		return nil, errDeadlock(w, by)
	}
	return w, nil
}

// blockers are the owners that a wait is for: those that have what it wants, and those before it in the queue.
func (l *advisoryLock) blockers(w *lockWait, before []*lockWait) []*lockOwner {
	var out []*lockOwner
	for _, o := range l.owners {
		has := o.has[w.key]
		if o != w.owner && (has[exclusiveLock] > 0 || w.mode == exclusiveLock) {
			out = append(out, o)
		}
	}
	for _, x := range before {
		if x.owner != w.owner && conflict(x.mode, w.mode) {
			out = append(out, x.owner)
		}
	}
	return out
}

// give a lock to who wanted it.
func (l *advisoryLock) give(w *lockWait) {
	has := w.owner.has[w.key]
	if !has.any() {
		l.owners = append(l.owners, w.owner)
	}
	has[w.mode]++
	w.owner.has[w.key] = has
	close(w.granted)
}

// waitsFor are the owners that a wait is for, now.
func (t *lockTable) waitsFor(w *lockWait) []*lockOwner {
	l := t.locks[w.key]
	return l.blockers(w, l.queue[:slices.Index(l.queue, w)])
}

// cycle finds whom a wait is for that waits for its owner, perhaps by way of others; nil if there is none.
func (t *lockTable) cycle(w *lockWait) *lockOwner {
	seen := map[*lockOwner]bool{}
	var reaches func(o *lockOwner) bool
	reaches = func(o *lockOwner) bool {
		if o == w.owner {
			return true
		}
		if seen[o] || o.waits == nil {
			return false
		}
		seen[o] = true
		return slices.ContainsFunc(t.waitsFor(o.waits), reaches)
	}
	for _, o := range t.waitsFor(w) {
		if reaches(o) {
			return o
		}
	}
	return nil
}

// cancel a wait. It tells whether the lock was granted before.
func (t *lockTable) cancel(w *lockWait) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.owner.waits != w {
		return true
	}
	t.leave(w)
	return false
}

// leave the queue.
func (t *lockTable) leave(w *lockWait) {
	l := t.locks[w.key]
	w.owner.waits = nil
	l.queue = slices.DeleteFunc(l.queue, func(x *lockWait) bool { return x == w })
	t.settle(w.key, l)
}

// settle gives a lock to those whose turn it is, and forgets one that nobody has or wants.
func (t *lockTable) settle(key lockKey, l *advisoryLock) {
	for len(l.queue) > 0 && len(l.blockers(l.queue[0], nil)) == 0 {
		w := l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		w.owner.waits = nil
		l.give(w)
	}
	if len(l.queue) == 0 && len(l.owners) == 0 {
		delete(t.locks, key)
	}
}

// drop a lock as often as it is told, and tell others.
func (t *lockTable) drop(o *lockOwner, key lockKey, less lockCounts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	has, l := o.has[key], t.locks[key]
	for m := range has {
		has[m] -= less[m]
	}
	if o.has[key] = has; !has.any() {
		delete(o.has, key)
		l.owners = slices.DeleteFunc(l.owners, func(x *lockOwner) bool { return x == o })
	}
	t.settle(key, l)
}

// blocking are the processes that each waiting one waits for.
func (t *lockTable) blocking() map[uint32][]uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[uint32][]uint32{}
	for _, l := range t.locks {
		for _, w := range l.queue {
			for _, o := range t.waitsFor(w) {
				out[w.owner.pid] = append(out[w.owner.pid], o.pid)
			}
			slices.Sort(out[w.owner.pid])
			out[w.owner.pid] = slices.Compact(out[w.owner.pid])
		}
	}
	return out
}

// errLocked: a lock is another's.
var errLocked = sqlError("55P03", "could not obtain lock")

func (k lockKey) String() string {
	return fmt.Sprintf("advisory lock [5,%d,%d,%d]", k.class, k.object, k.sub)
}

func errDeadlock(w *lockWait, by *lockOwner) error {
	e := sqlError("40P01", "deadlock detected")
	e.Detail = fmt.Sprintf("Process %d waits for %s on %s; blocked by process %d, which waits for it.", w.owner.pid, w.mode, w.key, by.pid)
	return e
}
