package parse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// refuseKept names what a query whose results are kept can't have.
func refuseKept(name string) *Error { return refuse(name + " in a materialized view") }

// checkIncremental refuses what can't be taken apart.
func (q *Select) checkIncremental() error {
	stmt := q.tree.GetSelectStmt()
	if err := q.checkKeptClauses(stmt); err != nil {
		return err
	}
	if err := q.checkKeptFrom(stmt.GetFromClause()); err != nil {
		return err
	}
	c := keptCheck{src: q.src}
	if r := q.relations; len(r) == 1 {
		if r[0].AsOf != nil {
			e := refuseKept(r[0].AsOf.Clause())
			e.Position = r[0].AsOf.Position
			return e
		}
		c.meta = r[0].Meta
	}
	for _, node := range stmt.GetTargetList() {
		if err := c.expr(node.GetResTarget().GetVal()); err != nil {
			return err
		}
	}
	for _, n := range append([]*pg.Node{stmt.GetWhereClause(), stmt.GetHavingClause()}, stmt.GetGroupClause()...) {
		if err := c.expr(n); err != nil {
			return err
		}
	}
	if call := aggregateIn(stmt.GetWhereClause()); call != nil {
		return q.src.at(errorf(CodeGrouping, "aggregate functions are not allowed in WHERE"), call.GetLocation())
	}
	return nil
}

// checkKeptClauses refuses what isn't a plain SELECT.
func (q *Select) checkKeptClauses(stmt *pg.SelectStmt) error {
	switch {
	case stmt.GetWithClause() != nil:
		return q.src.at(refuseKept("WITH"), stmt.GetWithClause().GetLocation())
	case stmt.GetOp() > pg.SetOperation_SETOP_NONE:
		word := map[pg.SetOperation]string{
			pg.SetOperation_SETOP_UNION: "UNION", pg.SetOperation_SETOP_INTERSECT: "INTERSECT", pg.SetOperation_SETOP_EXCEPT: "EXCEPT",
		}[stmt.GetOp()]
		return q.src.atStart(refuseKept(word))
	case len(stmt.GetValuesLists()) > 0:
		return q.src.atStart(refuseKept("VALUES"))
	case len(stmt.GetDistinctClause()) > 0:
		return q.src.atStart(refuseKept("DISTINCT")).hinted("GROUP BY keeps one row of each.")
	case len(stmt.GetSortClause()) > 0:
		return q.src.at(refuseKept("ORDER BY"), place(stmt.GetSortClause()[0].GetSortBy().GetNode())).hinted("Order the queries that read the view.")
	case stmt.GetLimitCount() != nil || stmt.GetLimitOffset() != nil:
		n, word := stmt.GetLimitCount(), "LIMIT"
		if n == nil {
			n, word = stmt.GetLimitOffset(), "OFFSET"
		}
		return q.src.at(refuseKept(word), place(n)).hinted("Limit the queries that read the view.")
	case len(stmt.GetWindowClause()) > 0:
		return q.src.at(refuseKept("WINDOW"), stmt.GetWindowClause()[0].GetWindowDef().GetLocation())
	case len(q.acts) > 0:
		return q.src.atStart(refuseKept("function " + q.acts[0].Name))
	}
	return nil
}

// checkKeptFrom wants one table.
func (q *Select) checkKeptFrom(from []*pg.Node) error {
	if len(from) == 0 {
		return q.src.atStart(refuseKept("a query without a table"))
	}
	if len(from) > 1 {
		return q.src.at(refuseKept("a join"), from[1].GetRangeVar().GetLocation())
	}
	switch n := from[0].GetNode().(type) {
	case *pg.Node_RangeVar:
		return nil
	case *pg.Node_JoinExpr:
		return q.src.at(refuseKept("a join"), n.JoinExpr.GetRarg().GetRangeVar().GetLocation())
	case *pg.Node_RangeSubselect:
		return q.src.at(refuseKept("a subquery"), place(from[0]))
	case *pg.Node_RangeFunction:
		return q.src.at(refuseKept("a function in FROM"), place(from[0]))
	default:
		return q.src.at(refuseKept("this item of FROM"), place(from[0]))
	}
}

// place is the first place that is told of what is in a node; 0 if none is.
func place(n *pg.Node) int32 {
	var at int32
	m := n.ProtoReflect()
	if !m.IsValid() {
		return 0
	}
	if of := m.WhichOneof(m.Descriptor().Oneofs().ByName("node")); of != nil {
		inner := m.Get(of).Message()
		if f := inner.Descriptor().Fields().ByName("location"); f != nil && inner.Get(f).Int() > 0 {
			return int32(inner.Get(f).Int())
		}
	}
	nodesIn(m, func(child *pg.Node) {
		if p := place(child); p > 0 && (at == 0 || p < at) {
			at = p
		}
	})
	return at
}

// keptCheck refuses expressions that can't be kept.
type keptCheck struct {
	src         source
	meta        []string // metadata columns that may be meant
	inAggregate string   // what is around the expression: "arguments" or "FILTER"
}

// expr refuses an expression, or what is in it.
func (c keptCheck) expr(n *pg.Node) error {
	if n.GetNode() == nil {
		return nil
	}
	refused, location := c.refused(n)
	if refused != nil {
		return c.src.at(refused, location)
	}
	if isAggregate(n) {
		return c.aggregate(n.GetFuncCall())
	}
	var err error
	nodesIn(n.ProtoReflect(), func(child *pg.Node) {
		if err == nil {
			err = c.expr(child)
		}
	})
	return err
}

// refused tells what a node can't be, and where.
func (c keptCheck) refused(n *pg.Node) (*Error, int32) {
	switch e := n.GetNode().(type) {
	case *pg.Node_SubLink:
		return refuseKept("a subquery"), e.SubLink.GetLocation()
	case *pg.Node_FuncCall:
		return c.call(e.FuncCall), e.FuncCall.GetLocation()
	case *pg.Node_SqlvalueFunction:
		return refuseKept(strings.ToUpper(valueFunctionName(e.SqlvalueFunction))), e.SqlvalueFunction.GetLocation()
	case *pg.Node_GroupingFunc:
		return refuseKept("GROUPING"), e.GroupingFunc.GetLocation()
	case *pg.Node_GroupingSet:
		return refuseKept(groupingName(e.GroupingSet)), e.GroupingSet.GetLocation()
	case *pg.Node_ParamRef:
		return refuseKept("a parameter"), e.ParamRef.GetLocation()
	case *pg.Node_RowExpr:
		return refuseKept("a row"), e.RowExpr.GetLocation()
	case *pg.Node_TypeCast:
		return castOfKept(e.TypeCast), place(n)
	case *pg.Node_ColumnRef:
		if name, _ := lastName(e.ColumnRef.GetFields()); slices.Contains(c.meta, name) {
			return refuseKept("metadata column " + name), e.ColumnRef.GetLocation()
		}
	}
	return nil, 0
}

// groupingName names what GROUP BY has besides expressions.
func groupingName(s *pg.GroupingSet) string {
	switch s.GetKind() {
	case pg.GroupingSetKind_GROUPING_SET_ROLLUP:
		return "ROLLUP"
	case pg.GroupingSetKind_GROUPING_SET_CUBE:
		return "CUBE"
	case pg.GroupingSetKind_GROUPING_SET_EMPTY:
		return "GROUP BY ()"
	default:
		return "GROUPING SETS"
	}
}

// call refuses calls by the kind of their function.
func (c keptCheck) call(call *pg.FuncCall) *Error {
	if isLikeEscape(call) {
		return nil
	}
	if call.GetOver() != nil {
		return refuseKept("a window function")
	}
	f, name := listedFunction(call)
	if f == nil {
		if q, ok := catalogSchema(call.GetFuncname()); ok && q.schema == "" {
			if e := unlistedFunction(q.name, call.GetArgs()); e.Code == CodeUndefinedFunction {
				return e
			}
		}
		return refuseKept("function " + strings.Join(strsOf(call.GetFuncname()), "."))
	}
	switch f.kind {
	case windowFunction:
		return refuseKept("a window function")
	case setFunction:
		return refuseKept("set-returning function " + name)
	case aggregateFunction:
		return c.aggregateCall(call, name)
	case scalarFunction:
		if changes(name, len(call.GetArgs())) {
			return refuseKept("function " + name).hinted("Its result isn't always the same.")
		}
	}
	return nil
}

func (c keptCheck) aggregateCall(call *pg.FuncCall, name string) *Error {
	switch {
	case !isIncremental(name):
		return refuseKept("aggregate " + name)
	case call.GetAggDistinct():
		return refuseKept("DISTINCT in an aggregate")
	case len(call.GetAggOrder()) > 0:
		return refuseKept("ORDER BY in an aggregate")
	case c.inAggregate == "FILTER":
		return errorf(CodeGrouping, "aggregate functions are not allowed in FILTER")
	case c.inAggregate != "":
		return errorf(CodeGrouping, "aggregate function calls cannot be nested")
	}
	return nil
}

// aggregate checks what an aggregate holds.
func (c keptCheck) aggregate(call *pg.FuncCall) error {
	for _, arg := range call.GetArgs() {
		if err := (keptCheck{c.src, c.meta, "arguments"}).expr(arg); err != nil {
			return err
		}
	}
	return keptCheck{c.src, c.meta, "FILTER"}.expr(call.GetAggFilter())
}

// changes tells whether a function's result depends on more than its arguments: on when it is called, or by whom.
func changes(name string, args int) bool {
	switch name {
	case "random", "gen_random_uuid", "now", "transaction_timestamp", "statement_timestamp":
		return true
	case "age":
		return args == 1
	}
	return false
}

// castOfKept refuses casts of what means another value tomorrow, and to types that name objects of the catalog.
func castOfKept(cast *pg.TypeCast) *Error {
	t := typeOf(cast.GetTypeName())
	if text, ok := stringConst(cast.GetArg()); ok {
		if d, err := duckType(t); err == nil && isMoving(text, d) {
			return movingTime(text)
		}
	}
	if t.schema != "" {
		return nil
	}
	switch t.name {
	case "oid", "xid", "cid", "int2vector", "oidvector", "name":
		return refuseKept("a cast to " + t.name)
	}
	if strings.HasPrefix(t.name, "reg") {
		return refuseKept("a cast to " + t.name)
	}
	return nil
}

// isMoving tells whether a time that is written as a word is another one tomorrow.
func isMoving(text string, d duckDBType) bool {
	return specialTime(text, d) != nil && !strings.EqualFold(strings.TrimSpace(text), "epoch")
}

func movingTime(text string) *Error {
	return refuseKept("'" + strings.TrimSpace(text) + "'").hinted("It isn't always the same time.")
}

// keptSum refuses sums of what DuckDB has averages of, but no sums.
func (b *binder) keptSum(c *pg.FuncCall, f *function) error {
	if !b.kept || f.duck != "sum" {
		return nil
	}
	times := b.times(first(c.GetArgs()))
	if times == "" {
		return nil
	}
	return b.src.at(refuseKept("a sum or average of "+times), c.GetLocation()).hinted("Extract what is to be summed, as epoch.")
}

// times is the type of a time or an interval, as far as can be told; "" of others.
func (b *binder) times(n *pg.Node) string {
	switch t := b.told[n]; t {
	case "interval", "date", "time", "timestamp", timestampTZ:
		return t
	}
	e := n.GetAExpr()
	if e.GetKind() != pg.A_Expr_Kind_AEXPR_OP || e.GetLexpr() == nil {
		return ""
	}
	op, err := operatorName(e.GetName())
	if err != nil {
		return ""
	}
	left, right := b.times(e.GetLexpr()), b.times(e.GetRexpr())
	isUTC := e.GetLexpr().GetFuncCall() != nil && strsOf(e.GetLexpr().GetFuncCall().GetFuncname())[0] == "timezone"
	switch {
	case op == "-" && (isUTC || left != "" && left != "interval" && right != "interval"), op == "*" && right == "interval":
		return "interval"
	case op == "+" || op == "-" || op == "*" || op == "//":
		return left
	}
	return ""
}
