package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// sumOfIntegers makes the sum of integers a bigint, as PostgreSQL's is: DuckDB's has 128 bits, and is told as numeric.
func (b *binder) sumOfIntegers(n *pg.Node, isInt4 bool) {
	if isInt4 {
		n.Node = castTo(&pg.Node{Node: n.GetNode()}, "int8").GetNode()
		b.told[n] = "int8"
	}
}

// isInt4 tells whether a value is an integer that isn't a bigint, as far as that can be told.
func (b *binder) isInt4(n *pg.Node) bool {
	switch t := b.told[n]; {
	case t == "int4" || t == "int2":
		return true
	case t != "":
		return false
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		_, isInt := e.AConst.GetVal().(*pg.A_Const_Ival)
		return isInt
	case *pg.Node_CaseExpr:
		for _, when := range e.CaseExpr.GetArgs() {
			if !b.isInt4OrNull(when.GetCaseWhen().GetResult()) {
				return false
			}
		}
		return e.CaseExpr.GetDefresult() == nil || b.isInt4OrNull(e.CaseExpr.GetDefresult())
	case *pg.Node_CoalesceExpr:
		for _, arg := range e.CoalesceExpr.GetArgs() {
			if !b.isInt4OrNull(arg) {
				return false
			}
		}
		return true
	case *pg.Node_AExpr:
		switch op, err := operatorName(e.AExpr.GetName()); {
		case err != nil || e.AExpr.GetLexpr() == nil:
			return err == nil && op == "-" && b.isInt4(e.AExpr.GetRexpr())
		case op == "+" || op == "-" || op == "*":
			return b.isInt4(e.AExpr.GetLexpr()) && b.isInt4(e.AExpr.GetRexpr())
		}
	}
	return false
}

func (b *binder) isInt4OrNull(n *pg.Node) bool { return n.GetAConst().GetIsnull() || b.isInt4(n) }

// valuesType is the type of a column of VALUES.
func (b *binder) valuesType(values []*pg.Node) string {
	if t := b.commonType(values); t != "" {
		return t
	}
	some := false
	for _, v := range values {
		if !b.isInt4OrNull(v) {
			return ""
		}
		some = some || !v.GetAConst().GetIsnull()
	}
	if some {
		return "int4"
	}
	return ""
}

// isFloat tells whether a value is known to be a float.
func (b *binder) isFloat(n *pg.Node) bool {
	if t := b.told[n]; t != "" || n.GetAExpr() == nil {
		return t == "float8" || t == "float4"
	}
	e := n.GetAExpr()
	switch op, err := operatorName(e.GetName()); {
	case err != nil:
		return false
	case op == "+" || op == "-" || op == "*" || op == "//":
		return b.isFloat(e.GetRexpr()) || b.isFloat(e.GetLexpr())
	}
	return false
}

// withoutEnd makes a subscript that is a constant below 1 name nothing: for DuckDB it counts from the end.
func withoutEnd(x *pg.A_Indices) {
	if i, ok := intValue(x.GetUidx()); ok && !x.GetIsSlice() && i < 1 {
		x.Uidx = nullConst()
	}
}
