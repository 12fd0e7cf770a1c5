package sqlgw

import (
	"context"
	"slices"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// targets makes what the engine reads for each relation: at one cut for all of them that have no AS OF.
func (q *query) targets(ctx context.Context, snap *catalog.Snapshot, e *queryExecution, args *columnar.Batch) ([]parse.Target, error) {
	if e.places == nil { // it is tried again at the same cut
		var err error
		if e.places, err = q.places(ctx, snap, e, args); err != nil {
			return nil, err
		}
	}
	var err error
	relations := q.parsed.Relations()
	out := make([]parse.Target, len(relations))
	for i, r := range relations {
		if i == 0 && e.added != nil {
			out[i] = e.addedTarget(q.sources[i].table, r.Meta)
			continue
		}
		if v := q.sources[i].view; v != nil && q.sources[i].stored == nil {
			out[i] = e.viewTarget(v, journalsAsked(v, r.Bounds, args)) // which has no past
			continue
		}
		if out[i], err = e.targetOf(ctx, q.sources[i], r.Meta, e.places[i]); err != nil {
			if r.AsOf != nil {
				err = atClause(err, r.AsOf)
			}
			return nil, err
		}
		out[i].SQL = withParam(out[i].SQL, r.AsOf)
	}
	return out, nil
}

// places are where the tables of each relation are read, by their ids: a view's are all read where the view is. The first
// relation is nowhere if it is of rows that are added.
func (q *query) places(ctx context.Context, snap *catalog.Snapshot, e *queryExecution, args *columnar.Batch) ([]map[int64]place, error) {
	added := e.added != nil
	relations := q.parsed.Relations()
	journals := map[int64][]string{}
	var all []string
	for i, x := range q.sources {
		if i == 0 && added {
			continue
		}
		for _, t := range tablesOf([]source{x}) {
			names, known := journals[t.ID]
			if !known {
				var err error
				if names, err = snap.Journals(ctx, t); err != nil {
					return nil, err
				}
				journals[t.ID] = names
			}
			if relations[i].AsOf == nil {
				all = append(all, names...)
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	created, err := q.session.gateway.revisions.of(ctx, all)
	if err != nil {
		return nil, err
	}
	read := q.sources
	if added {
		read = read[1:]
	}
	if err := q.session.settle(ctx, snap, tablesOf(read)); err != nil {
		return nil, err
	}
	now, err := q.session.cutFor(ctx, snap, all)
	if err != nil {
		return nil, err
	}
	if err := e.readViews(ctx, now, journals); err != nil {
		return nil, err
	}
	q.session.reads(snap, now, created)
	past := pasts{query: q, args: args, now: time.Now().UTC().Truncate(time.Microsecond), cuts: map[*parse.AsOf]clock.Cut{}}
	out := make([]map[int64]place, len(relations))
	for i, x := range q.sources {
		if i == 0 && added {
			continue
		}
		a, tables := relations[i].AsOf, tablesOf([]source{x})
		if a != nil && len(tables) == 0 {
			kind := "system relation"
			if x.temp {
				kind = "temporary table"
			}
			return nil, at(sqlError("0A000", "%s of %s %q is not supported", a.Clause(), kind, relations[i].Name.Name), a.Position)
		}
		out[i] = make(map[int64]place, len(tables))
		for _, t := range tables {
			in := place{journals: journals[t.ID], at: now}
			if a != nil {
				if in, err = past.place(ctx, t, in.journals, a); err != nil {
					return nil, err
				}
			}
			if x.stored == nil {
				in.narrow = past.narrowing(relations[i].Bounds)
			} else {
				in.without = x.stored.without
			}
			out[i][t.ID] = in
		}
	}
	return out, nil
}

// tableTarget plans the reading of one mention of a table.
func (e *queryExecution) tableTarget(ctx context.Context, t catalog.Table, in place, meta []string) (parse.Target, error) {
	g := e.query.session.gateway
	schema := t.RowSchema()
	key := schema.Fingerprint()
	if e.reach == nil {
		e.reach = e.query.session.reach()
	}
	how := reading{
		list: e.reach.list, schema: schema, fingerprint: key, decodeAll: len(meta)+len(in.without) > 0, gone: e.gone, narrow: in.narrow, tell: e.notes != nil,
	}
	if schema.Format != nil || t.Messages != "" {
		how.narrow = nil // a newline doesn't tell where a row begins, or one before tells whether it is a row
	}
	scan := &tableScan{gateway: g, schema: schema, key: key}
	if slices.Contains(meta, metaTimestamp) {
		var err error
		if scan.times, err = e.times(ctx, in.journals); err != nil {
			return parse.Target{}, err
		}
	}
	if how.narrow != nil {
		how.narrow.times = scan.times
	}
	plans, err := g.planJournals(ctx, in.journals, in.at, how)
	if err != nil {
		return parse.Target{}, err
	}
	created, err := e.identify(ctx, t, plans)
	if err != nil {
		return parse.Target{}, err
	}
	holes, err := g.committedOf(ctx, t, plans, created)
	if err != nil {
		return parse.Target{}, err
	}
	read, err := g.split(ctx, plans)
	if err != nil {
		return parse.Target{}, err
	}
	e.pins, e.files = append(e.pins, read.pins...), append(e.files, read.files...)
	files, ranges := read.files, read.ranges
	for i := range ranges {
		j := ranges[i].journal
		ranges[i].holes, ranges[i].revision, ranges[i].without = holes[j], created[j], in.without[j]
	}
	if !in.past {
		ranges = append(ranges, e.stagedRanges(in.journals)...)
	}
	scan.ranges = ranges
	e.notes.note(t, plans, read, scan)
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

// times are the marks of a table's journals, which one statement reads once: so a row has the same time in each
// mention of the table.
func (e *queryExecution) times(ctx context.Context, journals []string) (map[string][]clock.Point, error) {
	key := strings.Join(journals, "\n")
	if t, ok := e.marks[key]; ok {
		return t, nil
	}
	t, err := e.query.session.gateway.clock.times(ctx, journals)
	if err != nil {
		return nil, err
	}
	if e.marks == nil {
		e.marks = map[string]map[string][]clock.Point{}
	}
	e.marks[key] = t
	return t, nil
}

// addedTarget is the reading of the rows that an INSERT adds.
func (e *queryExecution) addedTarget(t catalog.Table, meta []string) parse.Target {
	cols := t.RowSchema().Columns
	token := e.query.session.gateway.scans.add(*e.added)
	e.tokens = append(e.tokens, token)
	return parse.Target{
		SQL: "(" + readScan(token, withMeta(cols, meta)) + ")", Schema: t.Schema,
		Columns: columnNames(cols), Types: typeNames(cols), Hidden: meta,
	}
}
