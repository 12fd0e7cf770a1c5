package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	recorded "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/vfs"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
)

const (
	// journalMode of every connection: see doc.go.
	journalMode = "MEMORY"
	// defaultTransaction is how many bytes of pages a transaction has at most, unless the configuration says otherwise.
	defaultTransaction = 256 << 20
)

// ErrInTransaction is of a statement that is for between two transactions.
var ErrInTransaction = errors.New("a transaction is under way")

// Config of a Store.
type Config struct {
	// FS to keep files in: that of a recovery log. The zero value is the operating system's.
	FS recorded.FS
	// Dir of the files.
	Dir string
	// MaxTransaction is how many bytes of pages a transaction writes at most, and how many a temporary file of SQLite's has.
	// 0 is 256 MiB. (VACUUM writes all pages.)
	MaxTransaction int64
	// CacheSize and MemTableSize are those of the store beneath, pebblestore.Config's.
	CacheSize, MemTableSize int64
	// Connect, if not nil, is called with SQLite's connection before it is used: for functions, virtual tables and pragmas.
	Connect func(*sqlite3.Conn) error
	// Logger gets what the store beneath says. The zero value says nothing.
	Logger *slog.Logger
}

// Validate the configuration.
func (c *Config) Validate() error {
	if c.MaxTransaction < 0 || c.MaxTransaction > 1<<29 {
		return fmt.Errorf("MaxTransaction isn't of 0 to 512 MiB (%d)", c.MaxTransaction)
	}
	beneath := c.beneath()
	return beneath.Validate()
}

func (c *Config) maxTransaction() int64 {
	if c.MaxTransaction == 0 {
		return defaultTransaction
	}
	return max(c.MaxTransaction, 64*pageSize)
}

// beneath has what a transaction writes, and zeros for pages that SQLite passed over.
func (c *Config) beneath() pebblestore.Config {
	return pebblestore.Config{
		FS: c.FS, Dir: c.Dir, CacheSize: c.CacheSize, MemTableSize: c.MemTableSize, Logger: c.Logger,
		MaxTransaction: 2 * c.maxTransaction(),
	}
}

// Store is the state of a shard in SQLite. It is a store.Store, and belongs to one goroutine at a time.
type Store struct {
	db      *sql.DB
	files   *files
	name    string // of the VFS
	beneath *pebblestore.Store
	tx      *sql.Tx        // under way; nil if none was begun
	refused *store.Commits // those that didn't come to the store beneath
}

var _ store.Store = (*Store)(nil)

// Open the store of a directory, which is made if it isn't there.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("SQLite store: %w", err)
	}
	beneath, err := pebblestore.Open(cfg.beneath())
	if err != nil {
		return nil, fmt.Errorf("SQLite store: %w", err)
	}
	kept, err := openPages(beneath, cfg.maxTransaction())
	if err != nil {
		return nil, fmt.Errorf("open the SQLite store %s: %w", cfg.Dir, errors.Join(err, beneath.Close()))
	}
	s := &Store{beneath: beneath, files: &files{kept: kept, limit: cfg.maxTransaction()}, refused: store.NewCommits()}
	s.name = fmt.Sprintf("broadsheet-%p", s)
	vfs.Register(s.name, s.files)
	if err = s.open(ctx, cfg.Connect); err != nil {
		return nil, fmt.Errorf("open the SQLite store %s: %w", cfg.Dir, errors.Join(err, s.Failure(), s.Close()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, connect func(*sqlite3.Conn) error) error {
	query := url.Values{"vfs": {s.name}, "_pragma": {"locking_mode(exclusive)", "journal_mode(" + journalMode + ")"}}
	var hooks []func(*sqlite3.Conn) error
	if connect != nil {
		hooks = append(hooks, connect)
	}
	db, err := driver.Open("file:"+database+"?"+query.Encode(), hooks...)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	s.db = db
	for _, q := range []string{
		"CREATE TABLE IF NOT EXISTS gazette_checkpoint (rowid INTEGER PRIMARY KEY DEFAULT 0 CHECK (rowid = 0), checkpoint BLOB)",
		"INSERT OR IGNORE INTO gazette_checkpoint (rowid, checkpoint) VALUES (0, '')",
	} {
		if _, err = db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// RestoreCheckpoint as of store.Store.
func (s *Store) RestoreCheckpoint(ctx context.Context) (*shards.Checkpoint, error) {
	query := s.db.QueryRowContext
	if s.tx != nil {
		query = s.tx.QueryRowContext
	}
	var value []byte
	err := query(ctx, "SELECT checkpoint FROM gazette_checkpoint WHERE rowid = 0").Scan(&value)
	cp := new(shards.Checkpoint)
	if err == nil {
		err = proto.Unmarshal(value, cp)
	}
	if err == nil {
		err = cp.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return cp, nil
}

// Tx is the transaction under way, which is begun if it wasn't. The application works in it, and neither commits it nor rolls it
// back: that is a failure of the next commit. (Savepoints are its own.) The end of the context isn't the end of the transaction.
func (s *Store) Tx(ctx context.Context) (*sql.Tx, error) {
	if s.tx == nil {
		tx, err := s.db.BeginTx(context.WithoutCancel(ctx), nil)
		if err != nil {
			return nil, fmt.Errorf("begin a transaction: %w", err)
		}
		s.tx = tx
	}
	return s.tx, nil
}

// Between runs a statement that SQLite refuses, or ignores, within a transaction: VACUUM and some PRAGMAs. It is refused if one was
// begun, by Tx. What it changes is committed with the next transaction.
func (s *Store) Between(ctx context.Context, statement string) error {
	err := ErrInTransaction
	if s.tx == nil {
		_, err = s.db.ExecContext(ctx, statement)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// Failure is the first read or write of the database that failed, for which SQLite says no more than "disk I/O error"; nil if there is
// none. Nothing is committed after it.
func (s *Store) Failure() error { return s.files.failure }

// StartCommit as of store.Store.
func (s *Store) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	err := s.refused.Wait(ctx)
	if err == nil {
		err = s.commit(ctx, cp)
	}
	if err != nil {
		return s.refused.Start(ctx, nil, func(context.Context) error { return err })
	}
	return s.beneath.StartCommit(ctx, cp, waitFor...)
}

// commit the transaction of SQLite, to the transaction under way of the store beneath.
func (s *Store) commit(ctx context.Context, cp *shards.Checkpoint) error {
	value, err := cp.Marshal()
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	tx, err := s.Tx(ctx)
	if err != nil {
		return err
	}
	s.tx = nil
	if value == nil {
		value = []byte{}
	}
	_, err = tx.ExecContext(ctx, "UPDATE gazette_checkpoint SET checkpoint = ? WHERE rowid = 0", value)
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		_ = tx.Rollback() // in vain, if SQLite has done it
	}
	if failed := s.Failure(); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("SQLite: %w", err)
	}
	return s.files.kept.flush()
}

// Close as of store.Store.
func (s *Store) Close() error {
	var err error
	if s.tx != nil {
		err = s.tx.Rollback()
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	s.refused.Close()
	vfs.Unregister(s.name)
	return errors.Join(err, s.beneath.Close())
}
