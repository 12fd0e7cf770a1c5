package remote

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func at(offset int64) *shards.Checkpoint {
	return &shards.Checkpoint{Sources: map[string]*shards.Checkpoint_Source{"a/journal": {ReadThrough: offset}}}
}

// restored opens a store and says where it goes on.
func restored(t *testing.T, cfg Config) (*Store, int64) {
	t.Helper()
	s, err := New(cfg)
	require.NoError(t, err)
	cp, err := s.RestoreCheckpoint(t.Context())
	require.NoError(t, err)
	return s, cp.GetSources()["a/journal"].GetReadThrough()
}

func add(t *testing.T, s *Store, amount int64) {
	t.Helper()
	tx, err := s.Tx(t.Context())
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "UPDATE account SET balance = balance + $1", amount)
	require.NoError(t, err)
}

func balance(t *testing.T, db *sql.DB) int64 {
	t.Helper()
	var n int64
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT balance FROM account").Scan(&n))
	return n
}

// TestPostgreSQL runs all that needs a real server.
func TestPostgreSQL(t *testing.T) {
	db := postgres(t)
	begin := func(t *testing.T) Config {
		t.Helper()
		for _, q := range []string{
			"DROP TABLE IF EXISTS account, gazette_checkpoints", CreateTable(PostgreSQL, ""),
			"CREATE TABLE account (balance BIGINT)", "INSERT INTO account VALUES (0)",
		} {
			_, err := db.ExecContext(t.Context(), q)
			require.NoError(t, err)
		}
		return Config{DB: db, ShardFQN: "/app/items/shard"}
	}
	t.Run("a transaction has state and checkpoint", func(t *testing.T) { whole(t, db, begin(t)) })
	t.Run("a zombie commits nothing", func(t *testing.T) { zombie(t, db, begin(t)) })
	t.Run("the connection is killed", func(t *testing.T) { killed(t, db, begin(t)) })
	t.Run("the table isn't there", func(t *testing.T) {
		cfg := begin(t)
		cfg.Table = "public.others"
		s, err := New(cfg)
		require.NoError(t, err)
		_, err = s.RestoreCheckpoint(t.Context())
		require.ErrorContains(t, err, `restore the checkpoint of /app/items/shard: ERROR: relation "public.others" does not exist`)
		require.NoError(t, s.Close())
	})
}

func whole(t *testing.T, db *sql.DB, cfg Config) {
	t.Helper()
	s, offset := restored(t, cfg)
	require.Zero(t, offset)
	add(t, s, 1)
	require.Zero(t, balance(t, db))
	held := make(gate)
	op := s.StartCommit(t.Context(), at(1), held)
	require.Zero(t, balance(t, db))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Tx(canceled)
	require.ErrorIs(t, err, context.Canceled, "the next is begun after that")
	close(held)
	add(t, s, 10)
	require.NoError(t, op.Err())
	require.EqualValues(t, 1, balance(t, db))
	require.NoError(t, s.StartCommit(t.Context(), at(1)).Err(), "of the same checkpoint")
	require.EqualValues(t, 11, balance(t, db))
	require.NoError(t, s.StartCommit(t.Context(), at(2)).Err(), "without state")
	add(t, s, 100)
	require.NoError(t, s.Close())
	require.EqualValues(t, 11, balance(t, db))
	s, offset = restored(t, cfg)
	require.EqualValues(t, 2, offset)
	require.EqualValues(t, 2, s.fence)
	require.NoError(t, s.Close())

	other := cfg
	other.ShardFQN = "/app/items/other"
	s, offset = restored(t, other)
	require.Zero(t, offset)
	require.NoError(t, s.Close())
}

func zombie(t *testing.T, db *sql.DB, cfg Config) {
	t.Helper()
	old, _ := restored(t, cfg)
	add(t, old, 1)
	require.NoError(t, old.StartCommit(t.Context(), at(1)).Err())
	add(t, old, 10)
	held := make(gate)
	op := old.StartCommit(t.Context(), at(2), held)
	s, offset := restored(t, cfg)
	require.EqualValues(t, 1, offset)
	close(held)
	require.ErrorIs(t, op.Err(), ErrFenced)
	require.EqualValues(t, 1, balance(t, db))
	_, err := old.Tx(t.Context())
	require.ErrorIs(t, err, ErrFenced)
	require.ErrorIs(t, old.StartCommit(t.Context(), at(3)).Err(), ErrFenced)
	add(t, s, 100)
	require.NoError(t, s.StartCommit(t.Context(), at(2)).Err())
	require.NoError(t, old.Close())
	require.NoError(t, s.Close())
	require.EqualValues(t, 101, balance(t, db))
}

// killed at random instants, again and again: the balance is always that of the checkpoint.
func killed(t *testing.T, db *sql.DB, cfg Config) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 15 {
		s, offset := restored(t, cfg)
		require.Equal(t, offset, balance(t, db))
		for acked := offset; ; {
			tx, err := s.Tx(t.Context())
			require.NoError(t, err)
			var pid int
			require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
			add(t, s, 1)
			held := make(gate)
			op := s.StartCommit(t.Context(), at(acked+1), held)
			kill := rnd.IntN(4)
			if kill == 0 {
				_, err = db.ExecContext(t.Context(), "SELECT pg_terminate_backend($1)", pid)
				require.NoError(t, err)
			}
			close(held)
			if kill == 1 {
				_, err = db.ExecContext(t.Context(), "SELECT pg_terminate_backend($1)", pid)
				require.NoError(t, err)
			}
			if err = op.Err(); err != nil {
				require.LessOrEqual(t, kill, 1)
				require.Error(t, s.StartCommit(t.Context(), at(99)).Err())
				require.Contains(t, []int64{acked, acked + 1}, balance(t, db))
				break
			}
			acked++
			if kill == 1 {
				break // it came too late
			}
		}
		require.NoError(t, s.Close())
	}
}

type gate chan struct{}

func (g gate) Done() <-chan struct{} { return g }

func (g gate) Err() error {
	<-g
	return nil
}

// TestStatements are those of each dialect, in their order.
func TestStatements(t *testing.T) {
	for _, d := range []Dialect{PostgreSQL, MySQL, SQLite} {
		f := &fake{unchanged: d == MySQL}
		cfg := Config{DB: f.open(t), Dialect: d, ShardFQN: "/app/items/shard", Table: "my.checkpoints"}
		p := func(i int) string {
			if d == PostgreSQL {
				return fmt.Sprintf("$%d", i)
			}
			return "?"
		}
		fence := "BEGIN\nUPDATE my.checkpoints SET fence = fence + 1 WHERE shard_fqn = " + p(1) + " | /app/items/shard\n" +
			"SELECT fence, checkpoint FROM my.checkpoints WHERE shard_fqn = " + p(1) + " | /app/items/shard\n"
		update := fmt.Sprintf("UPDATE my.checkpoints SET checkpoint = %s WHERE shard_fqn = %s AND fence = %s | ", p(1), p(2), p(3))
		look := ""
		if d == MySQL {
			look = "SELECT fence FROM my.checkpoints WHERE shard_fqn = ? AND fence = ? FOR UPDATE | /app/items/shard | "
		}
		s, _ := restored(t, cfg)
		require.Equal(t, fence+fmt.Sprintf("INSERT INTO my.checkpoints (shard_fqn, fence, checkpoint) VALUES (%s, %s, %s) | /app/items/shard | 1 | 0 bytes\nCOMMIT\n",
			p(1), p(2), p(3)), f.statements(), d)
		require.NoError(t, s.StartCommit(t.Context(), at(1)).Err())
		require.Equal(t, "BEGIN\n"+update+"17 bytes | /app/items/shard | 1\nCOMMIT\n", f.statements(), d)
		require.NoError(t, s.StartCommit(t.Context(), at(1)).Err(), "which changes nothing")
		want := "BEGIN\n" + update + "17 bytes | /app/items/shard | 1\n"
		if look != "" {
			want += look + "1\n"
		}
		require.Equal(t, want+"COMMIT\n", f.statements(), d)

		again, offset := restored(t, cfg)
		require.EqualValues(t, 1, offset)
		f.statements()
		require.ErrorIs(t, s.StartCommit(t.Context(), at(1)).Err(), ErrFenced)
		want = "BEGIN\n" + update + "17 bytes | /app/items/shard | 1\n"
		if look != "" {
			want += look + "1\n"
		}
		require.Equal(t, want+"ROLLBACK\n", f.statements(), d)
		require.NoError(t, s.Close())
		require.NoError(t, again.Close())
	}
}

// TestAnyStatementFails: then nothing is committed, and nothing after it.
func TestAnyStatementFails(t *testing.T) {
	for n := 1; n <= 8; n++ {
		f := &fake{failAt: n}
		s, err := New(Config{DB: f.open(t), ShardFQN: "shard"})
		require.NoError(t, err)
		_, err = s.RestoreCheckpoint(t.Context())
		if n <= 5 {
			require.ErrorIs(t, err, errInjected)
			require.Zero(t, f.fence)
			require.NoError(t, s.Close())
			continue
		}
		require.NoError(t, err)
		require.ErrorIs(t, s.StartCommit(t.Context(), at(1)).Err(), errInjected)
		require.ErrorIs(t, s.StartCommit(t.Context(), at(2)).Err(), errInjected)
		require.Empty(t, f.checkpoint)
		require.NoError(t, s.Close())
	}
}

func TestConfig(t *testing.T) {
	db := new(fake).open(t)
	for want, cfg := range map[string]Config{
		"DB isn't set":                    {ShardFQN: "x"},
		"ShardFQN isn't set":              {DB: db},
		"unknown Dialect (dialect 9)":     {DB: db, ShardFQN: "x", Dialect: 9},
		`no name of a Table: "t; DROP t"`: {DB: db, ShardFQN: "x", Table: "t; DROP t"},
	} {
		_, err := New(cfg)
		require.EqualError(t, err, "remote store: "+want)
	}
	require.Contains(t, CreateTable(MySQL, "t"), "CREATE TABLE IF NOT EXISTS t (shard_fqn VARBINARY(2048) PRIMARY KEY")
	require.Contains(t, CreateTable(SQLite, ""), "gazette_checkpoints (shard_fqn TEXT PRIMARY KEY NOT NULL, fence INTEGER NOT NULL, checkpoint BLOB NOT NULL)")
	require.Equal(t, []string{"PostgreSQL", "MySQL", "SQLite"}, []string{PostgreSQL.String(), MySQL.String(), SQLite.String()})
}

// TestCloseWhileItWaits: nothing is committed, and nothing is left.
func TestCloseWhileItWaits(t *testing.T) {
	f := new(fake)
	s, _ := restored(t, Config{DB: f.open(t), ShardFQN: "shard"})
	_, err := s.Tx(t.Context())
	require.NoError(t, err)
	op := s.StartCommit(t.Context(), at(1), make(gate))
	require.NoError(t, s.Close())
	require.ErrorIs(t, op.Err(), store.ErrClosed)
	require.Empty(t, f.checkpoint)
}

// BenchmarkCommit is what the store itself costs for a commit, without a database.
func BenchmarkCommit(b *testing.B) {
	f := new(fake)
	s, err := New(Config{DB: sql.OpenDB(f), ShardFQN: "shard"})
	require.NoError(b, err)
	_, err = s.RestoreCheckpoint(b.Context())
	require.NoError(b, err)
	for b.Loop() {
		require.NoError(b, s.StartCommit(b.Context(), at(1)).Err())
		f.statements()
	}
	require.NoError(b, s.Close())
}
