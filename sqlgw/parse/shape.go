package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// The grammar puts nodes of one kind into lists whose type allows any. What is read from them
// takes that kind for granted, so a list that holds another is refused before it is read: the
// grammar would have to have changed.

func isName(n *pg.Node) bool { return n.GetString_() != nil }

func isSortKey(n *pg.Node) bool { return n.GetSortBy() != nil }

func isWindow(n *pg.Node) bool { return n.GetWindowDef() != nil }

func isTarget(n *pg.Node) bool { return n.GetResTarget() != nil }

func isRow(n *pg.Node) bool { return n.GetList() != nil }

func isWithQuery(n *pg.Node) bool { return n.GetCommonTableExpr() != nil }

func isBound(n *pg.Node) bool { return n.GetInteger() != nil }

// isNameOrStar is a part of a column's name.
func isNameOrStar(n *pg.Node) bool { return isName(n) || n.GetAStar() != nil }

// list is some nodes, and what each of them has to be.
type list struct {
	nodes []*pg.Node
	is    func(*pg.Node) bool
}

// checkLists refuses lists that hold something else.
func checkLists(lists ...list) error {
	for _, l := range lists {
		for _, n := range l.nodes {
			if !l.is(n) {
				return refuse("this form of the statement")
			}
		}
	}
	return nil
}

// queryLists checks the lists of a query, and that it has the clauses of one kind of query only.
func queryLists(q *pg.SelectStmt) error {
	isSetOperation, isValues := q.GetOp() > pg.SetOperation_SETOP_NONE, len(q.GetValuesLists()) > 0
	plain := len(q.GetDistinctClause())+len(q.GetTargetList())+len(q.GetFromClause())+len(q.GetGroupClause())+len(q.GetWindowClause()) > 0 ||
		q.GetWhereClause() != nil || q.GetHavingClause() != nil
	sides := q.GetLarg() != nil || q.GetRarg() != nil
	if isSetOperation && (isValues || plain) || isValues && plain || !isSetOperation && sides {
		return refuse("this form of the statement")
	}
	return checkLists(
		list{q.GetTargetList(), isTarget}, list{q.GetWindowClause(), isWindow}, list{q.GetValuesLists(), isRow},
		list{q.GetSortClause(), isSortKey}, list{q.GetWithClause().GetCtes(), isWithQuery},
	)
}

// exprLists checks the lists of an expression that aren't expressions.
func exprLists(n *pg.Node) error {
	switch e := n.GetNode().(type) {
	case *pg.Node_FuncCall:
		return checkLists(list{e.FuncCall.GetFuncname(), isName}, list{e.FuncCall.GetAggOrder(), isSortKey})
	case *pg.Node_AExpr:
		return checkLists(list{e.AExpr.GetName(), isName})
	case *pg.Node_ColumnRef:
		return checkLists(list{e.ColumnRef.GetFields(), isNameOrStar})
	case *pg.Node_TypeCast:
		return checkLists(list{e.TypeCast.GetTypeName().GetNames(), isName}, list{e.TypeCast.GetTypeName().GetArrayBounds(), isBound})
	case *pg.Node_CollateClause:
		return checkLists(list{e.CollateClause.GetCollname(), isName})
	case *pg.Node_RowExpr:
		return checkLists(list{e.RowExpr.GetColnames(), isName})
	case *pg.Node_SubLink:
		return checkLists(list{e.SubLink.GetOperName(), isName})
	}
	return nil
}

// fromLists checks the lists of a thing of FROM.
func fromLists(n *pg.Node) error {
	switch f := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		return checkLists(list{f.RangeVar.GetAlias().GetColnames(), isName})
	case *pg.Node_RangeSubselect:
		return checkLists(list{f.RangeSubselect.GetAlias().GetColnames(), isName})
	case *pg.Node_RangeFunction:
		return checkLists(list{f.RangeFunction.GetAlias().GetColnames(), isName}, list{f.RangeFunction.GetFunctions(), isRow})
	case *pg.Node_JoinExpr:
		if f.JoinExpr.GetQuals() != nil && (f.JoinExpr.GetIsNatural() || len(f.JoinExpr.GetUsingClause()) > 0) {
			return refuse("this form of the statement")
		}
		return checkLists(list{f.JoinExpr.GetUsingClause(), isName})
	}
	return nil
}
