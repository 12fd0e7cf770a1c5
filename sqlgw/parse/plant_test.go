package parse

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// everything are queries that together have every kind of node that is accepted.
func everything() []string {
	return []string{
		"with recursive q(n) as materialized (select 1 union all select n + 1 from q), r as (values (1, 'x')) select * from q, r",
		"select distinct on (a) a, t.*, -a + 1 as x, a::numeric(3,1), '{1}'::int[], $1 from t where a > 1 and not b = 'x' group by a, b having true order by a desc nulls last limit 1 offset 2",
		"select case a when 1 then 2 else 3 end, coalesce(a, 1), nullif(a, 1), greatest(a, 1), a is null, (a > 1) is true, row(1, a), array[1, a], (array[1])[1], (array[1])[1:2] from t",
		"select sum(distinct a order by b) filter (where true), rank() over (partition by a order by b rows between 1 preceding and 2 following), percentile_cont(0.5) within group (order by a), sum(a) over w from t window w as (order by a)",
		"select a in (1, 2), a = any (array[1]), a = any (select 1), exists (select 1), (select 1), array(select 1), a between 1 and 2, b like 'x' escape '!', b ilike b, a is distinct from 1 from t",
		"select grouping(a), current_date, current_timestamp, b collate \"C\" from t group by grouping sets (rollup (a), cube (b), ())",
		"select * from t join u using (a) left join v on v.a = t.a natural join subscribe, lateral (select 1) s(x), generate_series(1, 2) with ordinality as g(a, n), upper('x')",
		"select a from t union all (select a from u order by 1) intersect select a from v except values (1)",
	}
}

// poisons are things that must be seen wherever they are.
func poisons() map[string]*pg.Node {
	return map[string]*pg.Node{
		"function": callNode("poison", textConst("/etc/passwd")),
		"table":    {Node: &pg.Node_RangeVar{RangeVar: &pg.RangeVar{Relname: "poison", Inh: true, Relpersistence: "p"}}},
		"query": selectNode(func() *pg.SelectStmt {
			q := queryOf(target(intConst(1), ""))
			q.FromClause = []*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: &pg.RangeVar{Relname: "poison", Inh: true, Relpersistence: "p"}}}}
			return q
		}()),
		"type":      castTo(intConst(1), "poison"),
		"operator":  operatorNode("poison", intConst(1), intConst(2)),
		"collation": {Node: &pg.Node_CollateClause{CollateClause: &pg.CollateClause{Arg: intConst(1), Collname: strNodes("poison")}}},
		"deletion":  {Node: &pg.Node_DeleteStmt{DeleteStmt: &pg.DeleteStmt{Relation: &pg.RangeVar{Relname: "poison"}}}},
	}
}

// unprinted are fields that the grammar never fills, or that are of no use to print.
func unprinted() []string {
	return []string{
		"xpr", "refs", "ctecolnames", "ctecoltypes", "ctecoltypmods", "ctecolcollations", // of analysed trees
		"indirection", // of targets of UPDATE
	}
}

// TestPlant holds the binder to its invariant: in every field of every message of queries that
// are accepted, a function, table, type, operator, collation or statement that may not be there is either
// refused, or gone from the tree that is printed.
func TestPlant(t *testing.T) {
	planted, survived := 0, map[string]string{}
	for _, sql := range everything() {
		q := mustQuery(t, sql)
		_, err := q.SQL(bindTo(q, nil))
		require.NoError(t, err, sql)
		for name, poison := range poisons() {
			tree := proto.CloneOf(q.tree)
			eachField(tree.ProtoReflect(), "", func(path string, put func(*pg.Node) func()) {
				restore := put(proto.CloneOf(poison))
				defer restore()
				planted++
				if survives(q.src, tree) {
					survived[path] = name + " in " + sql
				}
			})
		}
	}
	require.Empty(t, survived)
	require.Greater(t, planted, 5000)
}

// survives tells whether a tree is accepted, and still has the poison in it where it could be printed.
func survives(src source, tree *pg.Node) bool {
	q, err := newSelect(src, tree)
	if err != nil {
		return false
	}
	binding := bindTo(q, nil)
	resolve := binding.Relation
	binding.Relation = func(r Relation) (Target, error) {
		if r.Name.Name == "poison" {
			return Target{SQL: "known", Columns: []string{"a"}}, nil
		}
		return resolve(r)
	}
	_, bound, err := q.bind(&binding)
	return err == nil && holds(bound.ProtoReflect(), "poison")
}

// holds looks for a text in all fields that may be printed.
func holds(m protoreflect.Message, text string) bool {
	found := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if slices.Contains(unprinted(), string(f.Name())) || f.Name() == "alias" {
			return true
		}
		switch {
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			for i := range v.List().Len() {
				found = found || holds(v.List().Get(i).Message(), text)
			}
		case f.Kind() == protoreflect.MessageKind:
			found = found || holds(v.Message(), text)
		case f.Kind() == protoreflect.StringKind && !f.IsList():
			found = found || strings.Contains(v.String(), text)
		}
		return !found
	})
	return found
}

// eachField calls visit for every place of a tree that can hold a node, with a way to put one
// there: in place of what is there, at the end of a list, or in a message that isn't there yet.
func eachField(m protoreflect.Message, path string, visit func(string, func(*pg.Node) func())) {
	node := (&pg.Node{}).ProtoReflect().Descriptor()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		at := fmt.Sprintf("%s.%s", path, f.Name())
		if f.Kind() != protoreflect.MessageKind || slices.Contains(unprinted(), string(f.Name())) {
			continue
		}
		switch {
		case f.IsList() && f.Message() == node:
			visit(at, func(poison *pg.Node) func() {
				list := m.Mutable(f).List()
				list.Append(protoreflect.ValueOfMessage(poison.ProtoReflect()))
				return func() { list.Truncate(list.Len() - 1) }
			})
			for j := range m.Get(f).List().Len() {
				eachField(m.Get(f).List().Get(j).Message(), at, visit)
			}
		case f.IsList():
		case f.ContainingOneof() != nil: // what kind of node this is
			if m.Has(f) {
				eachField(m.Get(f).Message(), at, visit)
			}
		case f.Message() == node:
			before := m.Get(f)
			had := m.Has(f)
			visit(at, func(poison *pg.Node) func() {
				m.Set(f, protoreflect.ValueOfMessage(poison.ProtoReflect()))
				return func() {
					m.Clear(f)
					if had {
						m.Set(f, before)
					}
				}
			})
			if had {
				eachField(m.Get(f).Message(), at, visit)
			}
		default:
			eachMessage(m, f, at, visit)
		}
	}
}

// eachMessage is eachField for a field that holds a message of a fixed type. One that isn't set
// is made, for as long as something is planted in it.
func eachMessage(m protoreflect.Message, f protoreflect.FieldDescriptor, path string, visit func(string, func(*pg.Node) func())) {
	if m.Has(f) {
		eachField(m.Get(f).Message(), path, visit)
		return
	}
	if strings.Count(path, "+") > 0 || f.Message().Name() == "Alias" {
		return
	}
	made := m.NewField(f)
	eachField(made.Message(), path+"+", func(at string, put func(*pg.Node) func()) {
		visit(at, func(poison *pg.Node) func() {
			m.Set(f, made)
			restore := put(poison)
			return func() {
				restore()
				m.Clear(f)
			}
		})
	})
}
