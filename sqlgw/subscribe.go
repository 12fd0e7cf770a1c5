package sqlgw

import (
	"context"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareSubscribe makes a statement of SUBSCRIBE TO t: the rows of the table at the cut at
// which it begins, then every row as it is appended, until it is cancelled.
func (s *session) prepareSubscribe(ctx context.Context, p *parse.Subscribe) (*statement, error) {
	t, err := s.subscribed(ctx, p)
	if err != nil {
		return nil, err
	}
	return &statement{
		session: s, columns: describe(t.RowSchema().Columns),
		begin: func(ctx context.Context, _ *columnar.Batch) (execution, error) {
			from, err := s.subscriptionStart(ctx, t)
			if err != nil {
				return nil, err
			}
			return &subscription{session: s, table: t, from: from}, nil
		},
	}, nil
}

// subscribed is the table of a subscription.
func (s *session) subscribed(ctx context.Context, p *parse.Subscribe) (catalog.Table, error) {
	if p.Table == nil {
		e := hinted(sqlError("0A000", "SUBSCRIBE TO a query is not supported"), "Subscribe to a table.")
		e.Position = p.Position()
		return catalog.Table{}, e
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return catalog.Table{}, err
	}
	return s.table(snap, *p.Table)
}

// subscriptionStart is where each journal of a table begins.
func (s *session) subscriptionStart(ctx context.Context, t catalog.Table) ([]position, error) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
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
	plans, err := s.gateway.planJournals(ctx, journals, at, schema, schema.Fingerprint(), true)
	if err != nil {
		return nil, err
	}
	from := make([]position, len(plans))
	for i, p := range plans {
		from[i] = position{journal: p.journal, begin: p.begin}
	}
	return from, nil
}

// subscription is a running SUBSCRIBE.
type subscription struct {
	session *session
	table   catalog.Table
	from    []position
}

func (e *subscription) close() {}

// run streams rows until ctx ends. A row limit would have to end a part with fewer rows than
// asked for whenever there are no more for now, which clients take for the end.
func (e *subscription) run(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	if maxRows > 0 {
		return false, hinted(sqlError("0A000", "a row limit on SUBSCRIBE is not supported"),
			"Fetch without a limit, or use COPY (SUBSCRIBE TO ...) TO STDOUT.")
	}
	return false, e.stream(ctx, func(b *columnar.Batch) error { return writeRows(w, b, 0, b.Len, presenter{}) }, w.Flush)
}

func (e *subscription) stream(ctx context.Context, write func(*columnar.Batch) error, idle func() error) error {
	return tailAll(ctx, e.session.gateway.openRange, e.from, e.table.RowSchema(), write, idle)
}
