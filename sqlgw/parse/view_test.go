package parse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// viewWorld has the tables t(a, b) and u(a, c), and the views that were kept.
type viewWorld struct {
	views   map[string]*View
	columns map[string][]string
}

func newViewWorld() viewWorld {
	return viewWorld{views: map[string]*View{}, columns: map[string][]string{"t": {"a", "b"}, "u": {"a", "c"}}}
}

func (w viewWorld) relation(r Relation) (Target, error) {
	columns, ok := w.columns[r.Name.Name]
	if v := w.views[r.Name.Name]; v != nil {
		return Target{Schema: "s", Columns: columns, View: v}, nil
	}
	if !ok {
		return Target{}, errorf(CodeUndefinedTable, "relation %q does not exist", r.Name.Name)
	}
	return Target{SQL: "main." + r.Name.Name, Schema: "s", Columns: columns, Hidden: []string{MetaOffset}}, nil
}

// viewOf parses CREATE VIEW, and reads its query as it would be kept.
func (w viewWorld) viewOf(text string) (*CreateView, Resolved, *Select, error) {
	st, err := parseOne(text)
	if err != nil {
		return nil, Resolved{}, nil, err
	}
	v := st.(*CreateView)
	resolved, err := v.Query.Resolve(Binding{Relation: w.relation})
	if err != nil {
		return nil, resolved, nil, err
	}
	kept, err := parseOne(resolved.Text)
	if err != nil {
		return nil, resolved, nil, err
	}
	return v, resolved, kept.(*Select), nil
}

func parseOne(text string) (Statement, error) {
	pieces, err := Split(text)
	if err != nil {
		return nil, err
	}
	return Parse(pieces[0])
}

// TestViews: "keep" prints a view's query as it is kept, its definition with t renamed to tt, and notes the view; "read" prints
// what the engine reads for a query of views.
func TestViews(t *testing.T) {
	datadriven.Walk(t, "testdata/views", func(t *testing.T, path string) {
		w := newViewWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "parse":
				return parseText(d.Input)
			case "read":
				st, err := parseOne(d.Input)
				require.NoError(t, err)
				text, err := st.(*Select).SQL(Binding{Relation: w.relation})
				if err != nil {
					return describe(err)
				}
				return text + "\n"
			}
			v, resolved, kept, err := w.viewOf(d.Input)
			if err != nil {
				return describe(err)
			}
			columns := append([]string(nil), resolved.Columns...)
			copy(columns, v.Columns)
			w.columns[v.View.Name], w.views[v.View.Name] = columns, &View{Query: kept, Relation: w.relation}
			definition, err := kept.Definition(columns, func(i int) (string, string) {
				if name := kept.Relations()[i].Name.Name; name != "t" {
					return "", name
				}
				return "x", "tt"
			})
			require.NoError(t, err)
			_, err = parseOne(definition)
			require.NoError(t, err, definition)
			return fmt.Sprintf("%s\ncolumns %q origins %v\n%s\n", resolved.Text, columns, resolved.Origins, definition)
		})
	})
}

// TestViewsAreBounded holds that views within views end in an error and not in a stack that overflows.
func TestViewsAreBounded(t *testing.T) {
	w := newViewWorld()
	w.columns["deep0"] = []string{"a", "b"}

	for i := range 300 {
		name := fmt.Sprintf("deep%d", i+1)
		_, resolved, kept, err := w.viewOf(fmt.Sprintf("CREATE VIEW %s AS SELECT * FROM deep%d", name, i))
		require.NoError(t, err)
		w.columns[name], w.views[name] = resolved.Columns, &View{Query: kept, Relation: w.relation}
	}
	st, err := parseOne("SELECT * FROM deep300")
	require.NoError(t, err)
	_, err = st.(*Select).SQL(Binding{Relation: w.relation})
	require.ErrorContains(t, err, "stack depth limit exceeded")
	st, err = parseOne("SELECT * FROM deep50")
	require.NoError(t, err)
	text, err := st.(*Select).SQL(Binding{Relation: w.relation})
	require.NoError(t, err)
	require.Equal(t, 51, strings.Count(text, "SELECT"))
}

// TestSkippedRow holds that the place of a row that is to be skipped is what was written.
func TestSkippedRow(t *testing.T) {
	for text, want := range map[string]AlterMaterializedView{
		"ALTER MATERIALIZED VIEW v SKIP (journal = 'public/t.1/0', offset = 12)": {
			View: Name{Name: "v"}, Skip: &SkippedRow{Journal: "public/t.1/0", Offset: 12},
		},
		`alter materialized view if exists "S".v skip (offset = 3000000000, journal = 'it''s')`: {
			View: Name{Schema: "S", Name: "v"}, IfExists: true, Skip: &SkippedRow{Journal: "it's", Offset: 3000000000},
		},
	} {
		st, err := parseOne(text)
		require.NoError(t, err, text)
		got := st.(*AlterMaterializedView)
		got.at, got.View.Position = at{}, 0
		require.Equal(t, want, *got, text)
	}
}

// TestQuoteIdentifier holds that a name stands for itself wherever a relation is named.
func TestQuoteIdentifier(t *testing.T) {
	for name, want := range map[string]string{
		"v": "v", "a_1": "a_1", "V": `"V"`, "order": `"order"`, "a b": `"a b"`, `a"b`: `"a""b"`, "skip": "skip", "view": "view", "1a": `"1a"`, "left": `"left"`, "": `""`,
	} {
		require.Equal(t, want, QuoteIdentifier(name))
		if name != "" {
			st, err := parseOne("SELECT * FROM " + want)
			require.NoError(t, err, name)
			require.Equal(t, name, st.(*Select).Relations()[0].Name.Name)
		}
	}
}
