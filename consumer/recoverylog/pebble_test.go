package recoverylog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer/recoverylog/logtest"
)

// quiet is a logger of Pebble that says nothing.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func openPebble(t *testing.T, fs vfs.FS) *pebble.DB {
	t.Helper()
	db, err := pebble.Open(testDir, &pebble.Options{
		FS: fs, Logger: quiet{}, MemTableSize: 16 << 10, L0CompactionThreshold: 2, MaxManifestFileSize: 1 << 10,
		FormatMajorVersion: pebble.FormatNewest,
	})
	require.NoError(t, err)
	return db
}

func rows(t *testing.T, db *pebble.DB) map[string]string {
	t.Helper()
	out := make(map[string]string)
	it, err := db.NewIter(nil)
	require.NoError(t, err)
	for it.First(); it.Valid(); it.Next() {
		out[string(it.Key())] = string(it.Value())
	}
	require.NoError(t, it.Close())
	return out
}

// TestPebble: a database whose log ends anywhere between two appends is what it was at the last commit that was acknowledged by then,
// or at the next one. It goes on by a second host, from hints.
func TestPebble(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := logtest.New()
	type commit struct {
		appends int
		rows    map[string]string
	}
	commits := []commit{{0, map[string]string{}}}
	model := make(map[string]string)
	hints := begin()
	for author := range uint32(2) {
		h := takeOver(t, b, hints, author+1)
		db := openPebble(t, h.fs)
		require.Equal(t, model, rows(t, db))
		for i := range 60 {
			batch := db.NewBatch()
			for range 1 + rnd.IntN(4) {
				key := fmt.Sprintf("key %d", rnd.IntN(40))
				if rnd.IntN(5) == 0 {
					require.NoError(t, batch.Delete([]byte(key), nil))
					delete(model, key)
					continue
				}
				value := strings.Repeat(strconv.FormatUint(rnd.Uint64(), 10), 1+rnd.IntN(30))
				require.NoError(t, batch.Set([]byte(key), []byte(value), nil))
				model[key] = value
			}
			require.NoError(t, batch.Commit(pebble.Sync))
			commits = append(commits, commit{b.Appends(testLog), maps.Clone(model)})
			if i%20 == 10 {
				require.NoError(t, db.Flush())
				var err error
				hints, err = h.recorder.Hints(t.Context())
				require.NoError(t, err)
			}
		}
		require.NoError(t, db.Close())
		require.NoError(t, h.barrier())
	}
	acknowledged := 0
	for cut := range b.Appends(testLog) + 1 {
		for acknowledged+1 < len(commits) && commits[acknowledged+1].appends <= cut {
			acknowledged++
		}
		base, _, err := play(t, b.Cut(testLog, cut), begin(), 0)
		require.NoError(t, err)
		db := openPebble(t, base)
		got := rows(t, db)
		require.NoError(t, db.Close())
		if !maps.Equal(got, commits[acknowledged].rows) {
			require.Less(t, acknowledged+1, len(commits))
			require.Equal(t, commits[acknowledged+1].rows, got, "cut after %d appends", cut)
		}
	}
}
