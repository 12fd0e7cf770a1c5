package parse

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// catalogDialect stands for a catalog of PostgreSQL's names: it answers from templates, and
// notes what it was asked.
type catalogDialect struct {
	t         *testing.T
	functions map[string]string
	casts     map[string]string
	operators map[string]string
	asked     []string
}

func newCatalogDialect(t *testing.T) *catalogDialect {
	t.Helper()
	return &catalogDialect{
		t: t,
		functions: map[string]string{
			"pg_get_userbyid": "(SELECT rolname FROM bs.roles WHERE oid = $1)", "pg_table_is_visible": "true",
			"format_type": "bs.format_type($1, $2)", "pg_get_expr": "bs.get_expr($1)", "current_user": "'postgres'", "user": "'postgres'",
			"current_schema": "'public'", "version": "'PostgreSQL 15.0'", "twice": "$1 || $1",
			"pg_get_keywords": "SELECT word, catcode FROM bs.keywords", "pg_timezone_names": "SELECT name FROM bs.zones",
			"one": "1", "too_few": "$3",
		},
		casts:     map[string]string{"regclass": "bs.regclass($1)", "oid": "$1::int8", "char": "$1::text", "regtype": "bs.regtype($1)"},
		operators: map[string]string{"<->": "bs.distance($1, $2)", "!!": "bs.not($1)"},
	}
}

func (c *catalogDialect) template(text string, ok bool) (*Template, error) {
	if !ok {
		return nil, nil
	}
	tpl, err := NewTemplate(text)
	require.NoError(c.t, err)
	return tpl, nil
}

func (c *catalogDialect) Function(f Call) (*Template, error) {
	c.asked = append(c.asked, fmt.Sprintf("function %s.%s%v from=%v star=%v", f.Schema, f.Name, kinds(f.Args), f.InFrom, f.Star))
	if f.Name == "no_such_setting" {
		return nil, errorf(CodeUndefinedObject, "unrecognized configuration parameter %q", f.Args[0].Text)
	}
	text, ok := c.functions[f.Name]
	return c.template(text, ok && f.Schema == "")
}

func (c *catalogDialect) Cast(x Cast) (*Template, error) {
	c.asked = append(c.asked, fmt.Sprintf("cast to %s.%s%v array=%v of %d %q at %d", x.Schema, x.Name, x.Mods, x.Array, x.Value.Kind, x.Value.Text, x.Position))
	if x.Name == "regclass" && x.Value.Text == "nosuch" {
		return nil, errorf(CodeUndefinedTable, "relation %q does not exist", x.Value.Text)
	}
	text, ok := c.casts[x.Name]
	return c.template(text, ok && !x.Array)
}

func (c *catalogDialect) Operator(o Operator) (*Template, error) {
	text, ok := c.operators[o.Name]
	return c.template(text, ok)
}

func kinds(args []Literal) []string {
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = fmt.Sprintf("%d %s", a.Kind, a.Text)
	}
	return list
}

// catalogTables have the columns that the scenarios name.
func catalogTables(name string) []string {
	return map[string][]string{
		"pg_class":     strings.Fields("oid relname relnamespace reltype reloftype relowner relam relkind relchecks relhasindex relhasrules relhastriggers relrowsecurity relforcerowsecurity relispartition reltoastrelid relpersistence relreplident reltablespace reloptions relhassubclass"),
		"pg_namespace": strings.Fields("oid nspname nspowner"),
		"pg_am":        strings.Fields("oid amname"),
		"pg_attribute": strings.Fields("attrelid attname atttypid attnum atttypmod attnotnull atthasdef attisdropped attcollation attidentity attgenerated"),
		"pg_attrdef":   strings.Fields("oid adrelid adnum adbin"),
		"pg_collation": strings.Fields("oid collname"),
		"pg_type":      strings.Fields("oid typname typcollation"),
	}[name]
}

// TestCatalogQueries prints queries of system catalogs with a dialect: psql's own for \dt and \d,
// and what else a dialect may be asked.
func TestCatalogQueries(t *testing.T) {
	datadriven.RunTest(t, "testdata/catalog", func(t *testing.T, d *datadriven.TestData) string {
		pieces, err := Split(d.Input)
		require.NoError(t, err)
		var out strings.Builder
		for _, p := range pieces {
			q, err := queryOfPiece(p)
			if err != nil {
				out.WriteString(describe(err))
				continue
			}
			for _, r := range q.Relations() {
				fmt.Fprintf(&out, "%s as %s\n", r, r.Alias)
			}
			dialect := newCatalogDialect(t)
			text, err := q.SQL(Binding{Dialect: dialect, Relation: func(r Relation) (Target, error) {
				return Target{SQL: "bs." + r.Name.Name, Schema: "pg_catalog", Columns: catalogTables(r.Name.Name), Hidden: []string{"tableoid", "xmin"}}, nil
			}})
			if d.HasArg("asked") {
				out.WriteString(strings.Join(dialect.asked, "\n") + "\n")
			}
			if err != nil {
				out.WriteString(describe(err))
				continue
			}
			out.WriteString(text + "\n")
		}
		return out.String()
	})
}

// TestTemplates: what is no template is an error at once.
func TestTemplates(t *testing.T) {
	for _, bad := range []string{"", "1, 2", "x from t", "1 as x", "select 1", "select *", "select from", "1; 2", "(", "select 1 as a, 2"} {
		_, err := NewTemplate(bad)
		require.Error(t, err, bad)
	}
	for _, good := range []string{"1", "$1 || $2", "(select a from t)", "select 1 as a", "select a, t.b from t", "with q as (select 1 as a) select a from q"} {
		_, err := NewTemplate(good)
		require.NoError(t, err, good)
	}
	q := mustQuery(t, "select f(), g()")
	text, err := q.SQL(Binding{Dialect: constantDialect{}})
	require.NoError(t, err)
	require.Equal(t, `SELECT E'it''s \\' AS f, NULL::text AS g`, text)
}

type constantDialect struct{}

func (constantDialect) Function(c Call) (*Template, error) {
	if c.Name == "f" {
		return TextTemplate(`it's \`), nil
	}
	return NullTemplate(), nil
}
func (constantDialect) Cast(Cast) (*Template, error)         { return nil, nil }
func (constantDialect) Operator(Operator) (*Template, error) { return nil, nil }

// TestBindingErrors: an error of the binding is returned as it is, with the position of what it is about if it
// is one of this package without one.
func TestBindingErrors(t *testing.T) {
	q := mustQuery(t, "select a from t join u on true")
	own := errors.New("the broker is away")
	fail := func(err error) Binding {
		return Binding{Relation: func(r Relation) (Target, error) {
			if r.Name.Name == "u" {
				return Target{}, err
			}
			return Target{SQL: "x", Columns: []string{"a"}}, nil
		}}
	}
	_, err := q.SQL(fail(own))
	require.Equal(t, own, err)
	_, err = q.SQL(fail(fmt.Errorf("wrapped: %w", own)))
	require.EqualError(t, err, "wrapped: the broker is away")
	_, err = q.SQL(fail(errorf(CodeForbidden, "permission denied for table u")))
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 22, e.Position)
	require.Equal(t, "permission denied for table u (SQLSTATE 42501)", e.Error())
	_, err = q.SQL(Binding{})
	require.ErrorAs(t, err, &e)
	require.Equal(t, CodeUndefinedTable, e.Code)
}

// TestParamTypes: parameters get the types that the client told.
func TestParamTypes(t *testing.T) {
	q := mustQuery(t, "select $1, $2 + 1, $3::int from t where a = $2")
	binding := bindTo(q, nil)
	binding.ParamTypes = []string{"text", "timestamp with time zone"}
	text, err := q.SQL(binding)
	require.NoError(t, err)
	require.Equal(t, `SELECT $1::text AS "?column?", $2::timestamptz + 1 AS "?column?", $3::int4 AS int4 FROM scan('t') t WHERE t.a = $2::timestamptz`, text)
	for _, bad := range []string{"nosuch", "int); drop table t; --", "int as x"} {
		binding.ParamTypes = []string{bad}
		_, err = q.SQL(binding)
		require.Error(t, err, bad)
	}
}

// TestMeta: UsesMeta tells of any column, or of those asked for.
func TestMeta(t *testing.T) {
	q := mustQuery(t, "select t._offset from t, u where u._journal = 'x'")
	require.True(t, q.UsesMeta())
	require.True(t, q.UsesMeta(MetaTimestamp, MetaOffset))
	require.False(t, q.UsesMeta(MetaTimestamp))
	require.False(t, mustQuery(t, "select a from t").UsesMeta())
	require.Equal(t, []string{MetaOffset}, q.Relations()[0].Meta)
	require.Equal(t, []string{MetaJournal}, q.Relations()[1].Meta)
}
