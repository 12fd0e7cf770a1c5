package parse

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// acceptedStatements are the grammar's kinds of statements that Parse takes, each of which it looks into further.
func acceptedStatements() []string {
	return []string{
		"select_stmt", "insert_stmt", "copy_stmt", "create_stmt", "drop_stmt", "create_schema_stmt", "view_stmt", "alter_table_stmt", "rename_stmt",
		"alter_owner_stmt", "alter_object_schema_stmt", "comment_stmt",
		"variable_show_stmt", "variable_set_stmt", "create_role_stmt", "alter_role_stmt", "drop_role_stmt", "grant_role_stmt", "grant_stmt",
		"transaction_stmt", "constraints_set_stmt", "prepare_stmt", "execute_stmt", "deallocate_stmt", "discard_stmt", "declare_cursor_stmt", "fetch_stmt", "close_portal_stmt",
		"listen_stmt", "unlisten_stmt", "notify_stmt",
		// What is stored as it was declared, or does nothing.
		"index_stmt", "create_seq_stmt", "alter_seq_stmt", "create_function_stmt", "vacuum_stmt", "truncate_stmt", "update_stmt", "delete_stmt", "merge_stmt",
	}
}

// nodeKinds are the grammar's kinds of nodes, and a way to make an empty one of each.
func nodeKinds() map[string]func() *pg.Node {
	out := map[string]func() *pg.Node{}
	message := (&pg.Node{}).ProtoReflect()
	fields := message.Descriptor().Oneofs().ByName("node").Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Kind() != protoreflect.MessageKind {
			continue
		}
		out[string(f.Name())] = func() *pg.Node {
			n := &pg.Node{}
			m := n.ProtoReflect()
			m.Set(f, m.NewField(f))
			return n
		}
	}
	return out
}

// requireRefused fails unless an error is one of this package that refuses something by its name.
func requireRefused(t *testing.T, err error, what string, codes ...string) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e, what)
	require.Contains(t, append(codes, CodeNotSupported, CodeForbidden), e.Code, "%s: %s", what, e.Message)
}

// TestEveryStatementKind of the grammar is on the list of those that are taken, or is refused: also one that the grammar will have
// some day.
func TestEveryStatementKind(t *testing.T) {
	refused := 0
	for name, empty := range nodeKinds() {
		if slices.Contains(acceptedStatements(), name) {
			continue
		}
		st, err := source{text: "SOMETHING"}.statement(empty())
		require.Nil(t, st, name)
		requireRefused(t, err, name)
		refused++
	}
	require.Greater(t, refused, 200)
}

// acceptedExpressions are the kinds of nodes that an expression may be.
func acceptedExpressions() []string {
	return []string{
		"a_const", "column_ref", "param_ref", "type_cast", "a_expr", "bool_expr", "func_call", "sub_link", "case_expr", "coalesce_expr", "min_max_expr",
		"null_test", "boolean_test", "a_array_expr", "row_expr", "collate_clause", "a_indirection", "sqlvalue_function", "grouping_func", "set_to_default",
		"list",
	}
}

// TestEveryExpressionKind is on the list of those that are taken, or is refused, wherever it stands.
func TestEveryExpressionKind(t *testing.T) {
	places := map[string]func(tree, n *pg.Node){
		"target": func(tree, n *pg.Node) { tree.GetSelectStmt().TargetList[0].GetResTarget().Val = n },
		"where":  func(tree, n *pg.Node) { tree.GetSelectStmt().WhereClause = n },
		"having": func(tree, n *pg.Node) { tree.GetSelectStmt().HavingClause = n },
		"limit": func(tree, n *pg.Node) {
			tree.GetSelectStmt().LimitCount, tree.GetSelectStmt().LimitOption = n, pg.LimitOption_LIMIT_OPTION_COUNT
		},
		"argument": func(tree, n *pg.Node) {
			tree.GetSelectStmt().TargetList[0].GetResTarget().Val = callNode("length", n)
		},
		"from": func(tree, n *pg.Node) { tree.GetSelectStmt().FromClause = []*pg.Node{n} },
	}
	base := mustQuery(t, "select a, count(*) from t group by a")
	for name, empty := range nodeKinds() {
		for place, put := range places {
			if slices.Contains(acceptedExpressions(), name) || place == "from" && slices.Contains([]string{"range_var", "join_expr", "range_subselect", "range_function"}, name) {
				continue
			}
			tree := proto.CloneOf(base.tree)
			put(tree, empty())
			q, err := newSelect(base.src, tree)
			if err == nil {
				_, err = q.SQL(bindTo(q, nil))
			}
			requireRefused(t, err, place+" "+name, CodeTooComplex) // or the grammar's own printer has no words for it
		}
	}
}

// TestEveryFunctionOfDuckDB is on the list of those that may be called, or is refused, by whatever schema, number of arguments and
// place it is called.
func TestEveryFunctionOfDuckDB(t *testing.T) {
	db := openDuckDB(t)
	refused := 0
	for _, name := range firstColumnOf(t, db, "select distinct function_name from duckdb_functions()") {
		if lookupFunction(name) != nil {
			continue
		}
		codes := []string{CodeUndefinedFunction}
		if actForms(name) != nil {
			codes = append(codes, CodeInvalidText) // the gateway calls it, and not with 'x'
		}
		quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		for _, schema := range []string{"", "pg_catalog.", "main.", "system.main."} {
			for _, args := range []string{"", "'x'", "1, 2", "a, a, a"} {
				for _, text := range []string{"select %s from t", "select x.* from t, lateral %s as x", "select 1 from t order by %s", "select sum(a) over (order by %s) from t"} {
					call := fmt.Sprintf(text, schema+quoted+"("+args+")")
					pieces, err := Split(call)
					require.NoError(t, err)
					q, err := queryOfPiece(pieces[0])
					if err == nil {
						_, err = q.SQL(bindTo(q, nil))
					}
					requireRefused(t, err, call, codes...)
					refused++
				}
			}
		}
	}
	require.Greater(t, refused, 10_000)
}

// printedFunctions are what printing writes beside the functions of the list: what stands for an operator, a clause or a type, and what
// DuckDB's parser makes of ARRAY, ROW and GREATEST.
func printedFunctions() map[string]bool {
	out := map[string]bool{}
	for _, f := range functionList {
		out[f.duck] = true
	}
	for name := range strings.FieldsSeq(`
		abs array_to_string cbrt date_part error from_base64 from_hex greatest hex json_extract json_extract_string least left len list_append list_concat list_prepend list_value lower now
		like_escape ilike_escape not_like_escape not_ilike_escape nullif quantile_cont quantile_disc
		regexp_matches row rtrim sqrt starts_with to_base64 today trunc xor bs_any bs_bytea bs_divisor bs_json_keys bs_json_path bs_jsonb
		bs_jsonb_concat bs_jsonb_contains bs_jsonb_exist bs_jsonb_remove bs_jsonb_remove_at bs_jsonb_remove_path bs_jsonb_text bs_jsonb_value
		bs_micros bs_regexp_substr bs_text bs_whole scan`) {
		out[name] = true
	}
	return out
}

// reached is what DuckDB's own parser finds in a text: functions and relations that it names, and kinds of what it has.
type reached struct{ functions, relations, kinds map[string]bool }

// reach parses a text with DuckDB, which runs nothing of it.
func reach(t *testing.T, db *sql.DB, text string) reached {
	t.Helper()
	var parsed string
	require.NoError(t, db.QueryRow("select json_serialize_sql(?::varchar)::varchar", text).Scan(&parsed))
	var tree map[string]any
	require.NoError(t, json.Unmarshal([]byte(parsed), &tree))
	require.Equal(t, false, tree["error"], "%s: %s", text, parsed[:min(len(parsed), 300)])
	require.Len(t, tree["statements"], 1, text)
	r := reached{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	r.visit(tree["statements"])
	return r
}

func (r *reached) visit(v any) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			r.visit(e)
		}
	case map[string]any:
		if name, ok := x["function_name"].(string); ok {
			r.functions[name] = true
		}
		if name, ok := x["table_name"].(string); ok && x["type"] == "BASE_TABLE" {
			r.relations[name] = true
		}
		if kind, ok := x["type"].(string); ok {
			r.kinds[kind] = true
		}
		for _, name := range slices.Sorted(maps.Keys(x)) {
			r.visit(x[name])
		}
	}
}

// check holds what is reached against the lists.
func (r *reached) check(t *testing.T, text string) {
	t.Helper()
	allowed := printedFunctions()
	for name := range r.functions {
		operator := !isWordStart(name[0]) // they are on a list of their own, and reach nothing
		require.True(t, operator || allowed[name], "function %s in %s", name, text)
		require.False(t, isForbidden(name) && name != "error", "function %s in %s", name, text)
	}
	for name := range r.relations {
		require.True(t, strings.HasPrefix(name, "bs_with_"), "relation %s in %s", name, text)
	}
	for _, kind := range []string{"PIVOT", "SHOW_REF", "COLUMN_DATA", "DELIM_GET", "LAMBDA", "POSITIONAL_REFERENCE"} {
		own := kind == "POSITIONAL_REFERENCE" && strings.Contains(text, "ARRAY(") // DuckDB's parser makes a query of its own of it
		require.False(t, r.kinds[kind] && !own, "%s in %s", kind, text)
	}
}

// TestWhatDuckDBIsGiven names, as DuckDB's own parser sees it, only functions of the lists, scans and WITH queries.
func TestWhatDuckDBIsGiven(t *testing.T) {
	db := openDuckDB(t)
	for _, text := range everything() {
		q := mustQuery(t, text)
		printed, err := q.SQL(bindTo(q, nil))
		require.NoError(t, err)
		r := reach(t, db, printed)
		r.check(t, printed)
	}
}

// FuzzWhatDuckDBIsGiven: no text reaches DuckDB that DuckDB's parser sees more in than the lists allow.
func FuzzWhatDuckDBIsGiven(f *testing.F) {
	for _, s := range append(seeds(), everything()...) {
		f.Add(s)
	}
	db, err := sql.Open("duckdb", "")
	require.NoError(f, err)
	f.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	f.Fuzz(func(t *testing.T, text string) {
		pieces, err := Split(text)
		if err != nil {
			requireOurs(t, err, text)
			return
		}
		for _, p := range pieces {
			q, err := queryOfPiece(p)
			if err != nil {
				requireOurs(t, err, text)
				continue
			}
			printed, err := q.SQL(bindTo(q, nil))
			if err != nil {
				requireOurs(t, err, text)
				continue
			}
			r := reach(t, db, printed)
			r.check(t, printed)
		}
	})
}
