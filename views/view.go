package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
	"broadsheet.dev/broadsheet/views/keep"
	"broadsheet.dev/broadsheet/views/rowcodec"
)

// view is one that is kept here: the store of its shard, and what maintains it. But for what is published, it is the shard's
// goroutine's.
type view struct {
	app     *App
	id      int64
	shard   *consumer.Shard
	store   *pebblestore.Store
	metrics *viewMetrics
	pointer string             // of the UUIDs of lines; empty if they have none
	find    committed.Finder   // of the UUIDs of lines; nil if they have none
	skipped map[string][]int64 // rows of journals that the view does without, by their offsets

	definition Definition
	queries    *queries
	decoder    *rowcodec.Decoder // of what is kept
	shape      shape

	batch      *batch
	half       bool // the last message is one of a transaction that goes on
	now        epoch
	deltas     []keptDelta
	deltaBytes uint64
	cache      *cache
	failed     error // to publish

	board board
}

func (v *view) clock() time.Time { return v.app.cfg.Clock() }

// open the store of a view, and prepare to maintain it.
func (a *App) open(ctx context.Context, id int64, shard *consumer.Shard) (*view, error) {
	recorder := shard.Recorder()
	if recorder == nil {
		return nil, errors.New("its shard has no recovery log")
	}
	skipped, err := keep.SkippedOf(shard.Spec().GetLabels())
	if err != nil {
		return nil, err
	}
	st, err := pebblestore.Open(pebblestore.Config{
		FS: recorder.FS(), Dir: recorder.Dir(), Cache: a.blocks, MaxTransaction: a.cfg.Transaction, Logger: a.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	v := &view{
		app: a, id: id, shard: shard, store: st, skipped: skipped, batch: &batch{most: a.batchOf(id)}, cache: newCache(0), metrics: a.metrics.of(id),
		board: newBoard(),
	}
	if err = v.load(ctx); err == nil {
		err = v.publish()
	}
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	a.mu.Lock()
	a.kept[shard] = v
	a.mu.Unlock()
	return v, nil
}

// load the state, and what is kept of it.
func (v *view) load(ctx context.Context) error {
	value, ok, err := v.store.Get([]byte{keyEpoch})
	if err != nil {
		return err
	}
	if ok {
		if v.now, err = decodeEpoch(value); err != nil {
			return err
		}
	}
	v.half = v.now.half
	from, to := all(keyDelta)
	err = v.store.Scan(from, to, func(key, value []byte) error {
		number, ok := epochOf(key)
		if !ok {
			return errDelta
		}
		if n := len(v.deltas); n > 0 && v.deltas[n-1].epoch == number {
			return nil // a part of it
		}
		head, err := decodeDeltaHead(value)
		v.deltas = append(v.deltas, keptDelta{number, head})
		v.deltaBytes += head.bytes
		return err
	})
	if err != nil {
		return err
	}
	return v.define(ctx)
}

// define prepares the queries by the view's definition as it is now, unless they are.
func (v *view) define(ctx context.Context) error {
	def, err := v.app.cfg.Definitions.View(ctx, v.id)
	if err != nil {
		return fmt.Errorf("its definition: %w", err)
	}
	if v.queries != nil && def.Version == v.definition.Version {
		return nil
	}
	if err := def.validate(); err != nil {
		return err
	}
	if err := v.locate(def.Lines.Messages); err != nil {
		return err
	}
	def.Lines.Messages = "" // Of a batch's lines, none acknowledges others.
	q, err := prepare(ctx, v.app.cfg.Engine, v.app.scans, &def)
	if err != nil {
		return err
	}
	if v.decoder, err = rowcodec.NewDecoder(typesOf(q.columns)); err == nil {
		v.shape = shapeOf(&def, q.columns, q.types)
		err = v.checkShape(v.shape)
	}
	if err != nil {
		return errors.Join(err, q.close())
	}
	if v.queries != nil {
		err = v.queries.close()
	}
	v.definition, v.queries = def, q
	v.app.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "view is kept here", slog.Int64("view", v.id), slog.String("name", def.Name),
		slog.String("kind", def.Plan.Kind.String()), slog.Uint64("epoch", v.now.number))
	return err
}

// checkShape of the state, or write it if there is none yet.
func (v *view) checkShape(s shape) error {
	stored, ok, err := v.store.Get([]byte{keyShape})
	if err != nil {
		return err
	}
	if ok {
		return s.check(stored)
	}
	return v.store.Set([]byte{keyShape}, s.encode())
}

// locate the UUIDs of lines, which stay where they are while the store is open: sources are read by it.
func (v *view) locate(pointer string) error {
	switch {
	case v.queries == nil:
		var err error
		v.pointer = pointer
		v.find, err = finder(pointer)
		return err
	case pointer != v.pointer:
		return errors.New("where lines of its table have their UUIDs is another place now: what was read is read again")
	}
	return nil
}

func finder(pointer string) (committed.Finder, error) {
	if pointer == "" {
		return nil, nil
	}
	p, err := committed.ParsePointer(pointer)
	return p.UUID, err
}

// consume the next message.
func (v *view) consume(ctx context.Context, journal string, offset int64, m *lines) error {
	if m.uuid.Flags() == message.AckTxn && m.uuid != (message.UUID{}) {
		v.half = false // What it commits came before.
		return nil
	}
	if !v.batch.room(m.text) {
		return consumer.ErrDeferToNextTransaction
	}
	v.half = m.uuid.Flags() == message.ContinueTxn
	if m.text == nil {
		v.metrics.rejects.Inc()
		return nil
	}
	if n := v.batch.addWithout(v.skipped[journal], journal, offset, m.text); n > 0 {
		v.app.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a view does without rows, as it was told", slog.Int64("view", v.id), slog.String("journal", journal),
			slog.Int64("from", offset), slog.Int("rows", n))
	}
	return nil
}

// RestoreCheckpoint as of store.Store.
func (v *view) RestoreCheckpoint(ctx context.Context) (*shards.Checkpoint, error) {
	return v.store.RestoreCheckpoint(ctx)
}

// StartCommit as of store.Store.
func (v *view) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	return v.store.StartCommit(ctx, cp, waitFor...)
}

// Close as of store.Store.
func (v *view) Close() error {
	v.app.mu.Lock()
	delete(v.app.kept, v.shard)
	v.app.mu.Unlock()
	err := v.board.close()
	if v.queries != nil {
		err = errors.Join(err, v.queries.close())
	}
	return errors.Join(err, v.store.Close())
}
