package sqlgw

import (
	"context"
	"fmt"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// skipRow has a materialized view do without a row of its table, which it hasn't read yet. It is in the view's entry, which whoever
// keeps the rows follows.
func (s *session) skipRow(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot, o catalog.Object, row parse.SkippedRow) error {
	place := catalog.RowPlace{Journal: row.Journal, Offset: row.Offset}
	t, ok := snap.TableRead(o.View.Reads[0])
	if !ok {
		return undefinedTable(parse.Name{Schema: o.View.Reads[0].Schema, Name: o.View.Reads[0].Name})
	}
	journals, err := snap.Journals(ctx, t)
	if err != nil {
		return err
	}
	if !slices.Contains(journals, place.Journal) {
		return hinted(sqlError("22023", "table %q, which materialized view %q reads, has no journal %q", t.Name, o.Name, place.Journal),
			"The row on which the view fails is told by bs_catalog.materialized_views.")
	}
	if slices.Contains(o.View.Materialized.Skipped, place) {
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: fmt.Sprintf("materialized view %q skips the row at %s already", o.Name, place)})
		w.Complete("ALTER MATERIALIZED VIEW")
		return nil
	}
	if len(o.View.Materialized.Skipped) >= catalog.MaxSkipped {
		return hinted(sqlError("54000", "materialized view %q skips %d rows already, and can't skip more", o.Name, catalog.MaxSkipped),
			"Make a view whose query leaves such rows out, or takes them.")
	}
	if err := s.notRead(ctx, o, place); err != nil {
		return err
	}
	_, err = s.gateway.cfg.Catalog.ChangeView(ctx, o, func(v *catalog.Object) error {
		if kept := v.View.Materialized; kept != nil && !slices.Contains(kept.Skipped, place) {
			kept.Skipped = append(kept.Skipped, place)
		}
		return nil
	})
	if err != nil {
		return catalogError(err)
	}
	w.Complete("ALTER MATERIALIZED VIEW")
	return nil
}

// notRead refuses to skip a row that a view has read. Of a view that can't be asked it isn't known: as a rule it has failed on that row.
func (s *session) notRead(ctx context.Context, o catalog.Object, p catalog.RowPlace) error {
	if s.gateway.cfg.Views == nil {
		return errNoViews(o)
	}
	asked, cancel := context.WithTimeout(ctx, viewPatience)
	defer cancel()
	at, err := s.gateway.cfg.Views.Stat(asked, o.ID)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && at.Cut[p.Journal] > p.Offset:
		return hinted(sqlError("55000", "materialized view %q has read the row at %s already", o.Name, p),
			"Make a view whose query leaves it out.")
	}
	return nil
}

// skippedRows are the rows that a materialized view does without, by their journals: offsets, which ascend.
func skippedRows(m *catalog.Materialized) map[string][]int64 {
	out := map[string][]int64{}
	for _, p := range m.Skipped {
		out[p.Journal] = append(out[p.Journal], p.Offset)
	}
	for _, offsets := range out {
		slices.Sort(offsets)
	}
	return out
}

// rowsWithout are the rows of a batch that don't begin at some offsets, which ascend: the batch itself if that is all.
func rowsWithout(b *columnar.Batch, offsets []int64) *columnar.Batch {
	if len(offsets) == 0 || b.Len == 0 {
		return b
	}
	var runs [][2]int
	from := 0
	for _, at := range offsets {
		if i, found := slices.BinarySearch(b.Offsets, at); found {
			runs = appendRun(runs, from, i)
			from = i + 1
		}
	}
	return runsOf(b, appendRun(runs, from, b.Len))
}

func appendRun(runs [][2]int, from, to int) [][2]int {
	if from >= to {
		return runs
	}
	return append(runs, [2]int{from, to})
}
