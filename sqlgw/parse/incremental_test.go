package parse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// keptTable is the table of the scenario files.
func keptTable(r Relation) (Target, error) {
	if r.Name.Name != "t" {
		return Target{}, errorf(CodeUndefinedTable, "relation %q does not exist", r.String())
	}
	return Target{
		SQL: "scan('t')", Schema: "public", Columns: []string{"a", "b", "f", "d", "ts", "iv", "ok"},
		Types: []string{"int4", "text", "float8", "numeric", "timestamp", "interval", "bool"},
	}, nil
}

// planned takes the query of a text apart, as a view keeps it.
func planned(text string, relation func(Relation) (Target, error)) (*Incremental, *Select, error) {
	st, err := parseOne(text)
	if err != nil {
		return nil, nil, err
	}
	if _, err := st.(*Select).Incremental(); err != nil {
		return nil, nil, err
	}
	resolved, err := st.(*Select).Resolve(Binding{Relation: relation})
	if err != nil {
		return nil, nil, err
	}
	if st, err = parseOne(resolved.Text); err != nil {
		return nil, nil, err
	}
	inc, err := st.(*Select).Incremental()
	return inc, st.(*Select), err
}

// TestIncremental runs the scenario files of queries that are taken apart. Their commands:
//
//	plan     the three queries of a query, and what the last two read. An argument types=(...) tells DuckDB's types of what is kept.
//	refuse   for each line: the SQLSTATE, position and message of its error
func TestIncremental(t *testing.T) {
	datadriven.Walk(t, "testdata/incremental", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "plan":
				return planText(t, d)
			case "refuse":
				var out strings.Builder
				for line := range strings.SplitSeq(d.Input, "\n") {
					out.WriteString(refusedPlan(line))
				}
				return out.String()
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

func refusedPlan(line string) string {
	inc, _, err := planned(line, keptTable)
	if err == nil {
		_, err = inc.Partial.Print(Binding{Relation: keptTable})
	}
	if err == nil {
		return "taken: " + line + "\n"
	}
	return describe(err)
}

func planText(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	inc, _, err := planned(d.Input, keptTable)
	if err != nil {
		return describe(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %d keys\npartial: %s\n", inc.Kind, inc.Keys, postgresText(t, inc.Partial))
	printed, err := inc.Partial.Print(Binding{Relation: keptTable})
	require.NoError(t, err)
	types := make([]string, len(inc.Columns()))
	for _, arg := range d.CmdArgs {
		if arg.Key == "types" {
			copy(types, arg.Vals)
		}
	}
	if inc.Kind != KeptRows {
		merge, err := inc.Merge(types)
		require.NoError(t, err)
		fmt.Fprintf(&out, "merge: %s\n", postgresText(t, merge))
		fmt.Fprintf(&out, "groups: %s\n", showTarget(inc.Groups("rows", printed, types)))
	}
	fmt.Fprintf(&out, "final: %s\nshown: %s\n", postgresText(t, inc.Final), showTarget(inc.Shown("rows", printed, types)))
	return out.String()
}

func showTarget(t Target) string { return fmt.Sprintf("%s %q %q", t.SQL, t.Columns, t.Types) }
