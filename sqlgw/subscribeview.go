package sqlgw

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// ViewChanges are those of a view, from all that it has on.
type ViewChanges interface {
	Columns() []columnar.Column
	Types() []string
	// Next returns the next part of a change, once there is one.
	Next() (ViewPart, error)
	Close() error
}

// ViewPart is a part of a change of a view. A row that changed is removed and added.
type ViewPart struct {
	// Epoch and Cut are of the state after the change.
	Epoch uint64
	Cut   map[string]int64
	// Snapshot: the change is from nothing.
	Snapshot       bool
	Removed, Added *columnar.Batch // nil is none
	// End of the change.
	End bool
}

// prepareFollow makes a statement of SUBSCRIBE TO a materialized view: the rows that it has as added ones, then, epoch by epoch, those that are
// removed and added.
func (s *session) prepareFollow(ctx context.Context, n parse.Name) (*statement, error) {
	snap, v, err := s.followed(ctx, n)
	if err != nil {
		return nil, err
	}
	all, err := allOf()
	if err != nil {
		return nil, err
	}
	q := &query{session: s, parsed: all, sources: []source{{stored: v}}}
	if err := q.describe(ctx, snap, nil); err != nil {
		return nil, err
	}
	columns := append(describe(changeColumns()), q.placed(describeTold(q.columns, q.told), q.origins)...)
	return &statement{
		session: s, columns: columns, names: s.visible,
		begin: func(ctx context.Context, _ *columnar.Batch) (execution, error) {
			snap, now, err := s.followed(ctx, n)
			if err != nil {
				return nil, err
			}
			if !now.same(v) {
				return nil, changedResult()
			}
			return s.follow(ctx, snap, v)
		},
	}, nil
}

// changeColumns come before those of the view.
func changeColumns() []columnar.Column {
	return []columnar.Column{bigint("bs_epoch"), text("bs_cut"), bigint("bs_diff")}
}

// followed is the view of a subscription, which the session may read.
func (s *session) followed(ctx context.Context, n parse.Name) (*catalog.Snapshot, *storedView, error) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	o, err := s.materialized(snap, n)
	if err != nil {
		return snap, nil, err
	}
	if err := s.permitView(snap, o, n); err != nil {
		return snap, nil, err
	}
	if s.gateway.cfg.Views == nil {
		return snap, nil, errNoViews(o)
	}
	v := &storedView{object: o}
	views := expansion{session: s, snap: snap}
	return snap, v, views.expand(v, 1)
}

// follow begins a subscription to a view.
func (s *session) follow(ctx context.Context, snap *catalog.Snapshot, v *storedView) (execution, error) {
	changes, cancel, err := s.openChanges(ctx, v)
	if err != nil {
		return nil, err
	}
	f := &viewFeed{gateway: s.gateway, view: v.object, changes: changes, cancel: cancel, revision: snap.Revision()}
	if err := f.print(ctx, s, v, s.viewState(snap)); err != nil {
		f.stop()
		return nil, err
	}
	e := &subscription{session: s, following: newFollowing(catalog.Table{Schema: v.object.Schema, Name: v.object.Name}, nil), presenter: &f.presenter}
	f.following = e.following
	e.begin = func(ctx context.Context) feed { f.start(ctx); return f }
	e.unused = f.stop
	s.activity.follows(e.following)
	return e, nil
}

// openChanges outlives the call, until cancel.
func (s *session) openChanges(ctx context.Context, v *storedView) (ViewChanges, context.CancelCauseFunc, error) {
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	changes, err := s.gateway.cfg.Views.Follow(life, v.object.ID)
	if !stop() && err == nil {
		_ = changes.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel(err)
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		return nil, nil, viewError(v.object, err)
	}
	return changes, cancel, nil
}

// viewFeed makes rows of the changes of a view, as its query's last step tells them. It has a goroutine from start to stop.
type viewFeed struct {
	gateway   *Gateway
	view      catalog.Object
	changes   ViewChanges
	cancel    context.CancelCauseFunc
	revision  int64 // of the catalog
	following *following

	// What the engine runs: over all that there is, and over what one change has. They read these scans.
	snapshotSQL, changeSQL string
	tokens                 []string
	added, removed         []*columnar.Batch
	snapshot               bool // added is taken from the changes as they come, while streamed is set
	streamed               bool

	types     []string // that the last step gives the columns, where they aren't the engine's
	presenter presenter
	group     *task.Group
	batches   chan *columnar.Batch
}

// print makes the engine's texts.
func (f *viewFeed) print(ctx context.Context, s *session, v *storedView, state viewState) error {
	last, err := v.lastStep()
	if err != nil {
		return err
	}
	all, err := allOf()
	if err != nil {
		return err
	}
	cols := f.changes.Columns()
	texts := make([]string, 2)
	for i, rows := range []func() duck.Source{
		func() duck.Source {
			if f.snapshot {
				return changeSource{f}
			}
			return &batchSource{left: slices.Clone(f.added)}
		},
		func() duck.Source { return &batchSource{left: slices.Clone(f.removed)} },
	} {
		token := f.gateway.scans.add(duck.Scan{Columns: cols, Open: func(_ context.Context, project []int) (duck.Source, error) {
			return &projected{Source: rows(), project: project}, nil
		}})
		f.tokens = append(f.tokens, token)
		target := last.over("("+readScan(token, cols)+")", f.changes.Types())
		q := &query{session: s, parsed: all}
		printed, err := q.print(ctx, nil, parse.Binding{
			Relation: func(parse.Relation) (parse.Target, error) { return target, nil }, Dialect: state.dialect(&f.tokens), Style: style.Default(),
		})
		if err != nil {
			return err
		}
		texts[i], f.types = printed.SQL, printed.Types
	}
	f.presenter.names = f.gateway.pg.Names(state.catalog)
	f.snapshotSQL = "SELECT CAST(1 AS BIGINT) AS bs_diff, * FROM (" + texts[0] + ")"
	f.changeSQL = "WITH bs_added AS MATERIALIZED (" + texts[0] + "), bs_removed AS MATERIALIZED (" + texts[1] + ")" +
		" SELECT CAST(-1 AS BIGINT) AS bs_diff, * FROM (SELECT * FROM bs_removed EXCEPT ALL SELECT * FROM bs_added)" +
		" UNION ALL SELECT CAST(1 AS BIGINT) AS bs_diff, * FROM (SELECT * FROM bs_added EXCEPT ALL SELECT * FROM bs_removed)"
	return nil
}

// start the goroutine that makes rows.
func (f *viewFeed) start(ctx context.Context) {
	f.batches = make(chan *columnar.Batch)
	f.group = task.New(context.WithoutCancel(ctx), "subscription")
	f.group.Go(f.view.Name, f.run)
}

// stop ends the goroutine, if there is one, and lets go of all that the feed has.
func (f *viewFeed) stop() {
	f.cancel(context.Canceled)
	if f.group != nil {
		f.group.Cancel()
		_ = f.group.Wait()
	}
	_ = f.changes.Close()
	f.gateway.dropScans(f.tokens)
	f.tokens = nil
}

// next returns rows, as those of tails do.
func (f *viewFeed) next(ctx context.Context, until <-chan time.Time, idle func() error) (*columnar.Batch, error) {
	return nextBatch(ctx, f.batches, f.group, until, idle)
}

func (f *viewFeed) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { f.cancel(context.Cause(ctx)) })()
	for first := true; ; first = false {
		err := f.change(ctx, first)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return viewError(f.view, err)
		}
	}
}

// errLostPlace is that of a subscription whose next changes aren't kept any more.
func errLostPlace(o catalog.Object) error {
	return hinted(sqlError("55000", "the subscription to materialized view %q has lost its place: the changes since are no longer kept", o.Name), "Subscribe again.")
}

// change makes the rows of one change.
func (f *viewFeed) change(ctx context.Context, first bool) error {
	part, err := f.changes.Next()
	if err != nil {
		return err
	}
	at := part
	f.added, f.removed, f.snapshot, f.streamed = nil, nil, part.Snapshot, false
	switch {
	case part.Snapshot && !first:
		return errLostPlace(f.view)
	case part.Snapshot:
		src := changeSource{f}
		src.take(part)
		if err := f.ask(ctx, f.snapshotSQL, at); err != nil {
			return err
		}
		for f.streamed { // the engine needn't have read all
			if _, err := src.Next(ctx); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		return nil
	}
	for held := int64(0); ; {
		for _, x := range []struct {
			b    *columnar.Batch
			into *[]*columnar.Batch
		}{{part.Added, &f.added}, {part.Removed, &f.removed}} {
			if x.b != nil && x.b.Len > 0 {
				held += x.b.Bytes()
				*x.into = append(*x.into, x.b)
			}
		}
		if held > maxHeldRows {
			return sqlError("54000", "a change of materialized view %q has more than %d MiB", f.view.Name, maxHeldRows>>20)
		}
		if part.End {
			break
		}
		if part, err = f.changes.Next(); err != nil {
			return err
		}
	}
	if len(f.added)+len(f.removed) == 0 {
		return nil
	}
	return f.ask(ctx, f.changeSQL, at)
}

// ask sends the rows that the engine makes of a change.
func (f *viewFeed) ask(ctx context.Context, sql string, at ViewPart) error {
	cut, err := f.cutText(ctx, at.Cut)
	if err != nil {
		return err
	}
	conn, err := f.gateway.cfg.Engine.Conn(ctx)
	if err != nil {
		return err
	}
	f.gateway.open.Add(1)
	defer func() {
		_ = conn.Close()
		f.gateway.open.Add(-1)
	}()
	stmt, err := conn.Prepare(ctx, sql)
	if err != nil {
		return err
	}
	rows, err := stmt.Query(ctx, nil)
	if err != nil {
		return err
	}
	p := f.presenter
	p.types = append(make([]told, 1), f.gateway.tell(rows.Columns()[1:], f.types)...)
	for {
		b, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if b, err = p.batch(b); err != nil {
			return err
		}
		select {
		case f.batches <- changeRows(b, at.Epoch, cut):
			f.following.comesTo(at.Cut, int64(b.Len))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// changeRows puts the epoch and the cut before a batch of rows.
func changeRows(b *columnar.Batch, epoch uint64, cut string) *columnar.Batch {
	epochs, cuts := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Int64}), columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
	for range b.Len {
		epochs.AppendInt64(int64(epoch)) //nolint:gosec // it counts transactions
		cuts.AppendBytes([]byte(cut))
	}
	return &columnar.Batch{Len: b.Len, Cols: append([]columnar.Vector{epochs.Vector(), cuts.Vector()}, b.Cols...)}
}

// cutText is the text of a cut of journals that are there.
func (f *viewFeed) cutText(ctx context.Context, at map[string]int64) (string, error) {
	created, err := f.gateway.revisions.of(ctx, slices.Sorted(maps.Keys(at)))
	if err != nil {
		return "", err
	}
	return textOfCut(f.revision, created, at), nil
}

// changeSource yields the rows of a change from nothing as they come.
type changeSource struct{ feed *viewFeed }

func (s changeSource) take(p ViewPart) {
	if p.Added != nil && p.Added.Len > 0 {
		s.feed.added = append(s.feed.added, p.Added)
	}
	s.feed.streamed = !p.End
}

// Next returns rows, or io.EOF.
func (s changeSource) Next(context.Context) (*columnar.Batch, error) {
	f := s.feed
	for {
		if len(f.added) > 0 {
			b := f.added[0]
			f.added = f.added[1:]
			return b, nil
		}
		if !f.streamed {
			return nil, io.EOF
		}
		p, err := f.changes.Next()
		if err != nil {
			return nil, err
		}
		s.take(p)
	}
}

// Close leaves the changes to the feed.
func (changeSource) Close() error { return nil }

// projected yields some of the columns of another source.
type projected struct {
	duck.Source
	project []int
}

// Next returns rows, or io.EOF.
func (s *projected) Next(ctx context.Context) (*columnar.Batch, error) {
	b, err := s.Source.Next(ctx)
	if err != nil {
		return nil, err
	}
	out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(s.project))}
	for i, c := range s.project {
		out.Cols[i] = b.Cols[c]
	}
	return out, nil
}
