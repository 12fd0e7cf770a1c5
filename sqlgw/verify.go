package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareVerify makes a statement of VERIFY MATERIALIZED VIEW: a query of the view and of its table, read at the view's cut, whose rows are those
// of which one has more than the other. Both are computed in the default style, as rows are where views are kept, and without the rows that the
// view skips.
func (s *session) prepareVerify(ctx context.Context, p *parse.VerifyMaterializedView) (*statement, error) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	q, o, err := s.verification(snap, p.View)
	if err != nil {
		return nil, err
	}
	if err := q.describe(ctx, snap, nil); err != nil {
		return nil, err
	}
	return &statement{
		session: s, columns: describeTold(q.columns, q.told), names: s.visible,
		begin: func(ctx context.Context, args *columnar.Batch) (execution, error) {
			snap, err := q.snapshot(ctx)
			if err != nil {
				return nil, err
			}
			now, same, err := s.verification(snap, p.View)
			if err != nil {
				return nil, err
			}
			if same.ID != o.ID || !now.sources[0].same(q.sources[0]) {
				return nil, changedResult()
			}
			q.sources[1].stored.without = now.sources[1].stored.without
			if err := s.wholeTable(ctx, snap, q.sources[0].stored); err != nil {
				return nil, err
			}
			return q.beginAt(ctx, snap, args)
		},
	}, nil
}

// verification is the query that compares a view with its table, for its owner.
func (s *session) verification(snap *catalog.Snapshot, n parse.Name) (*query, catalog.Object, error) {
	o, err := s.materialized(snap, n)
	if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Code == "42809" {
		return nil, o, hinted(e, "VERIFY compares the rows that are kept of a materialized view with its query: of nothing else are any kept.")
	}
	if err != nil {
		return nil, o, err
	}
	if err := s.ownView(snap, o); err != nil {
		return nil, o, err
	}
	views := expansion{session: s, snap: snap}
	kept := &storedView{object: o}
	if err := views.expand(kept, 1); err != nil {
		return nil, o, err
	}
	asked := o.View
	batch := *asked
	batch.Materialized = nil
	again := &storedView{object: o, query: kept.query, sources: kept.sources, without: skippedRows(asked.Materialized)}
	again.object.View = &batch
	again.object.ID = 0 // it isn't the view
	parsed, err := parseOne(verifyText(asked.Columns))
	if err != nil {
		return nil, o, err
	}
	return &query{session: s, parsed: parsed, plain: true, sources: []source{{stored: kept}, {stored: again}}}, o, nil
}

// verifyText compares the rows of kept with those of again, both ways, floats to 12 digits.
func verifyText(columns []catalog.ViewColumn) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		name := `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
		switch list[i] = name; c.Type {
		case "float8":
			list[i] = rounded(name, 12) + " AS " + name
		case "float4":
			list[i] = rounded(name+"::float8", 6) + " AS " + name
		}
	}
	all := strings.Join(list, ", ")
	return "WITH kept AS MATERIALIZED (SELECT " + all + " FROM kept), again AS MATERIALIZED (SELECT " + all + " FROM again)" +
		" SELECT 'extra' AS bs_row, x.* FROM (SELECT * FROM kept EXCEPT ALL SELECT * FROM again) x" +
		" UNION ALL SELECT 'missing', x.* FROM (SELECT * FROM again EXCEPT ALL SELECT * FROM kept) x"
}

// rounded is a float to some digits. Sums of floats depend on the order of what is added.
func rounded(x string, digits int) string {
	unit := "power(10::float8, floor(log(abs(" + x + "))) - " + strconv.Itoa(digits-1) + ")"
	return "CASE WHEN abs(" + x + ") > 1e-280 AND abs(" + x + ") < 1e300 THEN round(" + x + " / " + unit + ") * " + unit + " ELSE " + x + " END"
}

// parseOne parses a query.
func parseOne(text string) (*parse.Select, error) {
	pieces, err := parse.Split(text)
	if err != nil {
		return nil, parseError(err)
	}
	st, err := parse.Parse(pieces[0])
	if err != nil {
		return nil, parseError(err)
	}
	return st.(*parse.Select), nil
}

// wholeTable refuses to verify a view of a table whose first rows were removed: the view has them still.
func (s *session) wholeTable(ctx context.Context, snap *catalog.Snapshot, v *storedView) error {
	for _, t := range tablesOf(v.sources) {
		journals, err := snap.Journals(ctx, t)
		if err != nil {
			return err
		}
		heads, err := s.gateway.fixCut(ctx, journals)
		if err != nil {
			return err
		}
		for _, j := range journals {
			l, err := s.gateway.kept(ctx, j, heads[j])
			if err != nil {
				return err
			}
			if l.begin > 0 {
				e := sqlError("55000", "materialized view %q can't be verified: journal %s begins at %d", v.object.Name, j, l.begin)
				e.Detail = fmt.Sprintf("What table %q had before was removed, and the view has it still.", t.Name)
				return e
			}
		}
	}
	return nil
}
