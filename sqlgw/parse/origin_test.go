package parse

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOrigins: which columns of which relations a query's results are.
func TestOrigins(t *testing.T) {
	none := Origin{Relation: -1}
	for query, want := range map[string][]Origin{
		"select a, x.b, s.x.a, x.b from s.x":                     {{0, 0}, {0, 1}, {0, 0}, {0, 1}},
		"select * from x":                                        {{0, 0}, {0, 1}},
		"select y.*, 1, x.* from x, z y":                         {{1, 0}, {1, 1}, none, {0, 0}, {0, 1}},
		"select d, c as other from x y (c, d)":                   {{0, 1}, {0, 0}},
		"select a + 1, a::text, max(a) over (), tableoid from x": {none, none, none, none},
		"select a, b, max(b) from x group by a, b order by b":    {{0, 0}, {0, 1}, none},
		"select distinct b from x limit 1":                       {{0, 1}},
		"select a from (select a from x) y":                      {none},
		"with y as (select * from x) select a from y":            {none},
		"select a from x union all select a from x":              nil,
		"select (select a from x), 1":                            {none, none},
		"select x.a, y.a from x join y using (a)":                {{0, 0}, {1, 0}},
		"values (1)": nil,
	} {
		pieces, err := Split(query)
		require.NoError(t, err)
		q, err := queryOfPiece(pieces[0])
		require.NoError(t, err, query)
		p, err := q.Print(Binding{Relation: func(r Relation) (Target, error) {
			return Target{SQL: "x", Schema: r.Schema, Columns: []string{"a", "b"}, Hidden: []string{"tableoid"}}, nil
		}})
		require.NoError(t, err, query)
		require.Equal(t, want, p.Origins, query)
	}
}
