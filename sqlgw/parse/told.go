package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// Types that DuckDB lacks, like oid, name and jsonb, are told from the query: by the columns of its
// relations, its casts and its functions. A type is pg_type's name for it, "" where DuckDB's
// is to be believed. What is told changes no value but in casts to text.

// typeAt is the type of a column, where there are types.
func typeAt(types []string, i int) string {
	if i < len(types) {
		return types[i]
	}
	return ""
}

// typeOf is the type of a column of a thing of FROM.
func (it *item) typeOf(name string) string {
	for i, n := range it.names {
		if n == name {
			return typeAt(it.types, i)
		}
	}
	for i, n := range it.hidden {
		if n == name {
			return typeAt(it.hiddenTypes, i)
		}
	}
	return ""
}

// toldOf is the type of the first column of a name.
func toldOf(side []column, name string) string {
	for _, c := range side {
		if c.name == name {
			return c.told
		}
	}
	return ""
}

// tell notes the type of an expression that was handled; was is what it was before.
func (b *binder) tell(n, was *pg.Node) {
	switch e := was.GetNode().(type) {
	case *pg.Node_TypeCast:
		if t := typeOf(e.TypeCast.GetTypeName()); t.dimensions <= 1 && t.err == "" && t.schema == "" {
			b.told[n] = t.name
			if t.dimensions == 1 {
				b.told[n] = arrayOf(t.name)
			}
		}
	case *pg.Node_AArrayExpr:
		b.told[n] = arrayOf(b.commonType(e.AArrayExpr.GetElements()))
	case *pg.Node_CollateClause:
		b.told[n] = b.told[e.CollateClause.GetArg()]
	case *pg.Node_CaseExpr:
		results := []*pg.Node{e.CaseExpr.GetDefresult()}
		for _, when := range e.CaseExpr.GetArgs() {
			results = append(results, when.GetCaseWhen().GetResult())
		}
		b.told[n] = b.commonType(results)
	case *pg.Node_CoalesceExpr:
		b.told[n] = b.commonType(e.CoalesceExpr.GetArgs())
	case *pg.Node_MinMaxExpr:
		b.told[n] = b.commonType(e.MinMaxExpr.GetArgs())
	case *pg.Node_AExpr:
		b.told[n] = b.operatorType(e.AExpr)
	}
}

// arrayOf is what pg_type calls arrays of a type; "" of what isn't told.
func arrayOf(t string) string {
	if t == "" || t[0] == '_' {
		return ""
	}
	return "_" + t
}

// tellParam notes the type of a parameter that stands beside a value.
func (b *binder) tellParam(p *pg.ParamRef, t string) {
	if p == nil || t == "" {
		return
	}
	switch t { // which are compared as text
	case "varchar":
		t = "text"
	case "_varchar":
		t = "_text"
	}
	if number := int(p.GetNumber()); b.toldParams[number] == "" {
		b.toldParams[number] = t
	}
}

// operatorType is the type of what an operator gives.
func (b *binder) operatorType(e *pg.A_Expr) string {
	if e.GetKind() == pg.A_Expr_Kind_AEXPR_NULLIF {
		return b.told[e.GetLexpr()]
	}
	op, err := operatorName(e.GetName())
	if err != nil || e.GetKind() != pg.A_Expr_Kind_AEXPR_OP {
		return ""
	}
	switch op {
	case "->", "#>":
		return jsonType(b.told[e.GetLexpr()])
	case "#-":
		return "jsonb"
	case "||", "-":
		if b.told[e.GetLexpr()] == "jsonb" || b.told[e.GetRexpr()] == "jsonb" {
			return "jsonb"
		}
		if op == "-" && b.told[e.GetLexpr()] == timestampTZ && b.told[e.GetRexpr()] == "interval" {
			return timestampTZ
		}
	case "+":
		if b.told[e.GetLexpr()] == timestampTZ || b.told[e.GetRexpr()] == timestampTZ {
			return timestampTZ
		}
	}
	return ""
}

// jsonType is a type if it is one of JSON's.
func jsonType(t string) string {
	if t == "json" || t == "jsonb" {
		return t
	}
	return ""
}

// commonType is the one type of some values, "" if they have several. Constants take the type of
// the others.
func (b *binder) commonType(values []*pg.Node) string {
	common := ""
	for _, v := range values {
		switch t := b.told[v]; {
		case v.GetNode() == nil, t == "" && v.GetAConst() != nil, t != "" && t == common:
		case t == "" || common != "":
			return ""
		default:
			common = t
		}
	}
	return common
}

// commonTypes are the types of the results of a set operation.
func commonTypes(left, right []string) []string {
	out := make([]string, len(left))
	for i, t := range left {
		if other := typeAt(right, i); t == other || t == "name" && (other == "" || other == "text" || other == "varchar") {
			out[i] = t // PostgreSQL takes the first of the types of texts
		}
	}
	return out
}

// columnOf is column i of the rows of VALUES.
func columnOf(rows []*pg.Node, i int) []*pg.Node {
	out := make([]*pg.Node, len(rows))
	for j, row := range rows {
		out[j] = row.GetList().GetItems()[i]
	}
	return out
}

// resultType is the type of what a function gives, with the types of its arguments.
func (b *binder) resultType(f *function, args []*pg.Node) string {
	if f.returns == arrayOfArgument && len(args) > 0 {
		return arrayOf(b.told[args[0]])
	}
	if f.returns != argumentsType || len(args) == 0 {
		return f.returns
	}
	if t := b.told[args[0]]; t != "name" || f.kind != aggregateFunction {
		return t
	}
	return "text" // PostgreSQL has no min and max of names
}

// argumentsType is what functions return that give their first argument, or one of its values.
const argumentsType = "$1"

// arrayOfArgument is what functions return that give an array of it.
const arrayOfArgument = "$1[]"
