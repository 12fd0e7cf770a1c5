package sqlgw

import (
	"context"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// A query is alone if nothing in it is about the catalog: it names no relation, and the dialect has no answer to any of its
// functions, casts and operators. Then it doesn't matter which snapshot it has, and none is asked of etcd, which is
// most of what SELECT 1 takes.

// noting is a dialect that notes when it has an answer.
type noting struct {
	parse.Dialect
	answered *bool
}

func (n noting) note(t *parse.Template, err error) (*parse.Template, error) {
	if t != nil || err != nil {
		*n.answered = true
	}
	return t, err
}

// Function as of parse.Dialect.
func (n noting) Function(c parse.Call) (*parse.Template, error) { return n.note(n.Dialect.Function(c)) }

// Cast as of parse.Dialect.
func (n noting) Cast(c parse.Cast) (*parse.Template, error) { return n.note(n.Dialect.Cast(c)) }

// Operator as of parse.Dialect.
func (n noting) Operator(o parse.Operator) (*parse.Template, error) {
	return n.note(n.Dialect.Operator(o))
}

// resolved makes a query of what was parsed, over a snapshot of the catalog.
func (s *session) resolved(ctx context.Context, snap *catalog.Snapshot, p *parse.Select, declared []columnar.Type) (*query, error) {
	q := &query{session: s, parsed: p}
	var err error
	if q.sources, err = s.resolveAll(snap, p); err != nil {
		return nil, err
	}
	if err := q.describe(ctx, snap, declared); err != nil {
		return nil, err
	}
	return q, nil
}

// snapshot that the query is to be begun with.
func (q *query) snapshot(ctx context.Context) (*catalog.Snapshot, error) {
	if q.alone() {
		return q.session.gateway.cfg.Catalog.Latest(), nil
	}
	return q.session.gateway.cfg.Catalog.Snapshot(ctx)
}

func (q *query) alone() bool { return len(q.sources) == 0 && !q.answered }
