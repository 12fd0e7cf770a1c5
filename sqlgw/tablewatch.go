package sqlgw

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/clock"
)

// tableWatches tell sessions that listen to tables of appends to them, whoever made them. There is one watch of a table, which its listeners
// share; while nothing is appended it costs a blocked read for each journal, and a look at the catalog in memory each second.
type tableWatches struct {
	gateway *Gateway

	mu       sync.Mutex
	byTable  map[int64]*tableWatch
	journals int // that are watched
}

func newTableWatches(g *Gateway) *tableWatches {
	return &tableWatches{gateway: g, byTable: map[int64]*tableWatch{}}
}

const (
	// maxWatched bounds the journals that a gateway watches.
	maxWatched = 4096
	// watchPause is how long a watch rests after each notification: what is appended meanwhile is told at once then.
	watchPause = 10 * time.Millisecond
	// watchCheck is how often a watch looks whether its table and the privileges of its listeners are still there.
	watchCheck = time.Second
	// watchRetry is how long a watch waits at first after a broker didn't answer, and watchRetryMost at most.
	watchRetry     = 50 * time.Millisecond
	watchRetryMost = 5 * time.Second
)

// tableEar is a channel by which a session listens to a table.
type tableEar struct {
	table   catalog.Table
	heads   cut // when LISTEN was said
	channel string
	role    string // as which it listens
	box     *letterBox
	watch   *tableWatch // once it is joined
}

// may tells whether the listener may still read the table.
func (e *tableEar) may(snap *catalog.Snapshot, t catalog.Table) bool {
	a, ok := snap.Actor(e.role)
	schema, found := snap.Schema(t.Schema)
	return ok && found && a.May(schema.Access, catalog.Usage) && a.May(t.Access, catalog.Select)
}

// tableWatch watches one table. Its ears are its watches'.
type tableWatch struct {
	watches *tableWatches
	read    catalog.Read
	ears    map[*tableEar]bool
	group   *task.Group
	moved   chan struct{}
	count   int             // of journals, as counted by its watches
	known   map[string]bool // the journals that are read; the tell task's
}

// admit tells whether there is room for a watch of so many journals.
func (w *tableWatches) admit(t catalog.Table, journals int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byTable[t.ID] == nil && w.journals+journals > maxWatched {
		return sqlError("53400", "a gateway may watch %d journals for LISTEN, and %d of table %q are too many", maxWatched, journals, t.Name)
	}
	return nil
}

// join a watch of the ear's table, which begins with its first one.
func (w *tableWatches) join(e *tableEar) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.byTable[e.table.ID]
	if t != nil {
		t.ears[e], e.watch = true, t
		return
	}
	t = &tableWatch{
		watches: w, read: catalog.Read{ID: e.table.ID, Schema: e.table.Schema, Name: e.table.Name}, ears: map[*tableEar]bool{e: true},
		group: task.New(context.Background(), "watch"), moved: make(chan struct{}, 1), known: map[string]bool{}, count: len(e.heads),
	}
	w.byTable[e.table.ID], e.watch = t, t
	w.journals += t.count
	for j, head := range e.heads {
		t.known[j] = true
		t.group.Go(j, func(ctx context.Context) error { return t.follow(ctx, j, head) })
	}
	t.group.Go("tell", t.tell)
}

// leave a watch, which ends with its last listener.
func (w *tableWatches) leave(e *tableEar) {
	if w.forget(e) {
		_ = e.watch.group.Wait() // it was cancelled
	}
}

// forget an ear, and end the watch that has no other. It tells whether it has none.
func (w *tableWatches) forget(e *tableEar) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := e.watch
	delete(t.ears, e)
	if len(t.ears) > 0 {
		return false
	}
	if w.byTable[e.table.ID] == t {
		delete(w.byTable, e.table.ID)
		w.journals -= t.count
	}
	t.group.Cancel()
	return true
}

// grow by a journal that was added to its table.
func (w *tableWatches) grow(t *tableWatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byTable[t.read.ID] == t { // it hasn't ended
		t.count++
		w.journals++
	}
}

// listeners are those at the moment.
func (t *tableWatch) listeners() []*tableEar {
	t.watches.mu.Lock()
	defer t.watches.mu.Unlock()
	return slices.Collect(maps.Keys(t.ears))
}

// follow a journal from a head on: each time that it goes on, the table has moved.
func (t *tableWatch) follow(ctx context.Context, journal string, head int64) error {
	for patience := watchRetry; ; {
		next, err := t.watches.gateway.awaitAppend(ctx, journal, head)
		pause := watchPause
		switch {
		case err != nil: // a broker is away, the journal moves, or is gone with its table
			pause, patience = patience, min(2*patience, watchRetryMost)
		case next > head:
			head, patience = next, watchRetry
			t.move()
		}
		if !rest(ctx, pause) {
			return nil
		}
	}
}

// move tells that the table has moved, once until that is heard.
func (t *tableWatch) move() {
	select {
	case t.moved <- struct{}{}:
	default:
	}
}

// awaitAppend waits for the byte at a journal's head, and returns the head then.
func (g *Gateway) awaitAppend(ctx context.Context, journal string, head int64) (int64, error) {
	r := g.cfg.Brokers.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Offset: head, EndOffset: head + 1, Block: true})
	defer func() { _ = r.Close() }()
	n, err := io.Copy(io.Discard, r)
	if jump, ok := errors.AsType[*client.OffsetJumpError](err); ok {
		return max(jump.To, head), nil // what came there was removed since
	}
	if err != nil && n == 0 {
		return head, err
	}
	return max(r.Head(), head+1), nil
}

// rest for a while; false if the context ended.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// tell listeners of moves, and those that may not hear of them any more that it is over.
func (t *tableWatch) tell(ctx context.Context) error {
	tick := time.NewTicker(watchCheck)
	defer tick.Stop()
	for pause := watchPause; ; {
		moved := false
		select {
		case <-ctx.Done():
			return nil
		case <-t.moved:
			moved = true
		case <-tick.C:
		}
		if err := t.round(ctx, moved); err == nil {
			pause = watchPause
		} else if pause = min(2*pause, watchRetryMost); moved {
			t.move() // a broker is away: it is told when one answers
		}
		if !rest(ctx, pause) {
			return nil
		}
	}
}

// round looks after the listeners, and tells them where the table is if it moved.
func (t *tableWatch) round(ctx context.Context, moved bool) error {
	snap := t.watches.gateway.cfg.Catalog.Latest()
	table, found := snap.TableRead(t.read)
	ears := t.listeners()
	for _, e := range ears {
		if found && e.may(snap, table) {
			continue
		}
		t.watches.forget(e)
		t.watches.gateway.office.tellOfTable(e.box, e.channel, "")
	}
	if !found {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, roundPatience)
	defer cancel()
	journals, err := snap.Journals(ctx, table)
	if err != nil {
		return err
	}
	for _, j := range journals {
		if !t.known[j] { // it was added
			t.known[j] = true
			t.watches.grow(t)
			t.group.Go(j, func(ctx context.Context) error { return t.follow(ctx, j, 0) })
		}
	}
	if !moved {
		return nil
	}
	text, err := t.watches.gateway.cutText(ctx, snap, journals)
	if err != nil {
		return err
	}
	for _, e := range t.listeners() {
		t.watches.gateway.office.tellOfTable(e.box, e.channel, text)
	}
	return nil
}

// cutText is the text of where journals are now.
func (g *Gateway) cutText(ctx context.Context, snap *catalog.Snapshot, journals []string) (string, error) {
	created, err := g.revisions.of(ctx, journals)
	if err != nil {
		return "", err
	}
	heads, err := g.fixCut(ctx, journals)
	if err != nil {
		return "", err
	}
	places := make([]clock.Place, 0, len(journals))
	for _, j := range journals {
		rev, ok := created[j]
		if !ok {
			return "", errors.New("journal " + j + " isn't there")
		}
		places = append(places, clock.Place{Journal: j, Revision: rev, Offset: heads[j]})
	}
	return clock.NewCut(snap.Revision(), places).String(), nil
}
