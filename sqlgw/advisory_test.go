package sqlgw

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAdvisoryLocks: exclusive ones are one owner's, those who wait are served in turn, and who took one twice has it
// until it let go twice.
func TestAdvisoryLocks(t *testing.T) {
	table := newLockTable()
	a, b, c := newLockHolder(table, 1), newLockHolder(table, 2), newLockHolder(table, 3)
	key := lockKey{0, 7, 1}
	require.NoError(t, a.take(t.Context(), key, exclusiveLock, 0))
	require.NoError(t, a.take(t.Context(), key, sharedLock, 0))
	_, err := table.take(b.owner, key, sharedLock, false)
	require.ErrorIs(t, err, error(errLocked))
	second, err := table.take(b.owner, key, exclusiveLock, true)
	require.NoError(t, err)
	third, err := table.take(c.owner, key, sharedLock, true)
	require.NoError(t, err)
	require.Equal(t, map[uint32][]uint32{2: {1}, 3: {1, 2}}, table.blocking())
	a.drop(key, exclusiveLock)
	require.Equal(t, map[uint32][]uint32{2: {1}, 3: {2}}, table.blocking(), "it has it shared")
	a.drop(key, sharedLock)
	<-second.granted
	require.Equal(t, map[uint32][]uint32{3: {2}}, table.blocking())
	require.True(t, table.cancel(second), "it was granted")
	b.drop(key, exclusiveLock)
	<-third.granted
	c.drop(key, sharedLock)
	require.Empty(t, table.locks)
}

// TestAdvisoryDeadlock: the wait that closes a circle fails, the others go on.
func TestAdvisoryDeadlock(t *testing.T) {
	table := newLockTable()
	holders := []*lockHolder{newLockHolder(table, 1), newLockHolder(table, 2), newLockHolder(table, 3)}
	key := func(i int) lockKey { return lockKey{0, uint32(i), 2} }
	for i, h := range holders {
		require.NoError(t, h.take(t.Context(), key(i), exclusiveLock, 0))
	}
	first, err := table.take(holders[0].owner, key(1), exclusiveLock, true)
	require.NoError(t, err)
	_, err = table.take(holders[1].owner, key(2), exclusiveLock, true)
	require.NoError(t, err)
	_, err = table.take(holders[2].owner, key(0), sharedLock, true)
	requireCode(t, "40P01", err)
	require.Nil(t, holders[2].owner.waits)
	require.False(t, table.cancel(first))

	// Two that have a lock shared, and want it exclusive.
	both := key(9)
	for _, h := range []*lockHolder{holders[0], holders[2]} {
		require.NoError(t, h.take(t.Context(), both, sharedLock, 0))
	}
	_, err = table.take(holders[0].owner, both, exclusiveLock, true)
	require.NoError(t, err)
	_, err = table.take(holders[2].owner, both, exclusiveLock, true)
	requireCode(t, "40P01", err)
}

// TestAdvisoryPatience: a wait ends with its context or its time, and leaves nothing behind.
func TestAdvisoryPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newLockTable()
		a, b := newLockHolder(table, 1), newLockHolder(table, 2)
		key := lockKey{1, 2, 2}
		require.NoError(t, a.take(t.Context(), key, exclusiveLock, 0))
		began := time.Now()
		requireCode(t, "55P03", b.take(t.Context(), key, sharedLock, time.Minute))
		require.Equal(t, time.Minute, time.Since(began))
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTimeout)
		require.ErrorIs(t, b.take(ctx, key, sharedLock, 0), error(errTimeout))
		require.Empty(t, table.locks[key].queue)
		a.drop(key, exclusiveLock)
		require.NoError(t, b.take(t.Context(), key, sharedLock, 0))
	})
}

// TestAdvisoryMeetsModel: whatever is taken, waited for, cancelled and dropped, no two have what conflicts, nobody waits whom
// nobody blocks, and nobody waits in a circle.
func TestAdvisoryMeetsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newLockTable()
		var owners []*lockOwner
		for i := range 4 {
			owners = append(owners, &lockOwner{pid: uint32(i), has: map[lockKey]lockCounts{}})
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			o := rapid.SampledFrom(owners).Draw(t, "owner")
			key := lockKey{0, rapid.Uint32Range(0, 2).Draw(t, "key"), 1}
			mode := lockMode(rapid.IntRange(0, 1).Draw(t, "mode"))
			switch {
			case o.waits != nil:
				if w := o.waits; rapid.Bool().Draw(t, "cancel") {
					require.False(t, table.cancel(w))
				}
			case o.has[key][mode] > 0 && rapid.Bool().Draw(t, "drop"):
				var less lockCounts
				less[mode] = 1
				table.drop(o, key, less)
			default:
				_, _ = table.take(o, key, mode, rapid.Bool().Draw(t, "wait"))
			}
			checkLocks(t, table, owners)
		}
	})
}

func checkLocks(t require.TestingT, table *lockTable, owners []*lockOwner) {
	for key, l := range table.locks {
		require.False(t, len(l.owners) == 0 && len(l.queue) == 0)
		for _, o := range l.owners {
			require.True(t, o.has[key].any())
			if o.has[key][exclusiveLock] > 0 {
				require.Len(t, l.owners, 1)
			}
		}
		for _, w := range l.queue {
			require.Same(t, w, w.owner.waits)
			require.NotEmpty(t, table.waitsFor(w))
			require.Nil(t, table.cycle(w))
		}
	}
	for _, o := range owners {
		for key, has := range o.has {
			require.True(t, has.any())
			require.True(t, slices.Contains(table.locks[key].owners, o))
		}
	}
}

// TestAdvisoryLocksAreBounded for each session.
func TestAdvisoryLocksAreBounded(t *testing.T) {
	h := newLockHolder(newLockTable(), 1)
	for i := range maxLocks {
		require.NoError(t, h.take(t.Context(), lockKey{0, uint32(i), 1}, exclusiveLock, 0))
		h.keep(lockKey{0, uint32(i), 1}, exclusiveLock)
	}
	requireCode(t, "53200", h.take(t.Context(), lockKey{1, 0, 1}, exclusiveLock, 0))
	require.NoError(t, h.take(t.Context(), lockKey{0, 0, 1}, exclusiveLock, 0), "it has it")
	h.unlockAll()
	require.Len(t, h.owner.has, 1)
	require.False(t, h.unlock(lockKey{0, 1, 1}, exclusiveLock))
}

// TestStartOptions: the settings of a startup packet's options.
func TestStartOptions(t *testing.T) {
	for options, want := range map[string]string{
		"":                                "map[]",
		"-c a=b":                          "map[a:b]",
		"-ca=b  --statement-timeout=5":    "map[a:b statement_timeout:5]",
		`-c search_path=a\ b,\\c -c x.y=`: `map[search_path:a b,\c x.y:]`,
		"-c a=b=c\t-c\ta=d":               "map[a:d]",
		"-c":                              "invalid command-line argument for server process: -c",
		"-c a":                            "invalid command-line argument for server process: a",
		"--=b":                            "invalid command-line argument for server process: --=b",
		"-d 5":                            "invalid command-line argument for server process: -d",
		"x=y":                             "invalid command-line argument for server process: x=y",
		"-c statement_timeout=1s -e":      "invalid command-line argument for server process: -e",
	} {
		got, err := commandLine(options)
		if err != nil {
			requireCode(t, "42601", err)
			require.ErrorContains(t, err, want, options)
			continue
		}
		require.Equal(t, want, fmt.Sprint(got), options)
	}
}
