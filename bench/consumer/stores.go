package main

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/store/jsonfile"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
	"broadsheet.dev/broadsheet/consumer/store/remote"
	"broadsheet.dev/broadsheet/consumer/store/sqlite"
)

// counter is a store with the application's state: a number by key.
type counter interface {
	store.Store
	// add to the number of a message's key.
	add(ctx context.Context, e *event) error
	// flush what is in memory, as the transaction ends.
	flush(ctx context.Context, shard string) error
}

// kind of store.
type kind struct {
	name   string
	logged bool // it has a recovery log
	open   func(ctx context.Context, shard *consumer.Shard) (counter, error)
}

// nothing is the name of the store that all others are compared with.
const nothing = "nothing"

// kinds that are measured: first the one that keeps nothing.
func (b *bench) kinds() []kind {
	out := []kind{
		{nothing, false, func(context.Context, *consumer.Shard) (counter, error) { return &none{store.NewCommits()}, nil }},
		{"JSON", true, openJSON},
		{"Pebble", true, openPebble},
		{"SQLite", true, openSQLite},
	}
	if b.database != nil {
		out = append(out, kind{"PostgreSQL", false, func(_ context.Context, shard *consumer.Shard) (counter, error) { return openRemote(b.database, shard) }})
	}
	return out
}

// none is a store that keeps nothing: what a host costs by itself.
type none struct{ commits *store.Commits }

func (*none) RestoreCheckpoint(context.Context) (*shards.Checkpoint, error) {
	return new(shards.Checkpoint), nil
}

func (s *none) StartCommit(ctx context.Context, _ *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	return s.commits.Start(ctx, waitFor, func(context.Context) error { return nil })
}

func (s *none) Close() error                      { s.commits.Close(); return nil }
func (*none) add(context.Context, *event) error   { return nil }
func (*none) flush(context.Context, string) error { return nil }

// document is a state that is one value.
type document struct {
	*jsonfile.Store

	counts map[string]int64
}

func openJSON(_ context.Context, shard *consumer.Shard) (counter, error) {
	d := &document{counts: map[string]int64{}}
	files := shard.Recorder()
	var err error
	d.Store, err = jsonfile.Open(jsonfile.Config{FS: files.FS(), Dir: files.Dir()}, &d.counts)
	return d, err
}

func (d *document) add(_ context.Context, e *event) error { d.counts[e.Key] += e.N; return nil }
func (*document) flush(context.Context, string) error     { return nil }

// ordered is a state in Pebble. Each message is a read and a write.
type ordered struct{ *pebblestore.Store }

func openPebble(_ context.Context, shard *consumer.Shard) (counter, error) {
	files := shard.Recorder()
	s, err := pebblestore.Open(pebblestore.Config{FS: files.FS(), Dir: files.Dir()})
	return ordered{s}, err
}

func (s ordered) add(_ context.Context, e *event) error {
	key := []byte(e.Key)
	digits, there, err := s.Get(key)
	if err != nil {
		return err
	}
	var n int64
	if there {
		if n, err = strconv.ParseInt(string(digits), 10, 64); err != nil {
			return err
		}
	}
	return s.Set(key, strconv.AppendInt(nil, n+e.N, 10))
}

func (ordered) flush(context.Context, string) error { return nil }

// table is a state in SQLite. Each message is an upsert, by a statement that is prepared once for a transaction.
type table struct {
	*sqlite.Store

	upsert *sql.Stmt // nil if the transaction hasn't one yet
}

func openSQLite(ctx context.Context, shard *consumer.Shard) (counter, error) {
	files := shard.Recorder()
	s, err := sqlite.Open(ctx, sqlite.Config{FS: files.FS(), Dir: files.Dir()})
	if err != nil {
		return nil, err
	}
	t := &table{Store: s}
	tx, err := s.Tx(ctx)
	if err == nil {
		_, err = tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS counts (key TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return t, nil
}

func (t *table) add(ctx context.Context, e *event) error {
	if t.upsert == nil {
		tx, err := t.Tx(ctx)
		if err != nil {
			return err
		}
		const upsert = "INSERT INTO counts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET n = n + excluded.n"
		if t.upsert, err = tx.PrepareContext(context.WithoutCancel(ctx), upsert); err != nil {
			return err
		}
	}
	_, err := t.upsert.ExecContext(ctx, e.Key, e.N)
	return err
}

func (t *table) flush(context.Context, string) error {
	if t.upsert == nil {
		return nil
	}
	err := t.upsert.Close()
	t.upsert = nil
	return err
}

// elsewhere is a state in PostgreSQL. A transaction's counts are added by one statement.
type elsewhere struct {
	*remote.Store

	counts map[string]int64
}

func openRemote(db *sql.DB, shard *consumer.Shard) (counter, error) {
	s, err := remote.New(remote.Config{DB: db, ShardFQN: shard.FQN()})
	return &elsewhere{s, map[string]int64{}}, err
}

func (s *elsewhere) add(_ context.Context, e *event) error { s.counts[e.Key] += e.N; return nil }

const addCounts = `INSERT INTO counts SELECT $1, * FROM unnest($2::text[], $3::bigint[])
ON CONFLICT (shard, key) DO UPDATE SET n = counts.n + excluded.n`

func (s *elsewhere) flush(ctx context.Context, shard string) error {
	tx, err := s.Tx(ctx)
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(s.counts))
	numbers := make([]int64, 0, len(keys))
	for _, k := range keys {
		numbers = append(numbers, s.counts[k])
	}
	_, err = tx.ExecContext(ctx, addCounts, shard, keys, numbers)
	clear(s.counts)
	return err
}

// texts is a state in Pebble that has the text of each message.
type texts struct{ ordered }

func openTexts(_ context.Context, shard *consumer.Shard) (counter, error) {
	files := shard.Recorder()
	s, err := pebblestore.Open(pebblestore.Config{FS: files.FS(), Dir: files.Dir()})
	return texts{ordered{s}}, err
}

func (s texts) add(_ context.Context, e *event) error { return s.Set([]byte(e.Key), []byte(e.Text)) }
