package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// Builders and readers of the grammar's trees.

func strNode(s string) *pg.Node {
	return &pg.Node{Node: &pg.Node_String_{String_: &pg.String{Sval: s}}}
}

func strNodes(list ...string) []*pg.Node {
	nodes := make([]*pg.Node, len(list))
	for i, s := range list {
		nodes[i] = strNode(s)
	}
	return nodes
}

// strsOf are the strings of a list of names; other nodes in it are "".
func strsOf(nodes []*pg.Node) []string {
	list := make([]string, len(nodes))
	for i, n := range nodes {
		list[i] = n.GetString_().GetSval()
	}
	return list
}

func selectNode(s *pg.SelectStmt) *pg.Node {
	return &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: s}}
}

func columnRef(fields ...string) *pg.Node {
	return &pg.Node{Node: &pg.Node_ColumnRef{ColumnRef: &pg.ColumnRef{Fields: strNodes(fields...)}}}
}

// starRef is *, or t.* with a qualifier.
func starRef(qualifier ...string) *pg.Node {
	fields := append(strNodes(qualifier...), &pg.Node{Node: &pg.Node_AStar{AStar: &pg.A_Star{}}})
	return &pg.Node{Node: &pg.Node_ColumnRef{ColumnRef: &pg.ColumnRef{Fields: fields}}}
}

func cloneNode(n *pg.Node) *pg.Node { return proto.CloneOf(n) }

// target of a SELECT; name is "" for none.
func target(value *pg.Node, name string) *pg.Node {
	return &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: value, Name: name}}}
}

func subselect(query *pg.Node, alias string, columns []string) *pg.Node {
	return &pg.Node{Node: &pg.Node_RangeSubselect{RangeSubselect: &pg.RangeSubselect{
		Subquery: query, Alias: &pg.Alias{Aliasname: alias, Colnames: strNodes(columns...)},
	}}}
}

func intConst(n int32) *pg.Node { return pg.MakeAConstIntNode(int64(n), -1) }

func textConst(s string) *pg.Node { return pg.MakeAConstStrNode(s, -1) }

func nullConst() *pg.Node {
	return &pg.Node{Node: &pg.Node_AConst{AConst: &pg.A_Const{Isnull: true, Location: -1}}}
}

// textOrNull is a text constant, NULL for nil.
func textOrNull(s *string) *pg.Node {
	if s == nil {
		return nullConst()
	}
	return textConst(*s)
}

func boolConst(b bool) *pg.Node {
	return &pg.Node{Node: &pg.Node_AConst{AConst: &pg.A_Const{
		Val: &pg.A_Const_Boolval{Boolval: &pg.Boolean{Boolval: b}}, Location: -1,
	}}}
}

func funcCall(name string, args ...*pg.Node) *pg.FuncCall {
	return &pg.FuncCall{Funcname: strNodes(name), Args: args, Funcformat: pg.CoercionForm_COERCE_EXPLICIT_CALL}
}

func callNode(name string, args ...*pg.Node) *pg.Node {
	return &pg.Node{Node: &pg.Node_FuncCall{FuncCall: funcCall(name, args...)}}
}

func operatorNode(op string, left, right *pg.Node) *pg.Node {
	return &pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{
		Kind: pg.A_Expr_Kind_AEXPR_OP, Name: strNodes(op), Lexpr: left, Rexpr: right,
	}}}
}

func notNode(arg *pg.Node) *pg.Node {
	return &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: pg.BoolExprType_NOT_EXPR, Args: []*pg.Node{arg}}}}
}

// stringConst is the value of a string constant.
func stringConst(n *pg.Node) (string, bool) {
	if v, ok := n.GetAConst().GetVal().(*pg.A_Const_Sval); ok {
		return v.Sval.GetSval(), true
	}
	return "", false
}

// typeName is the name of a type as it was written.
type typeName struct {
	schema, name string // schema is "" for PostgreSQL's own
	mods         []int32
	dimensions   int
	err          string // what about it is not supported
}

// full is the name as columnar.TypeFromSQL takes it.
func (t typeName) full() string {
	name := t.name
	switch {
	case t.schema != "":
		name = t.schema + "." + t.name
	case t.name == "char": // "char" is PostgreSQL's type of one byte; CHAR is bpchar
		name = "pg_catalog.char"
	}
	if t.dimensions > 0 {
		name += "[]"
	}
	return name
}

func typeOf(n *pg.TypeName) typeName {
	names := strsOf(n.GetNames())
	t := typeName{dimensions: len(n.GetArrayBounds())}
	switch len(names) {
	case 0:
	case 1:
		t.name = names[0]
	case 2:
		t.schema, t.name = names[0], names[1]
	default:
		t.err = "a type of another database"
	}
	if t.schema == "pg_catalog" {
		t.schema = ""
	}
	switch {
	case n.GetSetof():
		t.err = "SETOF"
	case n.GetPctType():
		t.err = "%TYPE"
	}
	for _, mod := range n.GetTypmods() {
		v, ok := mod.GetAConst().GetVal().(*pg.A_Const_Ival)
		if !ok {
			t.err = "a type modifier that is not a number"
			break
		}
		t.mods = append(t.mods, v.Ival.GetIval())
	}
	return t
}

// castTo casts to a type that is named as given.
func castTo(arg *pg.Node, names ...string) *pg.Node {
	t := &pg.TypeName{Names: strNodes(names...), Typemod: -1}
	return &pg.Node{Node: &pg.Node_TypeCast{TypeCast: &pg.TypeCast{Arg: arg, TypeName: t}}}
}
