package sqlgw

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// lockHolder is what a session has of advisory locks. Those of its transaction are in order, so that those after a savepoint can be
// let go.
type lockHolder struct {
	table *lockTable
	owner *lockOwner
	kept  map[lockKey]lockCounts // until the session ends, or says so
}

// txLock is one that a transaction took.
type txLock struct {
	key  lockKey
	mode lockMode
}

func newLockHolder(t *lockTable, pid uint32) *lockHolder {
	return &lockHolder{table: t, owner: &lockOwner{pid: pid, has: map[lockKey]lockCounts{}}, kept: map[lockKey]lockCounts{}}
}

// errLockTimeout ends a wait that took longer than lock_timeout.
func errLockTimeout() error { return sqlError("55P03", "canceling statement due to lock timeout") }

// take a lock, and wait for it as long as ctx and patience (zero is for ever) allow.
func (h *lockHolder) take(ctx context.Context, key lockKey, mode lockMode, patience time.Duration) error {
	w, err := h.table.take(h.owner, key, mode, true)
	if err != nil || w == nil {
		return err
	}
	var late <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-late:
		err = errLockTimeout()
	}
	if h.table.cancel(w) { // meanwhile it was granted
		h.drop(key, mode)
	}
	return err
}

func (h *lockHolder) drop(key lockKey, mode lockMode) {
	var less lockCounts
	less[mode] = 1
	h.table.drop(h.owner, key, less)
}

// keep notes a lock that the session took for itself.
func (h *lockHolder) keep(key lockKey, mode lockMode) {
	has := h.kept[key]
	has[mode]++
	h.kept[key] = has
}

// unlock what the session took for itself, and tell whether it did.
func (h *lockHolder) unlock(key lockKey, mode lockMode) bool {
	has := h.kept[key]
	if has[mode] == 0 {
		return false
	}
	has[mode]--
	if h.kept[key] = has; !has.any() {
		delete(h.kept, key)
	}
	h.drop(key, mode)
	return true
}

// unlockAll that the session took for itself.
func (h *lockHolder) unlockAll() {
	for _, key := range slices.Collect(maps.Keys(h.kept)) {
		h.table.drop(h.owner, key, h.kept[key])
	}
	clear(h.kept)
}

// release what a transaction took.
func (h *lockHolder) release(locks []txLock) {
	for _, l := range locks {
		h.drop(l.key, l.mode)
	}
}

// unlockRolledBack lets go of what was taken since a savepoint.
func (s *session) unlockRolledBack() {
	s.locks.release(s.tx.unlocked)
	s.tx.unlocked = nil
}

// lockKeyOf is the lock that the arguments of a call name.
func lockKeyOf(c *actCall) lockKey {
	if len(c.args) == 2 {
		return lockKey{uint32(c.integer(0)), uint32(c.integer(1)), 2} //nolint:gosec // The numbers are their bits.
	}
	n := c.integer(0)
	return lockKey{uint32(n >> 32), uint32(n), 1} //nolint:gosec // These are its halves.
}

// lockAct is pg_advisory_lock and its like: what they do is in their names.
func lockAct(ctx context.Context, c *actCall) (any, error) {
	if c.null(0) || len(c.args) == 2 && c.null(1) {
		return nil, nil
	}
	h, key, mode := c.session.locks, lockKeyOf(c), exclusiveLock
	if strings.HasSuffix(c.name, "_shared") {
		mode = sharedLock
	}
	if strings.HasPrefix(c.name, "pg_advisory_unlock") {
		done := h.unlock(key, mode)
		if !done {
			c.session.warn(c.w, "01000", "you don't own a lock of type "+mode.String())
		}
		return done, nil
	}
	ofTransaction, try := strings.Contains(c.name, "_xact_"), strings.Contains(c.name, "_try_")
	var err error
	if try {
		_, err = h.table.take(h.owner, key, mode, false)
	} else {
		err = h.take(ctx, key, mode, c.session.settings.time("lock_timeout"))
	}
	if errors.Is(err, error(errLocked)) {
		return false, nil
	}
	if err != nil {
		return nil, err
	}
	if ofTransaction {
		tx := c.session.inTransaction()
		tx.locks = append(tx.locks, txLock{key, mode})
	} else {
		h.keep(key, mode)
	}
	if try {
		return true, nil
	}
	return "", nil
}

func unlockAllAct(_ context.Context, c *actCall) (any, error) {
	c.session.locks.unlockAll()
	return "", nil
}
