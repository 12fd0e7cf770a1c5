package remote

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
)

// ErrFenced is of a store whose shard has another primary by now.
var ErrFenced = errors.New("checkpoint fence was updated (i.e., by a new primary)")

// Config of a Store.
type Config struct {
	// DB to work in. It is the caller's, and must have two connections at least.
	DB *sql.DB
	// Dialect of the database. The zero value is PostgreSQL.
	Dialect Dialect
	// ShardFQN is the row's key: the full key of the shard's item in etcd.
	ShardFQN string
	// Table of checkpoints, which has to be there: see CreateTable. The zero value is DefaultTable.
	Table string
}

// Validate the configuration.
func (c *Config) Validate() error {
	switch {
	case c.DB == nil:
		return errors.New("DB isn't set")
	case c.Dialect < PostgreSQL || c.Dialect > SQLite:
		return fmt.Errorf("unknown Dialect (%s)", c.Dialect)
	case c.ShardFQN == "":
		return errors.New("ShardFQN isn't set")
	case c.Table != "" && !tableName.MatchString(c.Table):
		return fmt.Errorf("no name of a Table: %q", c.Table)
	}
	return nil
}

// Store is the state of a shard in a database. It is a store.Store, and belongs to one goroutine at a time.
type Store struct {
	db      *sql.DB
	shard   string
	sql     statements
	commits *store.Commits
	life    context.Context //nolint:containedctx // lifetime of the store: its transactions outlive calls
	end     context.CancelFunc
	tx      *sql.Tx // under way; nil if none was begun
	fence   int64   // of the row; 0 if there is no row yet
}

var _ store.Store = (*Store)(nil)

// New store of a shard.
func New(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("remote store: %w", err)
	}
	if cfg.Table == "" {
		cfg.Table = DefaultTable
	}
	s := &Store{db: cfg.DB, shard: cfg.ShardFQN, sql: cfg.Dialect.statements(cfg.Table), commits: store.NewCommits()}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// RestoreCheckpoint as of store.Store. It fences all other stores of the shard.
func (s *Store) RestoreCheckpoint(ctx context.Context) (*shards.Checkpoint, error) {
	cp, err := s.restore(ctx)
	if err != nil {
		return nil, fmt.Errorf("restore the checkpoint of %s: %w", s.shard, err)
	}
	return cp, nil
}

func (s *Store) restore(ctx context.Context) (*shards.Checkpoint, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // which says so if it was committed
	if _, err = tx.ExecContext(ctx, s.sql.fence, s.shard); err != nil {
		return nil, err
	}
	cp := new(shards.Checkpoint)
	var value []byte
	var fence int64
	err = tx.QueryRowContext(ctx, s.sql.read, s.shard).Scan(&fence, &value)
	if errors.Is(err, sql.ErrNoRows) {
		fence, err = 0, nil
	}
	if err != nil {
		return nil, err
	}
	if err = proto.Unmarshal(value, cp); err != nil {
		return nil, err
	}
	if err = cp.Validate(); err != nil {
		return nil, err
	}
	if s.fence, err = s.put(ctx, tx, fence, value); err != nil {
		return nil, err
	}
	return cp, tx.Commit()
}

// put a checkpoint into the row, on condition of its fence, which is returned.
func (s *Store) put(ctx context.Context, tx *sql.Tx, fence int64, value []byte) (int64, error) {
	if value == nil {
		value = []byte{}
	}
	if fence == 0 {
		_, err := tx.ExecContext(ctx, s.sql.insert, s.shard, 1, value)
		return 1, err
	}
	result, err := tx.ExecContext(ctx, s.sql.update, value, s.shard, fence)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, err
	}
	if n != 0 {
		return fence, nil
	}
	if s.sql.look != "" {
		err = tx.QueryRowContext(ctx, s.sql.look, s.shard, fence).Scan(&fence)
		if err == nil {
			return fence, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return 0, err
		}
	}
	return 0, ErrFenced
}

// Tx is the transaction under way. If there is none it is begun, once the commit before is done. The application works in it
// and neither commits nor rolls it back.
func (s *Store) Tx(ctx context.Context) (*sql.Tx, error) {
	if s.tx != nil {
		return s.tx, nil
	}
	if err := s.commits.Wait(ctx); err != nil {
		return nil, fmt.Errorf("begin a transaction of %s: %w", s.shard, err)
	}
	tx, err := s.db.BeginTx(s.life, nil)
	if err != nil {
		return nil, fmt.Errorf("begin a transaction of %s: %w", s.shard, err)
	}
	s.tx = tx
	return tx, nil
}

// StartCommit as of store.Store.
func (s *Store) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	tx := s.tx
	s.tx = nil
	value, err := cp.Marshal()
	return s.commits.Start(ctx, waitFor, func(life context.Context) error {
		if err == nil && tx == nil {
			tx, err = s.db.BeginTx(s.life, nil)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.shard, err)
		}
		_, err = s.put(life, tx, s.fence, value)
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.shard, errors.Join(err, s.rollback(tx)))
		}
		return nil
	})
}

// rollback what wasn't committed.
func (*Store) rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// Close as of store.Store. What wasn't committed is rolled back.
func (s *Store) Close() error {
	s.commits.Close()
	var err error
	if s.tx != nil {
		err = s.rollback(s.tx)
	}
	s.end() // rolls back what a commit that failed left
	return err
}
