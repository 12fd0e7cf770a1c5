package parse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// call handles a function call: operands, then the function by its name.
func (b *binder) call(n *pg.Node, c *pg.FuncCall, sc *scope) error {
	written := b.src.literals(c.GetArgs())
	if err := b.operands(c, sc.inside()); err != nil {
		return err
	}
	if c.GetFuncVariadic() {
		return b.src.at(refuse("VARIADIC"), c.GetLocation())
	}
	if !b.binds() {
		return nil
	}
	if done, err := b.dialectCall(n, c, written); done || err != nil {
		return err
	}
	f, err := b.function(c)
	if err != nil {
		return err
	}
	if f.kind == setFunction {
		return b.setCall(n, c, f, sc)
	}
	if err := b.keptSum(c, f); err != nil {
		return err
	}
	b.told[n] = b.resultType(f, c.GetArgs())
	isIntegers := f.duck == "sum" && b.isInt4(first(c.GetArgs()))
	b.writeArguments(f, c)
	halfToEven := f.duck == "round" && len(c.GetArgs()) == 1 && b.isFloat(c.GetArgs()[0])
	if refused := f.finish(n, c); refused != nil {
		return b.src.at(refused, c.GetLocation())
	}
	if halfToEven {
		c.Funcname, c.Args = strNodes("round_even"), append(c.Args, intConst(0))
	}
	b.sumOfIntegers(n, isIntegers)
	return nil
}

// first of some nodes, nil if there are none.
func first(nodes []*pg.Node) *pg.Node {
	if len(nodes) == 0 {
		return nil
	}
	return nodes[0]
}

// operands handles everything that a call holds. Within the arguments of functions that
// multiply their input, the product is kept.
func (b *binder) operands(c *pg.FuncCall, sc *scope) error {
	before := b.grown
	defer func() { b.grown = before }()
	if b.binds() {
		if err := b.grow(c); err != nil {
			return b.src.at(err, c.GetLocation())
		}
	}
	if err := b.exprs(c.GetArgs(), sc); err != nil {
		return err
	}
	for _, node := range c.GetAggOrder() {
		if err := b.expr(node.GetSortBy().GetNode(), sc); err != nil {
			return err
		}
		if err := b.sortOrder(node.GetSortBy()); err != nil {
			return err
		}
	}
	if err := b.expr(c.GetAggFilter(), sc); err != nil {
		return err
	}
	return b.window(c.GetOver(), sc)
}

// isPlain tells whether a call has nothing but arguments.
func isPlain(c *pg.FuncCall) bool {
	return c.GetOver() == nil && c.GetAggFilter() == nil && len(c.GetAggOrder()) == 0 && !c.GetAggDistinct() && !c.GetAggWithinGroup()
}

func (b *binder) dialectCall(n *pg.Node, c *pg.FuncCall, written []Literal) (bool, error) {
	q, ok := catalogSchema(c.GetFuncname())
	if b.binding.Dialect == nil || !ok || !isPlain(c) {
		return false, nil
	}
	tpl, err := b.binding.Dialect.Function(Call{Schema: q.schema, Name: q.name, Args: written, Star: c.GetAggStar()})
	return b.filled(n, tpl, err, c.GetArgs(), c.GetLocation())
}

// function finds the function of a call, and checks that it may be called so.
func (b *binder) function(c *pg.FuncCall) (*function, error) {
	q, ok := catalogSchema(c.GetFuncname())
	if q.schema != "" && isForbidden(q.name) {
		return nil, b.src.at(forbid("function "+q.name), c.GetLocation())
	}
	if !ok || q.schema != "" {
		return nil, b.src.at(unknownFunction(strings.Join(strsOf(c.GetFuncname()), "."), c.GetArgs()), c.GetLocation())
	}
	f := lookupFunction(q.name)
	if misplaced := misplacedAct(q.name, len(c.GetArgs())); misplaced != nil {
		return nil, b.src.at(misplaced, c.GetLocation())
	}
	if actForms(q.name) != nil {
		return nil, b.src.at(unknownFunction(q.name, c.GetArgs()), c.GetLocation())
	}
	if f == nil {
		return nil, b.src.at(unlistedFunction(q.name, c.GetArgs()), c.GetLocation())
	}
	if err := f.check(q.name, c); err != nil {
		return nil, b.src.at(err, c.GetLocation())
	}
	return f, nil
}

// check tells whether a call has as many arguments as the function takes, and nothing that
// only other kinds of function have.
func (f *function) check(name string, c *pg.FuncCall) *Error {
	args := len(c.GetArgs())
	if c.GetAggWithinGroup() != f.withinGroup {
		if f.withinGroup {
			return errorf("42809", "WITHIN GROUP is required for ordered-set aggregate %s", name)
		}
		return errorf("42809", "%s is not an ordered-set aggregate, so it cannot have WITHIN GROUP", name)
	}
	if c.GetAggStar() != (f.duck == "count" && args == 0) || args < f.min || f.max >= 0 && args > f.max {
		return unknownFunction(name, c.GetArgs())
	}
	aggregate := f.kind == aggregateFunction
	switch {
	case f.plain && !isPlain(c):
		return refuse(name + " with FILTER, DISTINCT, ORDER BY or OVER")
	case c.GetOver() != nil && !aggregate && f.kind != windowFunction:
		return errorf("42809", "OVER specified, but %s is not a window function nor an aggregate function", name)
	case c.GetOver() == nil && f.kind == windowFunction:
		return errorf("42809", "window function %s requires an OVER clause", name)
	case c.GetAggDistinct() && !aggregate:
		return errorf("42809", "DISTINCT specified, but %s is not an aggregate function", name)
	case len(c.GetAggOrder()) > 0 && !aggregate:
		return errorf("42809", "ORDER BY specified, but %s is not an aggregate function", name)
	case c.GetAggFilter() != nil && !aggregate:
		return errorf("42809", "FILTER specified, but %s is not an aggregate function", name)
	}
	return nil
}

// finish turns a call into DuckDB's.
func (f *function) finish(n *pg.Node, c *pg.FuncCall) *Error {
	c.Funcname = strNodes(f.duck)
	c.Funcformat = pg.CoercionForm_COERCE_EXPLICIT_CALL
	if f.rewrite == nil {
		return nil
	}
	made, err := f.rewrite(c)
	if err != nil {
		return err
	}
	if made != nil {
		n.Node = made.GetNode()
	}
	return nil
}

// valueFunction handles functions that are called without brackets.
func (b *binder) valueFunction(n *pg.Node, f *pg.SQLValueFunction) error {
	if !b.binds() {
		return nil
	}
	name := valueFunctionName(f)
	if b.binding.Dialect != nil {
		tpl, err := b.binding.Dialect.Function(Call{Name: name})
		if done, err := b.filled(n, tpl, err, nil, f.GetLocation()); done || err != nil {
			return err
		}
	}
	switch f.GetOp() {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:
		n.Node = callNode("today").GetNode()
		b.told[n] = "date"
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:
		n.Node = callNode("now").GetNode()
		b.told[n] = timestampTZ
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:
		n.Node = castTo(callNode("now"), "pg_catalog", "timestamp").GetNode()
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIME:
		n.Node = castTo(castTo(callNode("now"), "pg_catalog", "timestamp"), "pg_catalog", "time").GetNode()
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME:
		return b.src.at(refuse("CURRENT_TIME"), f.GetLocation()).hinted("Use LOCALTIME.")
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N, pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N,
		pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N, pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:
		return b.src.at(refuse("a precision of "+strings.ToUpper(name)), f.GetLocation()).hinted("Use date_trunc.")
	default:
		return b.src.at(refuse(strings.ToUpper(name)), f.GetLocation())
	}
	return nil
}

// rangeFunction handles a function in FROM, which sees what FROM has before it.
func (b *binder) rangeFunction(node *pg.Node, r *pg.RangeFunction, sc *scope) ([]column, error) {
	if r.GetIsRowsfrom() || len(r.GetFunctions()) != 1 || !isOneCall(r.GetFunctions()[0].GetList().GetItems()) {
		return nil, refuse("ROWS FROM")
	}
	if len(r.GetColdeflist()) > 0 {
		return nil, refuse("a list of column definitions of a function")
	}
	fn := r.GetFunctions()[0].GetList().GetItems()[0]
	name, _ := outputName(fn)
	it := &item{alias: name, relation: -1, names: []string{name}, known: true}
	if r.GetAlias() != nil {
		it.alias = r.GetAlias().GetAliasname()
		it.names[0] = it.alias
	}
	if f := setIn(fn.GetFuncCall()); f != nil && len(f.columns) > 0 && f.columns[0] != "" {
		it.names = slices.Clone(f.columns)
	}
	if r.GetOrdinality() {
		it.names = append(it.names, "ordinality")
	}
	if err := b.fromCall(node, r, it, sc.sibling()); err != nil {
		return nil, err
	}
	aliases := strsOf(r.GetAlias().GetColnames())
	if it.known && len(aliases) > len(it.names) {
		return nil, b.src.at(errorf(CodeInvalidReference, "table %q has %d columns available but %d columns specified",
			it.alias, len(it.names), len(aliases)), fn.GetFuncCall().GetLocation())
	}
	it.names = renameColumns(columns{names: it.names, known: it.known}, aliases).names
	if b.binds() {
		setAlias(node, it)
	}
	return b.add(it, sc, fn.GetFuncCall().GetLocation())
}

// setIn is the function that a call in FROM means, nil if there is none or it gives no set.
func setIn(c *pg.FuncCall) *function {
	if q, ok := catalogSchema(c.GetFuncname()); ok && q.schema == "" {
		if f := lookupFunction(q.name); f != nil && f.kind == setFunction {
			return f
		}
	}
	return nil
}

// isOneCall tells whether the parts of a function in FROM are the call and no list of columns.
func isOneCall(parts []*pg.Node) bool {
	return len(parts) == 1 || len(parts) == 2 && parts[1].GetNode() == nil
}

// setAlias names a thing of FROM and all its columns.
func setAlias(node *pg.Node, it *item) {
	alias := &pg.Alias{Aliasname: it.alias, Colnames: strNodes(it.names...)}
	switch n := node.GetNode().(type) {
	case *pg.Node_RangeFunction:
		n.RangeFunction.Alias = alias
	case *pg.Node_RangeSubselect:
		n.RangeSubselect.Alias = alias
	}
}

// fromCall handles the call of a function in FROM. What DuckDB has no table function for becomes a
// query of one column.
func (b *binder) fromCall(node *pg.Node, r *pg.RangeFunction, it *item, sc *scope) error {
	fn := r.GetFunctions()[0].GetList().GetItems()[0]
	c := fn.GetFuncCall()
	if !b.binds() {
		q, _ := catalogSchema(c.GetFuncname())
		f := lookupFunction(q.name)
		it.known = b.resolving && f != nil && f.kind == setFunction // else a dialect may give it more columns
		return b.expr(fn, sc.inTargets())
	}
	if c != nil {
		if done, err := b.fromDialect(node, r, it, sc); done || err != nil {
			return err
		}
		f, err := b.function(c)
		if err != nil {
			return err
		}
		if len(f.columns) > 0 && f.columns[0] != "" {
			return b.jsonRows(node, r, it, f, sc)
		}
		if f.table {
			bare := slices.Clone(c.GetArgs())
			if err := b.tableCall(c, f, sc); err != nil {
				return err
			}
			if f.duck == "generate_series" && b.areInt4(bare) {
				it.types = []string{"int4"}
				int4Series(node, r)
			}
			return nil
		}
	}
	if err := b.expr(fn, sc.inTargets()); err != nil {
		return err
	}
	fromQuery(node, queryOf(target(fn, it.names[0])), r.GetOrdinality())
	return nil
}

// areInt4 tells whether all values are of type integer.
func (b *binder) areInt4(values []*pg.Node) bool {
	for _, v := range values {
		if _, isInt := v.GetAConst().GetVal().(*pg.A_Const_Ival); !isInt && b.told[v] != "int4" {
			return false
		}
	}
	return len(values) > 0
}

// int4Series makes what generate_series gives integers as its arguments are: DuckDB's are bigint.
func int4Series(node *pg.Node, r *pg.RangeFunction) {
	inner := proto.CloneOf(r)
	inner.Ordinality = false
	inner.Alias = &pg.Alias{Aliasname: "bs_series", Colnames: strNodes("bs_n")}
	q := queryOf(target(castTo(columnRef("bs_series", "bs_n"), "int4"), "bs_n"))
	q.FromClause = []*pg.Node{{Node: &pg.Node_RangeFunction{RangeFunction: inner}}}
	fromQuery(node, q, r.GetOrdinality())
}

// queryOf is SELECT of a list and no more.
func queryOf(targets ...*pg.Node) *pg.SelectStmt {
	return &pg.SelectStmt{TargetList: targets, LimitOption: pg.LimitOption_LIMIT_OPTION_DEFAULT, Op: pg.SetOperation_SETOP_NONE}
}

// fromQuery puts a query into FROM, with a column that numbers its rows if that is asked for.
func fromQuery(node *pg.Node, q *pg.SelectStmt, ordinality bool) {
	if ordinality {
		number := funcCall("row_number")
		number.Over = &pg.WindowDef{FrameOptions: frameDefaults}
		rows := q
		q = queryOf(target(starRef(), ""), target(&pg.Node{Node: &pg.Node_FuncCall{FuncCall: number}}, "ordinality"))
		q.FromClause = []*pg.Node{subselect(selectNode(rows), "numbered", nil)}
	}
	node.Node = &pg.Node_RangeSubselect{RangeSubselect: &pg.RangeSubselect{Lateral: true, Subquery: selectNode(q)}}
}

// frameDefaults is what the grammar gives a window that names no frame.
const frameDefaults = 1058

// fromDialect asks the dialect for a function in FROM.
func (b *binder) fromDialect(node *pg.Node, r *pg.RangeFunction, it *item, sc *scope) (bool, error) {
	c := r.GetFunctions()[0].GetList().GetItems()[0].GetFuncCall()
	name, ok := catalogSchema(c.GetFuncname())
	if b.binding.Dialect == nil || !ok || !isPlain(c) {
		return false, nil
	}
	call := Call{Schema: name.schema, Name: name.name, Args: b.src.literals(c.GetArgs()), InFrom: true, Star: c.GetAggStar()}
	tpl, err := b.binding.Dialect.Function(call)
	if err != nil {
		return false, b.located(err, c.GetLocation())
	}
	if tpl == nil {
		return false, nil
	}
	if err := b.operands(c, sc); err != nil {
		return false, err
	}
	made, missing := tpl.fill(c.GetArgs())
	if missing != nil {
		return false, b.src.at(missing, c.GetLocation())
	}
	q := made.GetSelectStmt()
	if q != nil {
		it.names = append(slices.Clone(tpl.columns), it.names[1:]...)
	} else {
		q = queryOf(target(made, it.names[0]))
	}
	fromQuery(node, q, r.GetOrdinality())
	return true, nil
}

// tableCall handles the functions that DuckDB has table functions for.
func (b *binder) tableCall(c *pg.FuncCall, f *function, sc *scope) error {
	alone := !namesColumns(c)
	if err := b.operands(c, sc); err != nil {
		return err
	}
	if f.bound != nil && !alone {
		if err := f.bound(c); err != nil {
			return b.src.at(err, c.GetLocation())
		}
	}
	c.Funcname = strNodes(f.duck)
	if f.duck != "generate_series" {
		return nil
	}
	if err := seriesOfTimes(c, b.binding.Style); err != nil {
		return b.src.at(err, c.GetLocation())
	}
	return nil
}

// setCall handles a function that returns a set, where PostgreSQL allows it: as an item of a
// SELECT list.
func (b *binder) setCall(n *pg.Node, c *pg.FuncCall, f *function, sc *scope) error {
	if !sc.list {
		return b.src.at(refuse("a set-returning function here"), c.GetLocation()).hinted("Put it into FROM.")
	}
	if len(f.columns) > 1 {
		return b.src.at(refuse("a function that returns rows here"), c.GetLocation()).hinted("Put it into FROM.")
	}
	int4s := f.duck == "generate_subscripts" || f.duck == "generate_series" && b.areInt4(c.GetArgs())
	element := strings.TrimPrefix(b.told[first(c.GetArgs())], "_")
	if f.bound != nil {
		if err := f.bound(c); err != nil {
			return b.src.at(err, c.GetLocation())
		}
	}
	if refused := f.finish(n, c); refused != nil {
		return b.src.at(refused, c.GetLocation())
	}
	switch {
	case int4s:
		n.Node = castTo(&pg.Node{Node: n.GetNode()}, "int4").GetNode()
		b.told[n] = "int4"
	case f.duck == "unnest":
		b.told[n] = element
	case f.returns != "":
		b.told[n] = f.returns
	}
	return nil
}
