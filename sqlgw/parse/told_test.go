package parse

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTypes: what a query tells of its results' types.
func TestTypes(t *testing.T) {
	for query, want := range map[string][]string{
		"select a, b, x.a, tableoid from t x":                                                {"oid", "name", "oid", "oid"},
		"select * from t":                                                                    {"oid", "name"},
		"select x.*, 1 from t x":                                                             {"oid", "name", ""},
		"select x.c, d from (select * from t) x (c, d)":                                      {"oid", "name"},
		"with q (c) as (select b from t) select c, 1 from q":                                 {"name", ""},
		"select a from t union all select a from t":                                          {"oid"},
		"select a from t union all select b from t":                                          {""},
		"select case when true then b else 'x' end, coalesce(b, null) from t":                {"name", "name"},
		"select case when true then b else a end, nullif(a, 1) from t":                       {"", "oid"},
		"select (select a from t), max(a), max(b), min(a + 1) from t":                        {"oid", "oid", "text", ""},
		"select '{}'::jsonb -> 'a', '{}'::json -> 'a', '{}'::jsonb ->> 'a', 'x' || b from t": {"jsonb", "json", "", ""},
		"select jsonb_build_object(), to_jsonb(a), json_build_array(a) from t":               {"jsonb", "jsonb", ""},
		"select a from t join t u using (a)":                                                 {"oid"},
		"select first_value(b) over (), lag(a) over () from t":                               {"name", "oid"},
		"values ('{}'::jsonb, 1), (null, 2)":                                                 {"jsonb", "int4"},
		"select '{1}'::int[], '{a}'::name[], array[b, b], array(select a from t)  from t":    {"_int4", "_name", "_name", "_oid"},
		"select a from t union all select null::text":                                        {""},
		"select b from t union all select null::text":                                        {"name"},
	} {
		pieces, err := Split(query)
		require.NoError(t, err)
		q, err := queryOfPiece(pieces[0])
		require.NoError(t, err, query)
		p, err := q.Print(Binding{Relation: func(Relation) (Target, error) {
			return Target{SQL: "x", Columns: []string{"a", "b"}, Types: []string{"oid", "name", "oid"}, Hidden: []string{"tableoid"}}, nil
		}})
		require.NoError(t, err, query)
		require.Equal(t, want, p.Types, query)
	}
}
