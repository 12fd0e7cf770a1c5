package parse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBounds: a bound is noted where a row that doesn't meet it can't matter, and nowhere else.
func TestBounds(t *testing.T) {
	for sql, want := range map[string]string{
		"select * from t where _offset > 5":                                              "t _offset > 5",
		"select * from t where 5 < _offset and a = 1":                                    "t _offset > 5",
		"select * from t x where x._offset between 5 and $2":                             "x _offset >= 5;x _offset <= $2",
		"select * from t where _journal = 'a/b' and (_offset >= 1 and _offset < 9)":      "t _journal = a/b;t _offset >= 1;t _offset < 9",
		"select * from t where _timestamp >= now() - interval '1 hour'":                  "t _timestamp >= now - 1 hour",
		"select * from t where _timestamp > current_timestamp - '2 days'::interval":      "t _timestamp > now - 2 days",
		"select * from t where _timestamp < timestamptz '2026-01-01' + interval '1 day'": "t _timestamp < 2026-01-01 + 1 day",
		"select * from t left join u on u.a = t.a where u._offset > 7":                   "u _offset > 7",
		"select count(*) from (select * from t where _offset > 5) s where a > 1":         "t _offset > 5",
		"with q as (select * from t where _offset = 5) select * from q":                  "t _offset = 5",
		"select * from t where journal = 'a'::text and 'b' = journal":                    "t journal = a;t journal = b",
		"select * from t x where x.journal in ('a', $1) and journal like 'a/%'":          "x journal IN a,$1;x journal LIKE a/%",
		// None of these says that rows of one relation can be left out.
		"select * from t where _offset > 5 or a = 1":                                                               "",
		"select * from t where journal not in ('a') and journal <> 'b' and journal > 'c' and journal not like 'd'": "",
		"select * from t where journal in ('a', b) or journal = 'c'":                                               "",
		"select * from t where journal ilike 'a%' and journal like 'a!%' escape '!' and journal like b":            "",
		"select * from t, u where journal = 'a'":                                                                   "",
		"select * from t as x (journal) where journal = 'a'":                                                       "",
		"select * from t where not _offset > 5":                                                                    "",
		"select * from t where _offset > a":                                                                        "",
		"select * from t where _offset + 1 > 5":                                                                    "",
		"select * from t where _offset <> 5":                                                                       "",
		"select * from t where _offset is distinct from 5":                                                         "",
		"select * from t where _offset not between 5 and 6":                                                        "",
		"select * from t, u where _offset > 5":                                                                     "",
		"select * from t as x (_offset) where x._offset > 5":                                                       "",
		"select * from t left join u on u._offset > 5":                                                             "",
		"select max(_offset) from t having max(_offset) > 5":                                                       "",
		"select * from t where _timestamp > '2026-01-01'::timestamp":                                               "",
		"select * from t where _timestamp > now() - interval '1' hour":                                             "",
		"select * from t where _timestamp > clock_timestamp()":                                                     "",
		"select * from t where exists (select 1 from u where t._offset > 5)":                                       "",
		"with t as (select 1 as _offset) select * from t where t._offset > 5":                                      "",
	} {
		var got []string
		for _, r := range mustQuery(t, sql).Relations() {
			for _, b := range r.Bounds {
				values := []string{}
				for _, in := range append(b.In, b.Value) {
					switch {
					case in.Now:
						values = append(values, "now")
					case in.Param > 0:
						values = append(values, fmt.Sprintf("$%d", in.Param))
					case in.Text != nil:
						values = append(values, *in.Text)
					}
				}
				v := strings.Join(values, ",")
				if len(b.Value.Shifts) == 1 {
					v += map[bool]string{true: " - ", false: " + "}[b.Value.Shifts[0].Back] + b.Value.Shifts[0].Interval
				}
				got = append(got, fmt.Sprintf("%s %s %s %s", r.Alias, b.Column, b.Op, v))
			}
		}
		require.Equal(t, want, strings.Join(got, ";"), sql)
	}
}

// TestExplainOptions: they are PostgreSQL's, and what can't be given is refused by its name.
func TestExplainOptions(t *testing.T) {
	parsed := func(sql string) (Statement, error) {
		pieces, err := Split(sql)
		require.NoError(t, err, sql)
		return Parse(pieces[0])
	}
	for sql, want := range map[string]Explain{
		"EXPLAIN SELECT 1":                                      {Costs: true},
		"EXPLAIN ANALYZE VERBOSE SELECT 1":                      {Costs: true, Analyze: true, Verbose: true, Timing: true, Summary: true},
		"EXPLAIN (ANALYZE, TIMING off, SUMMARY 0) SELECT 1":     {Costs: true, Analyze: true},
		"EXPLAIN (FORMAT JSON, COSTS FALSE) SELECT 1":           {JSON: true},
		"EXPLAIN (FORMAT XML, FORMAT text) SELECT 1":            {Costs: true},
		"EXPLAIN (WAL false, SETTINGS 0, BUFFERS off) SELECT 1": {Costs: true},
		"EXPLAIN (ANALYZE, BUFFERS) SELECT 1":                   {Costs: true, Analyze: true, Buffers: true, Timing: true, Summary: true},
		"EXPLAIN INSERT INTO t VALUES (1)":                      {Costs: true},
		"EXPLAIN DECLARE c CURSOR FOR SELECT 1":                 {Costs: true},
		"EXPLAIN SELECT * FROM t AS OF CUT 'x'":                 {Costs: true},
	} {
		st, err := parsed(sql)
		require.NoError(t, err, sql)
		got := *st.(*Explain)
		got.Statement, got.at = nil, at{}
		require.Equal(t, want, got, sql)
	}
	for sql, want := range map[string]string{
		"EXPLAIN (NOSUCH) SELECT 1":                `unrecognized EXPLAIN option "nosuch" (SQLSTATE 42601)`,
		"EXPLAIN (ANALYZE maybe) SELECT 1":         `analyze requires a Boolean value (SQLSTATE 42601)`,
		"EXPLAIN (FORMAT csv) SELECT 1":            `unrecognized value for EXPLAIN option "format": "csv" (SQLSTATE 22023)`,
		"EXPLAIN (TIMING) SELECT 1":                `EXPLAIN option TIMING requires ANALYZE (SQLSTATE 22023)`,
		"EXPLAIN (WAL) SELECT 1":                   `EXPLAIN option WAL requires ANALYZE (SQLSTATE 22023)`,
		"EXPLAIN (BUFFERS) SELECT 1":               `EXPLAIN option BUFFERS requires ANALYZE (SQLSTATE 22023)`,
		"EXPLAIN (WAL, ANALYZE) SELECT 1":          `EXPLAIN option WAL is not supported (SQLSTATE 0A000)`,
		"EXPLAIN (SETTINGS) SELECT 1":              `EXPLAIN option SETTINGS is not supported (SQLSTATE 0A000)`,
		"EXPLAIN (FORMAT yaml) SELECT 1":           `EXPLAIN option FORMAT YAML is not supported (SQLSTATE 0A000)`,
		"EXPLAIN ANALYZE INSERT INTO t VALUES (1)": `EXPLAIN ANALYZE of INSERT is not supported (SQLSTATE 0A000)`,
		"EXPLAIN EXECUTE p":                        `EXPLAIN of a statement other than SELECT, INSERT and DECLARE is not supported (SQLSTATE 0A000)`,
		"EXPLAIN SELECT 1 AS OF CUT 'x'":           `AS OF CUT in a statement that reads no table (SQLSTATE 42601)`,
	} {
		_, err := parsed(sql)
		require.EqualError(t, err, want, sql)
	}
}
