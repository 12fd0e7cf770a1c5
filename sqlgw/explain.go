package sqlgw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// explanation is an EXPLAIN whose names are resolved, with the rights that its statement takes.
type explanation struct {
	session *session
	asked   *parse.Explain
	query   *query      // nil if rows are given as they are
	insert  *insertPlan // nil unless they are to be inserted
}

// prepareExplain makes a statement of EXPLAIN. It plans as its statement does, when it runs; and runs it only if that is
// asked for, in one turn, with its rows counted where they are and told to nobody.
func (s *session) prepareExplain(ctx context.Context, p *parse.Explain, paramOIDs []uint32) (*statement, error) {
	x := &explanation{session: s, asked: p}
	of, _ := p.Statement.(*parse.Select)
	if d, ok := p.Statement.(*parse.Declare); ok {
		of = d.Query
	}
	var params []columnar.Type
	if i, ok := p.Statement.(*parse.Insert); ok {
		var err error
		if x.insert, err = s.planInsert(ctx, i, paramOIDs); err != nil {
			return nil, err
		}
		params = x.insert.params
		if _, given := i.Source.Literals(); !given {
			of = i.Source
		}
	}
	st := &statement{session: s, params: params, columns: textColumns("QUERY PLAN"), begin: x.begin, names: s.visible}
	if p.JSON {
		st.columns = describe([]columnar.Column{{Name: "QUERY PLAN", Type: columnar.Type{Kind: columnar.JSON}}})
	}
	if of == nil {
		return st, nil
	}
	declared, err := declaredTypes(paramOIDs)
	if err != nil {
		return nil, err
	}
	if x.query, err = s.newQuery(ctx, of, declared); err != nil {
		return nil, err
	}
	st.params, st.told = x.query.params, x.query.toldParams
	return st, nil
}

// begin plans the statement, and with ANALYZE runs it. What is left is to tell.
func (x *explanation) begin(ctx context.Context, args *columnar.Batch) (execution, error) {
	told := planTold{asked: x.asked, insert: x.insert}
	if x.query != nil {
		var err error
		if told, err = x.explain(ctx, args); err != nil {
			return nil, err
		}
	}
	lines := told.text()
	if x.asked.JSON {
		document, err := json.MarshalIndent([]any{told.document()}, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
		lines = []string{string(document)}
	}
	list := &rowList{tag: "EXPLAIN"}
	for _, line := range lines {
		list.rows = append(list.rows, []string{line})
	}
	return list, nil
}

// explain plans the query, and with ANALYZE runs it.
func (x *explanation) explain(ctx context.Context, args *columnar.Batch) (planTold, error) {
	told := planTold{asked: x.asked, insert: x.insert}
	began := time.Now()
	snap, err := x.session.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return told, err
	}
	if err := x.query.unchanged(snap); err != nil {
		return told, err
	}
	n := &notes{analyze: x.asked.Analyze}
	e := &queryExecution{query: x.query, state: x.session.viewState(snap), notes: n}
	defer e.close()
	if err := e.begin(ctx, snap, args); err != nil {
		return told, err
	}
	plan, err := e.enginePlan(ctx)
	if err != nil {
		return told, err
	}
	told.tables = n.tables
	told.planning, told.running = n.planned.Sub(began), time.Since(n.planned)
	return told, told.read(plan)
}

// enginePlan is what the engine says of the query.
func (e *queryExecution) enginePlan(ctx context.Context) ([]byte, error) {
	var plan []byte
	err := e.each(ctx, func(b *columnar.Batch) error {
		if len(b.Cols) != 2 || b.Len != 1 || plan != nil {
			return errors.New("explain: the engine's answer isn't one plan")
		}
		plan = columnar.AppendText(nil, &b.Cols[1], 0)
		return nil
	})
	if err == nil && plan == nil {
		err = fmt.Errorf("explain: the engine has no plan: %w", io.ErrUnexpectedEOF)
	}
	return plan, err
}
