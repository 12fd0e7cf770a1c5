package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// noName is what PostgreSQL calls a result that has no better name.
const noName = "?column?"

// outputColumns are the columns of a SELECT's result, and for each item of its list that
// has no name the one that PostgreSQL derives.
func (b *binder) outputColumns(targets []*pg.Node, sc *scope) (columns, []string) {
	cols := columns{known: true}
	names := make([]string, len(targets))
	for i, node := range targets {
		t := node.GetResTarget()
		switch {
		case isStar(t.GetVal()):
			shown, known := sc.starColumns(t.GetVal().GetColumnRef())
			cols.names = append(cols.names, shown.names...)
			cols.types = append(cols.types, shown.types...)
			cols.known = cols.known && known
			continue
		case t.GetName() != "":
			cols.names = append(cols.names, t.GetName())
		default:
			name, _ := outputName(t.GetVal())
			if name == "" {
				name = noName
			}
			names[i] = name
			cols.names = append(cols.names, name)
		}
		cols.types = append(cols.types, "")
	}
	return cols, names
}

// starColumns are the columns that a star stands for, and whether all are known. They have as many
// types as names.
func (sc *scope) starColumns(ref *pg.ColumnRef) (columns, bool) {
	if len(ref.GetFields()) == 1 {
		shown := columns{}
		for _, c := range sc.visible {
			shown.names, shown.types = append(shown.names, c.name), append(shown.types, c.told)
		}
		return shown, sc.known
	}
	qualifier := strsOf(ref.GetFields()[:len(ref.GetFields())-1])
	for at := sc; at != nil; at = at.parent {
		for _, it := range at.items {
			if it.is(qualifier) {
				shown := columns{names: it.names}
				for i := range it.names {
					shown.types = append(shown.types, typeAt(it.types, i))
				}
				return shown, it.known
			}
		}
	}
	return columns{}, false
}

// How good a derived name is: a weak one gives way to the name of what is inside.
const (
	nameNone = iota
	nameWeak
	nameStrong
)

// outputName derives the name of a result from its expression, as PostgreSQL does.
func outputName(n *pg.Node) (string, int) {
	switch e := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return lastName(e.ColumnRef.GetFields())
	case *pg.Node_AIndirection:
		for i := len(e.AIndirection.GetIndirection()) - 1; i >= 0; i-- {
			if field := e.AIndirection.GetIndirection()[i].GetString_(); field != nil {
				return field.GetSval(), nameStrong
			}
		}
		return outputName(e.AIndirection.GetArg())
	case *pg.Node_FuncCall:
		return lastName(e.FuncCall.GetFuncname())
	case *pg.Node_AExpr:
		if e.AExpr.GetKind() == pg.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", nameStrong
		}
	case *pg.Node_TypeCast:
		name, strength := outputName(e.TypeCast.GetArg())
		if strength <= nameWeak {
			name, _ = lastName(e.TypeCast.GetTypeName().GetNames())
			strength = nameWeak
		}
		return name, strength
	case *pg.Node_CollateClause:
		return outputName(e.CollateClause.GetArg())
	case *pg.Node_CaseExpr:
		name, strength := outputName(e.CaseExpr.GetDefresult())
		if strength <= nameWeak {
			return "case", nameWeak
		}
		return name, strength
	case *pg.Node_SubLink:
		return subLinkName(e.SubLink)
	case *pg.Node_SqlvalueFunction:
		return valueFunctionName(e.SqlvalueFunction), nameStrong
	default:
		return constructName(n)
	}
	return "", nameNone
}

// constructName is the name of what is written like a function, but isn't one.
func constructName(n *pg.Node) (string, int) {
	switch e := n.GetNode().(type) {
	case *pg.Node_GroupingFunc:
		return "grouping", nameStrong
	case *pg.Node_AArrayExpr:
		return "array", nameStrong
	case *pg.Node_RowExpr:
		return "row", nameStrong
	case *pg.Node_CoalesceExpr:
		return "coalesce", nameStrong
	case *pg.Node_MinMaxExpr:
		if e.MinMaxExpr.GetOp() == pg.MinMaxOp_IS_GREATEST {
			return "greatest", nameStrong
		}
		return "least", nameStrong
	}
	return "", nameNone
}

// lastName is the last of a list of names, if it is no star.
func lastName(names []*pg.Node) (string, int) {
	if len(names) == 0 || names[len(names)-1].GetString_() == nil {
		return "", nameNone
	}
	return names[len(names)-1].GetString_().GetSval(), nameStrong
}

func subLinkName(s *pg.SubLink) (string, int) {
	switch s.GetSubLinkType() {
	case pg.SubLinkType_EXISTS_SUBLINK:
		return "exists", nameStrong
	case pg.SubLinkType_ARRAY_SUBLINK:
		return "array", nameStrong
	case pg.SubLinkType_EXPR_SUBLINK:
		return firstColumn(s.GetSubselect().GetSelectStmt())
	default:
		return "", nameNone
	}
}

// firstColumn is the name of the one column of a query in an expression.
func firstColumn(q *pg.SelectStmt) (string, int) {
	for q.GetLarg() != nil {
		q = q.GetLarg()
	}
	if len(q.GetValuesLists()) > 0 {
		return "column1", nameStrong
	}
	if len(q.GetTargetList()) == 0 {
		return "", nameNone
	}
	t := q.GetTargetList()[0].GetResTarget()
	if t.GetName() != "" {
		return t.GetName(), nameStrong
	}
	name, _ := outputName(t.GetVal())
	if name == "" {
		name = noName
	}
	return name, nameStrong
}

// valueFunctionName is the name of a function that is called without brackets.
func valueFunctionName(f *pg.SQLValueFunction) string {
	switch f.GetOp() {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:
		return "current_date"
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:
		return "current_time"
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N:
		return "current_timestamp"
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIME, pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:
		return "localtime"
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP, pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:
		return "localtimestamp"
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE:
		return "current_role"
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_USER:
		return "current_user"
	case pg.SQLValueFunctionOp_SVFOP_USER:
		return "user"
	case pg.SQLValueFunctionOp_SVFOP_SESSION_USER:
		return "session_user"
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG:
		return "current_catalog"
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:
		return "current_schema"
	default:
		return ""
	}
}
