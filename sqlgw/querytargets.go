package sqlgw

import (
	"context"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// targets makes what the engine reads for each relation: at one cut for all of them that have no AS OF.
func (q *query) targets(ctx context.Context, snap *catalog.Snapshot, e *queryExecution, args *columnar.Batch) ([]parse.Target, error) {
	places, err := q.places(ctx, snap, args)
	if err != nil {
		return nil, err
	}
	relations := q.parsed.Relations()
	out := make([]parse.Target, len(relations))
	for i, r := range relations {
		if x := q.sources[i]; x.view != nil {
			out[i] = e.viewTarget(x.view)
		} else if out[i], err = e.tableTarget(ctx, x.table, places[i], r.Meta); err != nil {
			if r.AsOf != nil {
				err = atClause(err, r.AsOf)
			}
			return nil, err
		}
	}
	return out, nil
}

// places are where each relation is read, but for system views.
func (q *query) places(ctx context.Context, snap *catalog.Snapshot, args *columnar.Batch) ([]place, error) {
	relations := q.parsed.Relations()
	out := make([]place, len(relations))
	journals := map[int64][]string{}
	var all []string
	for i, x := range q.sources {
		if x.view != nil {
			continue
		}
		names, known := journals[x.table.ID]
		if !known {
			var err error
			if names, err = snap.Journals(ctx, x.table); err != nil {
				return nil, err
			}
			journals[x.table.ID] = names
		}
		out[i].journals = names
		if relations[i].AsOf == nil {
			all = append(all, names...)
		}
	}
	slices.Sort(all)
	now, err := q.session.cutFor(ctx, snap, slices.Compact(all))
	if err != nil {
		return nil, err
	}
	if err := q.session.reads(ctx, snap, now); err != nil {
		return nil, err
	}
	past := pasts{query: q, args: args, cuts: map[*parse.AsOf]clock.Cut{}}
	for i, x := range q.sources {
		switch a := relations[i].AsOf; {
		case a == nil:
			out[i].at = now
		case x.view != nil:
			return nil, at(sqlError("0A000", "%s of system relation %q is not supported", a.Clause(), relations[i].Name.Name), a.Position)
		default:
			if out[i], err = past.place(ctx, x.table, out[i].journals, a); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// tableTarget plans the reading of one mention of a table.
func (e *queryExecution) tableTarget(ctx context.Context, t catalog.Table, in place, meta []string) (parse.Target, error) {
	g := e.query.session.gateway
	schema := t.RowSchema()
	key := schema.Fingerprint()
	plans, err := g.planJournals(ctx, in.journals, in.at, schema, key, len(meta) > 0)
	if err != nil {
		return parse.Target{}, err
	}
	files, ranges, err := g.split(plans)
	if err != nil {
		return parse.Target{}, err
	}
	if !in.past {
		ranges = append(ranges, e.stagedRanges(in.journals)...)
	}
	scan := &tableScan{gateway: g, schema: schema, key: key, ranges: ranges}
	cols := withMeta(schema.Columns, meta)
	out := parse.Target{Schema: t.Schema, Columns: columnNames(schema.Columns), Types: typeNames(schema.Columns), Hidden: meta}
	var parts []string
	if len(files) > 0 {
		inPlace, err := duck.ReadJSON(files, schema)
		if err != nil {
			return parse.Target{}, err
		}
		parts = append(parts, inPlace)
	}
	if len(ranges) > 0 || len(files) == 0 {
		token := g.scans.add(duck.Scan{
			Columns: append(slices.Clone(schema.Columns), metaColumns()...), Open: scan.open,
		})
		e.tokens = append(e.tokens, token)
		parts = append(parts, readScan(token, cols))
	}
	out.SQL = "(" + strings.Join(parts, " UNION ALL ") + ")"
	return out, nil
}

// stagedRanges are what the session's own transaction is to append to journals: its statements see it.
// It is what is staged now, whatever the transaction does while the query runs.
func (e *queryExecution) stagedRanges(journals []string) []decodeRangeOf {
	tx := e.query.session.tx
	if tx == nil || tx.stage == nil {
		return nil
	}
	var out []decodeRangeOf
	for _, j := range journals {
		if content := tx.stage.Snapshot(j); content != nil {
			e.staged = append(e.staged, content)
			out = append(out, decodeRangeOf{journal: j, end: content.Size(), staged: content})
		}
	}
	return out
}
