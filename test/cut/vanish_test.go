package cut

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// vanishing is a directory with links to the files of a broker's stores, which the gateway reads in place. Its files go
// between two looks of the gateway; those of the broker stay.
type vanishing struct {
	store.FS // nothing else is asked of it
	root     string
	of       string // the broker's directory

	mu    sync.Mutex
	looks map[string]int // after as many a file goes
	gone  []string
	also  func(name string) // what happens then
}

// Stat as of store.FS.
func (v *vanishing) Stat(name string) (fs.FileInfo, error) {
	path := filepath.Join(v.root, name)
	info, err := os.Stat(path)
	v.mu.Lock()
	defer v.mu.Unlock()
	left, doomed := v.looks[name]
	if err != nil || !doomed {
		return info, err
	}
	if left--; left > 0 {
		v.looks[name] = left
		return info, nil
	}
	delete(v.looks, name)
	v.gone = append(v.gone, name)
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	v.also(name)
	return info, nil
}

// Open as of store.FS.
func (v *vanishing) Open(name string) (store.File, error) {
	return os.Open(filepath.Join(v.root, name))
}

// link the files that the broker has, and return their names.
func (v *vanishing) link() ([]string, error) {
	var names []string
	err := filepath.WalkDir(v.of, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		name, err := filepath.Rel(v.of, path)
		if err != nil {
			return err
		}
		to := filepath.Join(v.root, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		names = append(names, name)
		if err := os.Link(path, to); err != nil && !os.IsExist(err) {
			return err
		}
		return nil
	})
	return names, err
}

// doom all files to go after a number of looks each.
func (v *vanishing) doom(t *testing.T, looks int, also func(string)) {
	t.Helper()
	names, err := v.link()
	require.NoError(t, err)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looks, v.gone, v.also = map[string]int{}, nil, also
	for _, name := range names {
		v.looks[name] = looks
	}
}

// went are the files that are gone.
func (v *vanishing) went() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.gone)
}

// TestFilesThatVanish: stored files that go while a query is planned, or after it was and before the engine looks, are
// decoded from what brokers serve, at the same cut, each row once. If a broker can't the error names the journal.
func TestFilesThatVanish(t *testing.T) {
	h := newHeadTest(t, "a")
	h.journal("vanish/j/0", "", func(s *protocol.JournalSpec) {
		s.Fragment.Length, s.Fragment.RefreshInterval = 2<<10, durationpb.New(time.Second)
	})
	h.exec("CREATE TABLE vanish (id bigint) ON JOURNALS 'vanish/j/' FORMAT JSON")
	v := &vanishing{root: t.TempDir(), of: filepath.Join(h.fleet[0].Dir, "fragments"), also: func(string) {}}
	h.conn = h.connect(startGatewayOver(t, h.group, h.fleet[0], 1, store.RegistryConfig{FileRoot: v.root, FS: v}))
	h.exec("SET statement_timeout = '30s'")
	rows := int64(0)
	inPlace := func() {
		t.Helper()
		for {
			_, err := v.link()
			require.NoError(t, err)
			h.append("vanish/j/0", numbered(rows, rows+7))
			rows += 7
			h.hasNumbered("vanish", rows)
			if h.explain(h.conn, "vanish").inPlace > 0 {
				return
			}
		}
	}
	for looks := 1; looks <= 2; looks++ {
		inPlace()
		added := false
		v.doom(t, looks, func(string) {
			if !added {
				h.append("vanish/j/0", numbered(rows, rows+1))
				added = true
			}
		})
		h.hasNumbered("vanish", rows) // at the cut that it had before
		require.Positive(t, v.went(), "after %d looks", looks)
		rows++
		h.hasNumbered("vanish", rows)
		require.Equal(t, v.went() > 0, added)
	}

	h.fleet[0].Restart()
	inPlace()
	v.doom(t, 2, func(name string) { _ = os.Remove(filepath.Join(v.of, name)) })
	// The broker may still have what was in them, in spools or open files. If not, nothing is left out.
	r, err := h.conn.Query(t.Context(), "SELECT id FROM vanish ORDER BY id")
	require.NoError(t, err)
	ids, err := pgx.CollectRows(r, pgx.RowTo[int64])
	t.Logf("%d rows of %d, %v", len(ids), rows, err)
	if err != nil {
		require.ErrorContains(t, err, "vanish/j/0")
	} else {
		require.Len(t, ids, int(rows))
	}
	require.Positive(t, v.went())
}
