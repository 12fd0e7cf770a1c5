package sqlgw

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// counted holdings are of two tables, with three journals each, and note what brokers are asked.
func counted(a asked) (holdings, *[]string) {
	calls := &[]string{}
	names := func(prefix string) []string { return []string{prefix + "0", prefix + "1", prefix + "2"} }
	h := holdings{asked: a, tables: []catalog.Table{{Name: "x", Journals: "db/x/"}, {Name: "y", Journals: "db/y/"}}}
	h.journals = func(_ context.Context, t catalog.Table) ([]string, error) { return names(t.Journals), nil }
	h.list = func(_ context.Context, s *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error) {
		var said []string
		var out []*protocol.ListResponse_Journal
		for _, l := range s.GetInclude().GetLabels() {
			said = append(said, l.GetName()+"="+l.GetValue())
		}
		for _, name := range slices.Concat(names("db/x/"), names("db/y/")) {
			if slices.ContainsFunc(s.GetInclude().GetLabels(), func(l *protocol.Label) bool {
				return l.GetName() == protocol.MetaLabelName && l.GetValue() == name || l.GetName() == protocol.MetaLabelPrefix && strings.HasPrefix(name, l.GetValue())
			}) {
				out = append(out, &protocol.ListResponse_Journal{Spec: &protocol.JournalSpec{Name: name}})
			}
		}
		*calls = append(*calls, "list "+strings.Join(said, " "))
		return out, nil
	}
	h.fragments = func(_ context.Context, journal string) ([]*protocol.Fragment, error) {
		*calls = append(*calls, "fragments "+journal)
		return nil, nil
	}
	return h, calls
}

// askedBy are the journals that a WHERE clause asks bs_catalog.lag for, by the parameters $1 and $2.
func askedBy(t *testing.T, where string) asked {
	t.Helper()
	pieces, err := parse.Split("SELECT * FROM bs_catalog.lag WHERE " + where)
	require.NoError(t, err)
	st, err := parse.Parse(pieces[0])
	require.NoError(t, err, where)
	args := &columnar.Batch{Len: 1}
	for _, v := range []string{"db/x/1", "db/y/%"} {
		b := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
		b.AppendString(v)
		args.Cols = append(args.Cols, b.Vector())
	}
	null := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
	null.AppendNull()
	args.Cols = append(args.Cols, null.Vector())
	lag := viewsByName()[viewName{bsCatalog, "lag"}]
	return journalsAsked(lag, st.(*parse.Select).Relations()[0].Bounds, args)
}

// TestOnlyJournalsThatAreAskedFor: a condition on the journal keeps brokers from being asked for others.
func TestOnlyJournalsThatAreAskedFor(t *testing.T) {
	all := "db/x/0 db/x/1 db/x/2 db/y/0 db/y/1 db/y/2"
	for _, c := range []struct{ where, journals, lists string }{
		{"lag > 0", all, "prefix=db/x/;prefix=db/y/"},
		{"journal = 'db/x/1'", "db/x/1", "name=db/x/1"},
		{"'db/x/1'::text = journal AND lag > 5", "db/x/1", "name=db/x/1"},
		{"journal = $1", "db/x/1", "name=db/x/1"},
		{"journal IN ('db/y/2', $1, 'db/x/1', 'elsewhere')", "db/x/1 db/y/2", "name=db/x/1;name=db/y/2"},
		{"journal IN ('db/x/2', 'db/x/0')", "db/x/0 db/x/2", "name=db/x/0 name=db/x/2"},
		{"journal IN ('db/x/1', 'db/y/1') AND journal LIKE 'db/y/%'", "db/y/1", "name=db/y/1"},
		{"journal = 'db/x/1' AND journal = 'db/x/2'", "", ""},
		{"journal LIKE 'db/x/%'", "db/x/0 db/x/1 db/x/2", "prefix=db/x/"},
		{"journal LIKE $2", "db/y/0 db/y/1 db/y/2", "prefix=db/y/"},
		{"journal LIKE 'db/x/1%z'", "db/x/1", "prefix=db/x/"},
		{"journal LIKE 'db/y/_'", "db/y/0 db/y/1 db/y/2", "prefix=db/y/"},
		{"journal LIKE 'db/y/0'", "db/y/0", "name=db/y/0"},
		{`journal LIKE 'db/\x/0'`, "db/x/0", "name=db/x/0"},
		{"journal LIKE '%1'", all, "prefix=db/x/;prefix=db/y/"},
		{"journal LIKE 'other/%'", "", ""},
		{"journal = ''", "", ""},
		// None of these says which.
		{"journal = $3", all, "prefix=db/x/;prefix=db/y/"},
		{"journal = 'db/x/1' OR lag > 0", all, "prefix=db/x/;prefix=db/y/"},
		{"NOT journal = 'db/x/1'", all, "prefix=db/x/;prefix=db/y/"},
		{"journal ILIKE 'db/x/%'", all, "prefix=db/x/;prefix=db/y/"},
		{"journal = table_name", all, "prefix=db/x/;prefix=db/y/"},
	} {
		h, calls := counted(askedBy(t, c.where))
		var got []string
		require.NoError(t, h.eachFragments(t.Context(), func(_ catalog.Table, journal string, _ []*protocol.Fragment) error {
			got = append(got, journal)
			return nil
		}))
		require.Equal(t, c.journals, strings.Join(got, " "), c.where)
		want := []string{}
		for _, j := range got {
			want = append(want, "fragments "+j)
		}
		require.Equal(t, want, *calls, c.where)

		h, calls = counted(h.asked)
		got = nil
		require.NoError(t, h.eachListed(t.Context(), func(_ catalog.Table, j *protocol.ListResponse_Journal) error {
			got = append(got, j.GetSpec().GetName())
			return nil
		}))
		require.Equal(t, c.journals, strings.Join(got, " "), c.where)
		want = []string{}
		for l := range strings.SplitSeq(c.lists, ";") {
			if l != "" {
				want = append(want, fmt.Sprint("list ", l))
			}
		}
		require.Equal(t, want, *calls, c.where)
	}
}
