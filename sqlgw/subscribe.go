package sqlgw

import (
	"context"
	"errors"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareSubscribe makes a statement of SUBSCRIBE TO t: the rows of the table at the cut at
// which it begins, then every row as it is appended, until it is cancelled.
func (s *session) prepareSubscribe(ctx context.Context, p *parse.Subscribe) (*statement, error) {
	if p.Table == nil {
		e := hinted(sqlError("0A000", "SUBSCRIBE TO a query is not supported"), "Subscribe to a table.")
		e.Position = p.Position()
		return nil, e
	}
	snap, t, err := s.subscribedTable(ctx, *p.Table)
	if snap != nil {
		if o, ok := s.view(snap, *p.Table); ok && o.View.Materialized != nil {
			return s.prepareFollow(ctx, *p.Table)
		}
	}
	if err != nil {
		return nil, err
	}
	return &statement{
		session: s, columns: describe(t.RowSchema().Columns),
		begin: func(ctx context.Context, _ *columnar.Batch) (execution, error) {
			from, err := s.subscriptionStart(ctx, *p.Table, t)
			if err != nil {
				return nil, err
			}
			e := &subscription{session: s, following: newFollowing(t, from), presenter: new(presenter), unused: func() {}}
			e.begin = func(ctx context.Context) feed { return startTails(ctx, s.gateway.openRange, from, t.RowSchema()) }
			s.activity.follows(e.following)
			return e, nil
		},
	}, nil
}

// subscribedTable is the table of a subscription, which the session may read.
func (s *session) subscribedTable(ctx context.Context, n parse.Name) (*catalog.Snapshot, catalog.Table, error) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, catalog.Table{}, err
	}
	if o, ok := s.view(snap, n); ok {
		e := hinted(sqlError("0A000", "SUBSCRIBE TO view %q is not supported: only a materialized view could tell of changes", o.Name), "Subscribe to the tables that it reads.")
		e.Position = n.Position
		return snap, catalog.Table{}, e
	}
	t, err := s.table(snap, n)
	if err == nil {
		err = s.permit(snap, t, catalog.Select, n)
	}
	return snap, t, err
}

// subscriptionStart is where each journal of a table begins, if the name still means that table, and the session
// may still read it.
func (s *session) subscriptionStart(ctx context.Context, n parse.Name, t catalog.Table) ([]position, error) {
	snap, now, err := s.subscribedTable(ctx, n)
	if err != nil {
		return nil, err
	}
	if !sameTable(t, now) {
		return nil, changedResult()
	}
	journals, err := snap.Journals(ctx, t)
	if err != nil {
		return nil, err
	}
	at, err := s.gateway.fixCut(ctx, journals)
	if err != nil {
		return nil, err
	}
	schema := t.RowSchema()
	plans, err := s.gateway.planJournals(ctx, journals, at, reading{list: s.gateway.kept, schema: schema, fingerprint: schema.Fingerprint(), decodeAll: true})
	if err != nil {
		return nil, err
	}
	from := make([]position, len(plans))
	for i, p := range plans {
		from[i] = position{journal: p.journal, begin: p.begin}
	}
	return from, nil
}

// maxSubscriptions is how many subscriptions a session may have open, by cursors and portals.
const maxSubscriptions = 16

// feed reads what a subscription sends.
type feed interface {
	// next returns rows. If there are none it waits, after a call of idle, until ctx ends, or the time of until comes.
	next(ctx context.Context, until <-chan time.Time, idle func() error) (*columnar.Batch, error)
	// stop ends the reading, and returns when it has ended.
	stop()
}

// subscription is a running SUBSCRIBE.
type subscription struct {
	session *session
	// begin reads on, unused lets go of what begin would have.
	begin  func(ctx context.Context) feed
	unused func()

	following *following // what others are told of it
	presenter *presenter
	feed      feed            // that reads for it, once it was asked for a number of rows
	batch     *columnar.Batch // that is being sent
	sent      int             // rows of batch that were
}

// close ends the reading.
func (e *subscription) close() {
	switch {
	case e.feed != nil:
		e.feed.stop()
		e.session.subscribed--
	case e.unused != nil:
		e.unused()
	}
	e.feed, e.batch, e.unused = nil, nil, nil
	e.session.activity.leaves(e.following)
}

// run streams rows until ctx ends. With a limit it waits for as many rows: a part with fewer would be
// taken for the end.
func (e *subscription) run(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	if maxRows == 0 && e.feed == nil {
		return false, e.stream(ctx, func(b *columnar.Batch) error { return writeRows(w, b, 0, b.Len, e.told()) }, w.Flush)
	}
	e.following.asks(true)
	defer e.following.asks(false)
	if err := e.start(ctx); err != nil {
		return false, err
	}
	for n := 0; maxRows == 0 || n < maxRows; {
		if err := e.more(ctx, nil, func() error { return e.following.write(w.Flush) }); err != nil {
			return false, err
		}
		k, err := e.send(w, int64(maxRows-n))
		if err != nil {
			return false, err
		}
		n += k
	}
	return false, nil
}

// fetch writes rows: as many as limit says, if it isn't zero, or those that there are before wait is
// over. A negative wait is until there are some, and ends when there are no more for the moment.
func (e *subscription) fetch(ctx context.Context, w pgwire.ResultWriter, limit int64, wait time.Duration) error {
	e.following.asks(true)
	defer e.following.asks(false)
	if err := e.start(ctx); err != nil {
		return err
	}
	now := make(chan time.Time)
	close(now)
	var until <-chan time.Time
	switch {
	case wait == 0:
		until = now
	case wait > 0:
		timer := time.NewTimer(wait)
		defer timer.Stop()
		until = timer.C
	}
	for n := int64(0); limit == 0 || n < limit; {
		err := e.more(ctx, until, w.Flush)
		if errors.Is(err, errNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		k, err := e.send(w, limit-n)
		if err != nil {
			return err
		}
		if n += int64(k); wait < 0 {
			until = now
		}
	}
	return nil
}

// start reading, for as long as the subscription lives.
func (e *subscription) start(ctx context.Context) error {
	if e.feed != nil {
		return nil
	}
	if e.session.subscribed == maxSubscriptions {
		return sqlError("54000", "a session can't have more than %d open subscriptions", maxSubscriptions)
	}
	e.session.subscribed++
	e.feed, e.unused = e.begin(context.WithoutCancel(ctx)), nil
	return nil
}

// more makes sure that there are rows to send.
func (e *subscription) more(ctx context.Context, until <-chan time.Time, idle func() error) error {
	if e.batch != nil && e.sent < e.batch.Len {
		return nil
	}
	var err error
	e.batch, err = e.feed.next(ctx, until, idle)
	e.sent = 0
	return err
}

// send at most so many of the rows that there are, if that is positive.
func (e *subscription) send(w pgwire.ResultWriter, most int64) (int, error) {
	k := e.batch.Len - e.sent
	if most > 0 {
		k = int(min(int64(k), most))
	}
	err := e.following.write(func() error { return writeRows(w, e.batch, e.sent, e.sent+k, e.told()) })
	e.following.sent(e.batch, e.sent, e.sent+k)
	e.sent += k
	return k, err
}

func (e *subscription) told() presenter { return e.presenter.in(e.session.settings.style()) }

func (e *subscription) stream(ctx context.Context, write func(*columnar.Batch) error, idle func() error) error {
	send := func(b *columnar.Batch) error {
		err := e.following.write(func() error { return write(b) })
		e.following.sent(b, 0, b.Len)
		return err
	}
	flush := func() error { return e.following.write(idle) }
	t := e.begin(ctx)
	e.unused = nil
	return sendAll(ctx, t, send, flush)
}
