package sqlgw

import (
	"context"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// place is where a statement reads one mention of a table: its journals, each up to a head.
type place struct {
	journals []string
	at       cut
	past     bool // it is where the table was, so that what the transaction holds isn't in it
}

// pasts finds where the tables are read that have an AS OF clause, for one statement.
type pasts struct {
	query *query
	args  *columnar.Batch
	cuts  map[*parse.AsOf]clock.Cut
}

// place is where a table is read by a clause.
func (p *pasts) place(ctx context.Context, t catalog.Table, journals []string, a *parse.AsOf) (place, error) {
	c, ok := p.cuts[a]
	if !ok {
		var err error
		if c, err = p.cut(a); err != nil {
			return place{}, at(err, a.Position)
		}
		p.cuts[a] = c
	}
	at, err := p.query.session.gateway.pastCut(ctx, t, journals, c)
	if err != nil {
		return place{}, atClause(err, a)
	}
	out := place{at: at, past: true}
	for _, j := range journals {
		if _, ok := at[j]; ok {
			out.journals = append(out.journals, j)
		}
	}
	return out, nil
}

func atClause(err error, a *parse.AsOf) error { return at(err, a.Position) }

// cut is what a clause says.
func (p *pasts) cut(a *parse.AsOf) (clock.Cut, error) {
	if !a.Cut {
		return clock.Cut{}, sqlError("0A000", "AS OF TIMESTAMP is not supported")
	}
	text := ""
	if a.Param > 0 {
		v := &p.args.Cols[a.Param-1]
		if v.IsNull(0) {
			return clock.Cut{}, sqlError("22004", "AS OF CUT NULL: a cut can't be null")
		}
		text = string(columnar.AppendText(nil, v, 0))
	} else {
		text = *a.Text
	}
	c, err := clock.ParseCut(text)
	if err != nil {
		return c, hinted(sqlError("22023", "AS OF CUT: %v", err), "SHOW "+settingLastCut+" prints one.")
	}
	return c, nil
}

// pastCut is where a table's journals are in a cut. A journal that was created after it has no rows there.
func (g *Gateway) pastCut(ctx context.Context, t catalog.Table, journals []string, c clock.Cut) (cut, error) {
	created, err := g.revisions.fresh(ctx, journals)
	if err != nil {
		return nil, err
	}
	out := cut{}
	var names []string
	missing := ""
	for _, j := range journals {
		p, ok := c.Place(j)
		switch {
		case ok && p.Revision != created[j]:
			return nil, errOtherJournal(j, "the cut")
		case ok:
			out[j] = p.Offset
			names = append(names, j)
		case missing == "" || created[j] <= c.Revision:
			missing = j
		}
	}
	if missing != "" && (len(out) == 0 || created[missing] <= c.Revision) {
		return nil, hinted(sqlError("22023", "journal %s of table %q isn't in the cut", missing, t.Name),
			"It is the cut of a statement that didn't read the table, or was made before it.")
	}
	heads, err := g.fixCut(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, j := range names {
		if heads[j] < out[j] {
			return nil, sqlError("22023", "journal %s ends at %d, below its place %d in the cut", j, heads[j], out[j])
		}
	}
	return out, nil
}

// errOtherJournal is that of a cut whose journal is gone, even if there is another one of its name.
func errOtherJournal(journal, where string) *pgwire.Error {
	return sqlError("22023", "journal %s isn't the one of that name in %s: it was removed since, or made again", journal, where)
}
