package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
)

// App is a store with the model's application: strings by strings, none of which is empty.
type App interface {
	store.Store
	// Set a key to a value, in the transaction under way.
	Set(key, value string) error
	// Delete a key, whether it is there or not.
	Delete(key string) error
	// All that the application sees: with what the transaction under way wrote.
	All() (map[string]string, error)
}

// Opener opens a store on the files below a directory, which may not be there yet.
type Opener func(ctx context.Context, fs vfs.FS, dir string) (App, error)

const dir = "/store"

// Run puts a store to the property.
func Run(t *testing.T, open Opener) {
	t.Run("kill at any operation", func(t *testing.T) {
		for seed := range uint64(2) {
			killAnywhere(t, open, seed)
		}
	})
	t.Run("fail at any operation", func(t *testing.T) { failAnywhere(t, open) })
	t.Run("commits what was done before", func(t *testing.T) { pipelined(t, open) })
	t.Run("a wait that fails commits nothing", func(t *testing.T) { failingWait(t, open) })
	t.Run("close while it waits commits nothing", func(t *testing.T) { closeWhileItWaits(t, open) })
	t.Run("two commits at once are refused", func(t *testing.T) { overlap(t, open) })
}

// committed is the model at a commit.
type committed struct {
	rows         map[string]string
	checkpoint   *shards.Checkpoint
	begun, acked int // lengths of the log
}

// life of a store: its log, and what it should have.
type life struct {
	t       *testing.T
	rnd     *rand.Rand
	open    Opener
	log     *Log
	app     App
	model   map[string]string
	commits []committed
}

func newLife(t *testing.T, open Opener, seed uint64) *life {
	t.Helper()
	return &life{
		t: t, rnd: rand.New(rand.NewPCG(seed, 7)), open: open, log: new(Log), model: make(map[string]string), //nolint:gosec // a test
		commits: []committed{{rows: make(map[string]string), checkpoint: new(shards.Checkpoint)}},
	}
}

// begin on an empty disk, by what the log has.
func (l *life) begin() error {
	base, err := l.log.Play(l.log.Len())
	require.NoError(l.t, err)
	l.app, err = l.open(l.t.Context(), l.log.FS(base), dir)
	return err
}

// Checkpoint number i of the model: no two are equal.
func checkpoint(i int) *shards.Checkpoint {
	return &shards.Checkpoint{
		Sources: map[string]*shards.Checkpoint_Source{
			"a/journal": {ReadThrough: int64(i), Producers: []*shards.Checkpoint_Source_ProducerEntry{
				{Id: []byte{1, 2, 3, 4, 5, byte(i)}, State: &shards.Checkpoint_ProducerState{LastAck: 1<<63 + uint64(i), Begin: -1}},
			}},
			"another/journal": {ReadThrough: 7},
		},
		AckIntents: map[string][]byte{"an/output": []byte(fmt.Sprintf("intent %d\n", i))},
	}
}

// write something at random to the store and to the model.
func (l *life) write() {
	for range 1 + l.rnd.IntN(6) {
		key := fmt.Sprintf("key %02d", l.rnd.IntN(40))
		if l.rnd.IntN(4) == 0 {
			require.NoError(l.t, l.app.Delete(key))
			delete(l.model, key)
			continue
		}
		value := strings.Repeat(fmt.Sprintf("%d ", l.rnd.Uint64()), 1+l.rnd.IntN(40))
		require.NoError(l.t, l.app.Set(key, value))
		l.model[key] = value
	}
}

// seen is that the application sees the model.
func (l *life) seen() {
	got, err := l.app.All()
	require.NoError(l.t, err)
	require.Equal(l.t, l.model, got)
}

// commit the transaction under way. At times the next is begun before it is done.
func (l *life) commit() error {
	cp := checkpoint(len(l.commits))
	next := committed{rows: maps.Clone(l.model), checkpoint: cp, begun: l.log.Len()}
	gate := newGate()
	op := l.app.StartCommit(l.t.Context(), cp, gate)
	if l.rnd.IntN(2) == 0 {
		l.write()
	}
	gate.end(nil)
	err := op.Err()
	next.acked = l.log.Len()
	if err != nil {
		next.acked = int(^uint(0) >> 1) // never
	}
	l.commits = append(l.commits, next)
	return err
}

// requireAt is that a store is one that the log may have, if it has so many operations.
func (l *life) requireAt(n int, app App) {
	l.t.Helper()
	cp, err := app.RestoreCheckpoint(l.t.Context())
	require.NoError(l.t, err)
	got, err := app.All()
	require.NoError(l.t, err)
	want, err := cp.Marshal()
	require.NoError(l.t, err)
	for i, c := range slices.Backward(l.commits) {
		if c.begun > n {
			continue
		}
		b, err := c.checkpoint.Marshal()
		require.NoError(l.t, err)
		if string(b) == string(want) {
			require.Equal(l.t, c.rows, got, "commit %d, after %d operations", i, n)
			return
		}
		require.Greater(l.t, c.acked, n, "commit %d was acknowledged, and isn't there after %d operations: %s", i, n, cp)
	}
	require.Fail(l.t, "no such commit", "after %d operations: %s", n, cp)
}

// recover a store from the first operations of the log.
func (l *life) recover(n int) App {
	l.t.Helper()
	base, err := l.log.Play(n)
	require.NoError(l.t, err)
	app, err := l.open(l.t.Context(), base, dir)
	require.NoError(l.t, err, "after %d operations", n)
	return app
}

func killAnywhere(t *testing.T, open Opener, seed uint64) {
	t.Helper()
	l := newLife(t, open, seed)
	for range 2 { // lives
		require.NoError(t, l.begin())
		l.requireAt(l.log.Len(), l.app)
		l.model = maps.Clone(l.commits[len(l.commits)-1].rows)
		for range 20 {
			l.write()
			l.seen()
			require.NoError(t, l.commit())
			l.seen()
		}
		require.NoError(t, l.app.Close())
	}
	cuts := map[int]bool{0: true, l.log.Len(): true}
	for _, c := range l.commits[1:] {
		cuts[c.begun], cuts[c.acked], cuts[c.acked-1] = true, true, true
	}
	for range 100 {
		cuts[l.rnd.IntN(l.log.Len()+1)] = true
	}
	for n := range cuts {
		app := l.recover(n)
		l.requireAt(n, app)
		require.NoError(t, app.Close())
	}
}

func failAnywhere(t *testing.T, open Opener) {
	t.Helper()
	run := func(l *life) error {
		err := l.begin()
		if err != nil {
			return err
		}
		defer func() { _ = l.app.Close() }() // it may say that it failed
		for range 12 {
			l.write()
			if failed := l.commit(); failed != nil {
				require.Error(t, l.commit(), "after one that failed")
				return failed
			}
		}
		return nil
	}
	whole := newLife(t, open, 1)
	require.NoError(t, run(whole))
	for n := 1; n < whole.log.Done(); n += 1 + whole.log.Done()/60 {
		l := newLife(t, open, 1)
		l.log.FailAfter(n)
		err := run(l)
		if l.log.Done() == n && err != nil {
			require.ErrorIs(t, err, ErrKilled)
		}
		app := l.recover(l.log.Len())
		l.requireAt(l.log.Len(), app)
		require.NoError(t, app.Close())
	}
}

func pipelined(t *testing.T, open Opener) {
	t.Helper()
	l := newLife(t, open, 2)
	require.NoError(t, l.begin())
	l.write()
	require.NoError(t, l.commit())

	require.NoError(t, l.app.Set("shared", "first"))
	require.NoError(t, l.app.Set("gone", "first"))
	gate, other := newGate(), newGate()
	other.end(nil)
	before := l.log.Len()
	first := maps.Clone(l.model)
	op := l.app.StartCommit(t.Context(), checkpoint(100), other, gate)
	require.NoError(t, l.app.Set("shared", "second"))
	require.NoError(t, l.app.Delete("gone"))
	require.NoError(t, l.app.Set("new", "second"))
	l.model["shared"], l.model["new"] = "second", "second"
	l.seen()
	select {
	case <-op.Done():
		require.Fail(t, "the commit didn't wait", "%v", op.Err())
	default:
	}
	app := l.recover(l.log.Len())
	l.requireAt(before, app)
	require.NoError(t, app.Close())

	gate.end(nil)
	require.NoError(t, op.Err())
	first["shared"], first["gone"] = "first", "first"
	app = l.recover(l.log.Len())
	cp, err := app.RestoreCheckpoint(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 100, cp.GetSources()["a/journal"].GetReadThrough())
	got, err := app.All()
	require.NoError(t, err)
	require.Equal(t, first, got)
	require.NoError(t, app.Close())

	l.seen()
	require.NoError(t, l.app.StartCommit(t.Context(), checkpoint(101)).Err())
	require.NoError(t, l.app.Close())
	app = l.recover(l.log.Len())
	got, err = app.All()
	require.NoError(t, err)
	require.Equal(t, l.model, got)
	require.NoError(t, app.Close())
}

var errInjected = errors.New("injected")

func failingWait(t *testing.T, open Opener) {
	t.Helper()
	l := newLife(t, open, 3)
	require.NoError(t, l.begin())
	l.write()
	require.NoError(t, l.commit())
	before := len(l.commits)
	l.write()
	gate, never := newGate(), newGate()
	op := l.app.StartCommit(t.Context(), checkpoint(100), gate, never)
	gate.end(errInjected)
	require.ErrorIs(t, op.Err(), errInjected)
	require.Error(t, l.app.StartCommit(t.Context(), checkpoint(101)).Err(), "it would have what wasn't committed")
	_ = l.app.Close() // it may say that it failed
	app := l.recover(l.log.Len())
	l.requireAt(l.log.Len(), app)
	require.Len(t, l.commits, before)
	require.NoError(t, app.Close())
}

func closeWhileItWaits(t *testing.T, open Opener) {
	t.Helper()
	l := newLife(t, open, 4)
	require.NoError(t, l.begin())
	op := l.app.StartCommit(t.Context(), checkpoint(100), newGate())
	require.NoError(t, l.app.Close())
	require.Error(t, op.Err())
	app := l.recover(l.log.Len())
	l.requireAt(l.log.Len(), app)
	require.NoError(t, app.Close())
}

func overlap(t *testing.T, open Opener) {
	t.Helper()
	l := newLife(t, open, 5)
	require.NoError(t, l.begin())
	gate := newGate()
	op := l.app.StartCommit(t.Context(), checkpoint(1), gate)
	require.Error(t, l.app.StartCommit(t.Context(), checkpoint(2)).Err())
	gate.end(nil)
	_ = op.Err() // it may be done, or not
	_ = l.app.Close()
}

// gate is an operation that ends when the test says so.
type gate struct {
	done chan struct{}
	err  error
}

var _ async.Operation = (*gate)(nil)

func newGate() *gate { return &gate{done: make(chan struct{})} }

func (g *gate) Done() <-chan struct{} { return g.done }

func (g *gate) Err() error {
	<-g.done
	return g.err
}

func (g *gate) end(err error) {
	g.err = err
	close(g.done)
}
