package sqlgw

import (
	"context"
	"math"
	"strconv"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// place is where a statement reads one mention of a table: its journals, each up to a head.
type place struct {
	journals []string
	at       cut
	past     bool               // it is where the table was, so that what the transaction holds isn't in it
	narrow   *narrowing         // nil if all of it is wanted
	without  map[string][]int64 // rows of journals that aren't wanted, by their offsets, which ascend
}

// pasts finds where the tables are read that have an AS OF clause, for one statement.
type pasts struct {
	query *query
	args  *columnar.Batch
	now   time.Time // of the statement
	cuts  map[*parse.AsOf]clock.Cut
}

// place is where a table is read by a clause.
func (p *pasts) place(ctx context.Context, t catalog.Table, journals []string, a *parse.AsOf) (place, error) {
	c, ok := p.cuts[a]
	if !ok {
		var err error
		if c, err = p.cut(ctx, a); err != nil {
			return place{}, at(err, a.Position)
		}
		p.cuts[a] = c
	}
	at, err := p.query.session.gateway.pastCut(ctx, t, journals, c, !a.Cut)
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

// withParam makes what a relation stands for mention the parameter of its clause, if that is one, and changes nothing
// else: the engine wants all parameters up to the last one to stand in its text.
func withParam(sql string, a *parse.AsOf) string {
	if a == nil || a.Param == 0 {
		return sql
	}
	return "(SELECT * FROM " + sql + " WHERE CAST($" + strconv.Itoa(a.Param) + " AS VARCHAR) IS NULL OR true)"
}

func atClause(err error, a *parse.AsOf) error { return at(err, a.Position) }

// cut is what a clause says.
func (p *pasts) cut(ctx context.Context, a *parse.AsOf) (clock.Cut, error) {
	if !a.Cut {
		t, err := p.time(a)
		if err != nil {
			return clock.Cut{}, err
		}
		return p.query.session.gateway.clock.cutAt(ctx, t)
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

// pastCut is where a table's journals are in a cut. A journal that was created after it has no rows there. In a
// cut of a mark, none has that isn't in it.
func (g *Gateway) pastCut(ctx context.Context, t catalog.Table, journals []string, c clock.Cut, marked bool) (cut, error) {
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
		case marked && (!ok || p.Revision != created[j]):
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

// time is what a clause says, by the session's time zone.
func (p *pasts) time(a *parse.AsOf) (time.Time, error) {
	as := p.query.session.settings.style()
	var t time.Time
	switch {
	case a.Now:
		t = p.now
	default:
		v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.TimestampTZ})
		text := ""
		if a.Text != nil {
			text = *a.Text
		} else if arg := &p.args.Cols[a.Param-1]; arg.IsNull(0) {
			return t, sqlError("22004", "AS OF TIMESTAMP NULL: a time can't be null")
		} else {
			text = string(columnar.AppendText(nil, arg, 0))
		}
		if err := as.Read(columnar.Type{Kind: columnar.TimestampTZ}, text, v, p.now); err != nil {
			return t, inputError(err, a.Clause())
		}
		built := v.Vector()
		micros := built.I64[0]
		if micros == math.MaxInt64 || micros == math.MinInt64 || micros == -math.MaxInt64 {
			return t, sqlError("22023", "AS OF TIMESTAMP %s: a time can't be infinite", text)
		}
		t = time.UnixMicro(micros).UTC()
	}
	for _, x := range a.Shifts {
		v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Interval})
		if err := columnar.ParseText(columnar.Type{Kind: columnar.Interval}, x.Interval, v); err != nil {
			return t, inputError(err, a.Clause())
		}
		built := v.Vector()
		t = shiftTime(t, built.Intervals[0], x.Back, as.Zone)
	}
	return t, nil
}

// shiftTime adds an interval as PostgreSQL does: months first, where a day that a month doesn't have is its last. Days and months are those
// of the zone's own clock.
func shiftTime(t time.Time, by columnar.IntervalValue, back bool, zone style.Zone) time.Time {
	const day = 86400e6 // microseconds: all days of UTC are as long, and a Duration has no room for many
	months, days, micros := int(by.Months), int(by.Days), by.Micros
	if back {
		months, days, micros = -months, -days, -micros
	}
	if months != 0 || days != 0 {
		t = zone.Local(shiftDays(t.In(zone.Location()), months, days))
	}
	return t.UTC().AddDate(0, 0, int(micros/day)).Add(time.Duration(micros%day) * time.Microsecond)
}

func shiftDays(t time.Time, months, days int) time.Time {
	first := time.Date(t.Year(), t.Month(), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC).AddDate(0, months, 0)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1+days)
}
