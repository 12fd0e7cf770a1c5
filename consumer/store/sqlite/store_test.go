package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type app struct{ *Store }

// openApp with small tables beneath: what happens to files happens often.
func openApp(ctx context.Context, fs vfs.FS, dir string) (storetest.App, error) {
	s, err := Open(ctx, Config{FS: fs, Dir: dir, MemTableSize: 64 << 10})
	if err != nil {
		return nil, err
	}
	if err = (app{s}).exec("CREATE TABLE IF NOT EXISTS kv (k TEXT PRIMARY KEY, v TEXT)"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return app{s}, nil
}

func (a app) exec(query string, args ...any) error {
	tx, err := a.Tx(context.Background())
	if err != nil {
		return err
	}
	_, err = tx.Exec(query, args...)
	return err
}

func (a app) Set(key, value string) error {
	return a.exec("INSERT OR REPLACE INTO kv VALUES (?, ?)", key, value)
}

func (a app) Delete(key string) error { return a.exec("DELETE FROM kv WHERE k = ?", key) }

func (a app) All() (map[string]string, error) {
	tx, err := a.Tx(context.Background())
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query("SELECT k, v FROM kv")
	if err != nil {
		return nil, err
	}
	return mapOf(rows)
}

func mapOf(rows *sql.Rows) (map[string]string, error) {
	defer rows.Close()
	out := make(map[string]string)
	for rows.Next() {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return nil, err
		}
		out[k] = v
	}
	return out, rows.Err()
}

func TestStore(t *testing.T) { storetest.Run(t, openApp) }

func TestStoreUnderRecoveryLog(t *testing.T) { storetest.RunRecorded(t, openApp) }

func at(offset int64) *shards.Checkpoint {
	return &shards.Checkpoint{Sources: map[string]*shards.Checkpoint_Source{"a/journal": {ReadThrough: offset}}}
}

// open a store with a table kv.
func open(t *testing.T, cfg Config) app {
	t.Helper()
	if cfg.FS == nil {
		cfg.FS = vfs.NewMem()
	}
	cfg.Dir = "/d"
	s, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, app{s}.exec("CREATE TABLE IF NOT EXISTS kv (k TEXT PRIMARY KEY, v TEXT)"))
	return app{s}
}

func (a app) commit(t *testing.T, offset int64) {
	t.Helper()
	require.NoError(t, a.StartCommit(t.Context(), at(offset)).Err())
}

func (a app) requireRows(t *testing.T, want map[string]string) {
	t.Helper()
	got, err := a.All()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func (a app) requireSound(t *testing.T) {
	t.Helper()
	tx, err := a.Tx(t.Context())
	require.NoError(t, err)
	var said string
	require.NoError(t, tx.QueryRow("PRAGMA integrity_check").Scan(&said))
	require.Equal(t, "ok", said)
}

// fill rows from one number up to another, of about a quarter of a page each.
func (a app) fill(from, until int) error {
	return a.exec(`WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
		INSERT INTO kv SELECT printf('%08d', i), printf('%.*c', 1000, 'x') || i FROM n`, from, until)
}

func (a app) count(t *testing.T) int {
	t.Helper()
	tx, err := a.Tx(t.Context())
	require.NoError(t, err)
	var n int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM kv").Scan(&n))
	return n
}

// TestLargeTransactions are larger than SQLite's cache, so that it writes pages before it commits, and again.
func TestLargeTransactions(t *testing.T) {
	fs := vfs.NewMem()
	a := open(t, Config{FS: fs})
	require.NoError(t, a.fill(0, 20_000))
	require.NoError(t, a.exec("UPDATE kv SET v = v || 'y' WHERE k % 3 = 0"))
	require.Greater(t, len(a.files.kept.fresh), 3000, "the cache overflowed")
	a.commit(t, 1)
	require.Empty(t, a.files.kept.fresh)
	require.NoError(t, a.exec("DELETE FROM kv WHERE k % 2 = 0"))
	a.commit(t, 2)
	require.NoError(t, a.fill(20_000, 30_000))
	require.NoError(t, a.Close())

	a = open(t, Config{FS: fs})
	require.Equal(t, 10_000, a.count(t))
	a.requireSound(t)
	require.NoError(t, a.Close())
}

// TestTransactionsAreBounded: one that is too large fails, and with it the store: nothing of it is ever committed.
func TestTransactionsAreBounded(t *testing.T) {
	fs := vfs.NewMem()
	a := open(t, Config{FS: fs, MaxTransaction: 1 << 20})
	require.NoError(t, a.Set("a", "1"))
	a.commit(t, 1)
	require.ErrorIs(t, a.fill(0, 10_000), sqlite3.IOERR)
	require.ErrorIs(t, a.Failure(), ErrTooLarge)
	require.ErrorIs(t, a.StartCommit(t.Context(), at(2)).Err(), ErrTooLarge)
	require.ErrorContains(t, a.StartCommit(t.Context(), at(3)).Err(), "an earlier one failed")
	require.NoError(t, a.Close())
	a = open(t, Config{FS: fs})
	a.requireRows(t, map[string]string{"a": "1"})
	require.NoError(t, a.Close())

	// So do temporary files.
	a = open(t, Config{FS: fs, MaxTransaction: 1 << 20})
	for i := range 10 {
		require.NoError(t, a.fill(i*500, (i+1)*500))
		a.commit(t, int64(i))
	}
	require.ErrorIs(t, a.Between(t.Context(), "VACUUM"), sqlite3.FULL)
	require.NoError(t, a.Close())
}

// TestRollback: savepoints that are rolled back, and statements that fail, leave nothing; the transaction goes on.
func TestRollback(t *testing.T) {
	fs := vfs.NewMem()
	a := open(t, Config{FS: fs})
	require.NoError(t, a.Set("a", "1"))
	require.NoError(t, a.exec("SAVEPOINT s"))
	require.NoError(t, a.fill(0, 10_000))
	require.NoError(t, a.exec("DROP TABLE kv"))
	require.NoError(t, a.exec("ROLLBACK TO s"))
	require.NoError(t, a.exec("RELEASE s"))
	require.ErrorIs(t, a.exec("INSERT INTO kv VALUES ('b', '2'), ('a', '2')"), sqlite3.CONSTRAINT)
	require.NoError(t, a.Set("c", "3"))
	a.commit(t, 1)
	require.NoError(t, a.Close())
	a = open(t, Config{FS: fs})
	a.requireRows(t, map[string]string{"a": "1", "c": "3"})
	a.requireSound(t)
	require.NoError(t, a.Close())
}

// TestTransactionsThatWereEnded by the application are a failure of their commit: what came after was of none.
func TestTransactionsThatWereEnded(t *testing.T) {
	for _, statement := range []string{"ROLLBACK", "COMMIT"} {
		fs := vfs.NewMem()
		a := open(t, Config{FS: fs})
		require.NoError(t, a.Set("a", "1"))
		a.commit(t, 1)
		require.NoError(t, a.Set("b", "1"))
		require.NoError(t, a.exec(statement))
		require.NoError(t, a.Set("c", "1"))
		require.ErrorContains(t, a.StartCommit(t.Context(), at(2)).Err(), "no transaction is active")
		require.Error(t, a.StartCommit(t.Context(), at(3)).Err())
		require.NoError(t, a.Close())
		a = open(t, Config{FS: fs})
		a.requireRows(t, map[string]string{"a": "1"})
		require.NoError(t, a.Close())
	}
	a := open(t, Config{})
	tx, err := a.Tx(t.Context())
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	require.ErrorIs(t, a.StartCommit(t.Context(), at(1)).Err(), sql.ErrTxDone)
	require.NoError(t, a.Close())
}

// TestVacuum: between two transactions, and with the next.
func TestVacuum(t *testing.T) {
	fs := vfs.NewMem()
	a := open(t, Config{FS: fs})
	require.NoError(t, a.fill(0, 5000))
	a.commit(t, 1)
	before := a.files.kept.size
	require.NoError(t, a.exec("DELETE FROM kv WHERE k % 100 != 0"))
	require.ErrorIs(t, a.Between(t.Context(), "VACUUM"), ErrInTransaction)
	a.commit(t, 2)
	require.Equal(t, before, a.files.kept.size)
	require.NoError(t, a.Between(t.Context(), "VACUUM"))
	after := a.files.kept.size
	require.Less(t, after, before/10)
	require.NoError(t, a.Close()) // and nothing was committed

	a = open(t, Config{FS: fs})
	require.Equal(t, before, a.files.kept.size)
	a.commit(t, 3)
	require.NoError(t, a.Between(t.Context(), "PRAGMA page_size = 1024"))
	require.NoError(t, a.Between(t.Context(), "VACUUM"))
	require.Equal(t, 50, a.count(t))
	a.commit(t, 4)
	require.NoError(t, a.Close())
	pagesLeft := 0
	a = open(t, Config{FS: fs})
	require.Less(t, a.files.kept.size, before/10)
	require.NoError(t, a.beneath.Scan([]byte(pagePrefix), pageKey(-1), func(_, _ []byte) error {
		pagesLeft++
		return nil
	}))
	require.EqualValues(t, pagesOf(a.files.kept.size), pagesLeft)
	require.Equal(t, 50, a.count(t))
	a.requireSound(t)
	require.NoError(t, a.Set("a", "1"))
	a.commit(t, 5)
	a.requireSound(t)
	require.NoError(t, a.Close())
}

// TestOneConnection: there is no other, to this database or to another one that would be kept. What is temporary may be.
func TestOneConnection(t *testing.T) {
	a := open(t, Config{})
	require.NoError(t, a.Set("a", "1"))
	for _, name := range []string{"primary.db", "other.db", "primary.db-journal"} {
		other, err := driver.Open("file:" + name + "?vfs=" + a.name)
		require.NoError(t, err)
		err = other.PingContext(t.Context())
		require.ErrorIs(t, err, sqlite3.CANTOPEN, name)
		require.ErrorIs(t, err, ErrOneDatabase, name)
		require.NoError(t, other.Close())
		err = a.exec("ATTACH 'file:" + name + "' AS other")
		require.ErrorIs(t, err, sqlite3.CANTOPEN, name)
	}
	require.NoError(t, a.exec("ATTACH ':memory:' AS other"))
	require.NoError(t, a.exec("CREATE TABLE other.kv AS SELECT * FROM kv"))
	require.NoError(t, a.exec("CREATE TEMP TABLE kept AS SELECT * FROM kv"))
	a.requireRows(t, map[string]string{"a": "1"})
	a.commit(t, 1)
	a.requireRows(t, map[string]string{"a": "1"})
	require.NoError(t, a.Close())
}

func TestJournalModesAreRefused(t *testing.T) {
	a := open(t, Config{})
	a.commit(t, 1)
	for _, mode := range []string{"OFF", "delete", "WAL"} {
		require.ErrorContains(t, a.Between(t.Context(), "PRAGMA journal_mode = "+mode), "journal_mode can't be changed to "+mode)
	}
	require.NoError(t, a.Between(t.Context(), "PRAGMA journal_mode = memory"))
	require.NoError(t, a.Between(t.Context(), "PRAGMA synchronous = FULL"))
	require.NoError(t, a.Set("a", "1"))
	a.commit(t, 2)
	require.NoError(t, a.Close())
}

// TestConnect: the application has the connection, before it is used.
func TestConnect(t *testing.T) {
	errNot := errors.New("not so")
	_, err := Open(t.Context(), Config{FS: vfs.NewMem(), Dir: "/d", Connect: func(*sqlite3.Conn) error { return errNot }})
	require.ErrorIs(t, err, errNot)
	a := open(t, Config{Connect: func(c *sqlite3.Conn) error {
		return c.CreateFunction("shout", 1, sqlite3.DETERMINISTIC, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
			ctx.ResultText(strings.ToUpper(arg[0].Text()))
		})
	}})
	require.NoError(t, a.exec("INSERT INTO kv VALUES ('a', shout('hey'))"))
	a.requireRows(t, map[string]string{"a": "HEY"})
	require.NoError(t, a.Close())
}

// TestSnapshots have the state of one commit that was acknowledged, whatever goes on, and are read-only.
func TestSnapshots(t *testing.T) {
	a := open(t, Config{})
	none, err := a.Snapshot()
	require.NoError(t, err)
	require.NoError(t, a.Set("a", "1"))
	a.commit(t, 1)
	one, err := a.Snapshot()
	require.NoError(t, err)
	require.NoError(t, a.Set("a", "2"))
	require.NoError(t, a.fill(0, 100))
	held := make(gate)
	op := a.StartCommit(t.Context(), at(2), held)
	same, err := a.Snapshot()
	require.NoError(t, err)
	close(held)
	require.NoError(t, op.Err())
	two, err := a.Snapshot()
	require.NoError(t, err)
	for _, p := range []*Snapshot{one, same} {
		rows, err := p.QueryContext(t.Context(), "SELECT k, v FROM kv")
		require.NoError(t, err)
		got, err := mapOf(rows)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"a": "1"}, got)
		_, err = p.db.ExecContext(t.Context(), "DELETE FROM kv")
		require.ErrorIs(t, err, sqlite3.READONLY)
	}
	var n int
	require.NoError(t, two.QueryRowContext(t.Context(), "SELECT count(*) FROM kv").Scan(&n))
	require.Equal(t, 101, n)
	require.ErrorContains(t, none.QueryRowContext(t.Context(), "SELECT count(*) FROM kv").Scan(&n), "no such table")
	require.NoError(t, one.Close())
	require.NoError(t, none.Close())
	fresh, err := a.Snapshot()
	require.NoError(t, err)

	// The store is closed under the others.
	require.NoError(t, a.Close())
	require.ErrorIs(t, fresh.QueryRowContext(t.Context(), "SELECT count(*) FROM kv").Scan(&n), sqlite3.IOERR)
	require.ErrorIs(t, fresh.Failure(), store.ErrClosed)
	require.NoError(t, two.Failure())
	require.NoError(t, fresh.Close())
	require.NoError(t, same.Close())
	require.NoError(t, two.Close())
	_, err = a.Snapshot()
	require.ErrorIs(t, err, store.ErrClosed)
}

// gate is an operation that succeeds once it is closed.
type gate chan struct{}

func (g gate) Done() <-chan struct{} { return g }

func (g gate) Err() error {
	<-g
	return nil
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		"no Dir": {},
		"MaxTransaction isn't of 0 to 512 MiB (-1)":      {Dir: "d", MaxTransaction: -1},
		"MaxTransaction isn't of 0 to 512 MiB (1 << 30)": {Dir: "d", MaxTransaction: 1 << 30},
		"CacheSize is negative (-1)":                     {Dir: "d", CacheSize: -1},
	} {
		_, err := Open(t.Context(), cfg)
		require.EqualError(t, err, "SQLite store: "+strings.ReplaceAll(want, "1 << 30", "1073741824"))
	}
}

// BenchmarkCommit is how many transactions of one row a second are committed, without a log.
func BenchmarkCommit(b *testing.B) {
	a, err := openApp(b.Context(), vfs.NewMem(), "/d")
	require.NoError(b, err)
	defer a.Close()
	cp := at(1)
	for i := 0; b.Loop(); i++ {
		require.NoError(b, a.Set(fmt.Sprintf("key %d", i%1000), "value"))
		require.NoError(b, a.StartCommit(b.Context(), cp).Err())
	}
}
