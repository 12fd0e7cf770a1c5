package parse

import (
	"math/big"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

func (b *binder) exprs(nodes []*pg.Node, sc *scope) error {
	for _, n := range nodes {
		if err := b.expr(n, sc); err != nil {
			return err
		}
	}
	return nil
}

// expr handles an expression, operands first. It may replace the node's content. A nil
// node is none.
func (b *binder) expr(n *pg.Node, sc *scope) error {
	if n.GetNode() == nil {
		return nil
	}
	defer b.leave()
	if err := b.enter(); err != nil {
		return err
	}
	if err := exprLists(n); err != nil {
		return err
	}
	was := pg.Node{Node: n.GetNode()}
	if err := b.kind(n, sc); err != nil {
		return err
	}
	if b.binds() {
		b.tell(n, &was)
	}
	return nil
}

// kind handles an expression by its kind.
func (b *binder) kind(n *pg.Node, sc *scope) error {
	inner := sc.inside()
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		return b.constant(e.AConst)
	case *pg.Node_ColumnRef:
		return b.column(n, sc)
	case *pg.Node_ParamRef:
		return b.param(n, e.ParamRef)
	case *pg.Node_TypeCast:
		return b.cast(n, e.TypeCast, inner)
	case *pg.Node_AExpr:
		return b.operator(n, e.AExpr, inner)
	case *pg.Node_FuncCall:
		return b.call(n, e.FuncCall, sc)
	case *pg.Node_SubLink:
		return b.subLink(n, e.SubLink, inner)
	case *pg.Node_SqlvalueFunction:
		return b.valueFunction(n, e.SqlvalueFunction)
	case *pg.Node_AIndirection:
		return b.indirection(e.AIndirection, inner)
	case *pg.Node_CollateClause:
		return b.collate(n, e.CollateClause, inner)
	default:
		return b.compound(n, inner)
	}
}

// compound handles the expressions that are no more than their operands.
func (b *binder) compound(n *pg.Node, sc *scope) error {
	switch e := n.GetNode().(type) {
	case *pg.Node_BoolExpr:
		return b.exprs(e.BoolExpr.GetArgs(), sc)
	case *pg.Node_CaseExpr:
		return b.exprs(append([]*pg.Node{e.CaseExpr.GetArg(), e.CaseExpr.GetDefresult()}, e.CaseExpr.GetArgs()...), sc)
	case *pg.Node_CaseWhen:
		return b.exprs([]*pg.Node{e.CaseWhen.GetExpr(), e.CaseWhen.GetResult()}, sc)
	case *pg.Node_CoalesceExpr:
		return b.coalesce(e.CoalesceExpr.GetArgs(), sc)
	case *pg.Node_MinMaxExpr:
		return b.exprs(e.MinMaxExpr.GetArgs(), sc)
	case *pg.Node_NullTest:
		return b.expr(e.NullTest.GetArg(), sc)
	case *pg.Node_BooleanTest:
		return b.expr(e.BooleanTest.GetArg(), sc)
	case *pg.Node_AArrayExpr:
		return b.arrayConstructor(e.AArrayExpr, sc)
	case *pg.Node_RowExpr:
		return b.exprs(e.RowExpr.GetArgs(), sc)
	case *pg.Node_List: // of IN
		return b.exprs(e.List.GetItems(), sc)
	case *pg.Node_GroupingFunc:
		return b.exprs(e.GroupingFunc.GetArgs(), sc)
	case *pg.Node_SetToDefault:
		return b.src.at(errorf(CodeSyntax, "DEFAULT is not allowed in this context"), e.SetToDefault.GetLocation())
	default:
		return refuse(expressionName(n))
	}
}

// coalesce: an empty array that is written as text is one beside arrays.
func (b *binder) coalesce(args []*pg.Node, sc *scope) error {
	if err := b.exprs(args, sc); err != nil || !b.binds() {
		return err
	}
	common := b.commonType(args)
	if !isArrayType(common) {
		return nil
	}
	for _, arg := range args {
		text, ok := stringConst(arg)
		if !ok {
			continue
		}
		if elements, ok := columnar.SplitArray(text); ok && len(elements) == 0 {
			arg.Node = &pg.Node_AArrayExpr{AArrayExpr: &pg.A_ArrayExpr{}}
			b.told[arg] = common
		}
	}
	return nil
}

// expressionName names a kind of expression by the words that it begins with, as the
// grammar's own name for it says.
func expressionName(n *pg.Node) string {
	names := map[string]string{
		"xml_expr": "XML", "xml_serialize": "XMLSERIALIZE", "current_of_expr": "WHERE CURRENT OF",
		"json_func_expr": "JSON_VALUE, JSON_QUERY or JSON_EXISTS", "json_object_constructor": "JSON_OBJECT",
		"json_array_constructor": "JSON_ARRAY", "json_array_query_constructor": "JSON_ARRAY", "json_object_agg": "JSON_OBJECTAGG",
		"json_array_agg": "JSON_ARRAYAGG", "json_is_predicate": "IS JSON", "json_parse_expr": "JSON()",
		"json_scalar_expr": "JSON_SCALAR", "json_serialize_expr": "JSON_SERIALIZE", "named_arg_expr": "a named argument",
		"grouping_set": "a grouping set here", "merge_support_func": "MERGE_ACTION",
	}
	m := n.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("node"))
	if field == nil {
		return "this expression"
	}
	if name, ok := names[string(field.Name())]; ok {
		return name
	}
	return "this expression (" + strings.ReplaceAll(string(field.Name()), "_", " ") + ")"
}

// constant writes numbers as DuckDB reads them too.
func (b *binder) constant(c *pg.A_Const) error {
	switch v := c.GetVal().(type) {
	case *pg.A_Const_Bsval:
		return b.src.at(refuseAll("bit strings"), c.GetLocation())
	case *pg.A_Const_Fval:
		if b.binds() {
			v.Fval.Fval = plainNumber(v.Fval.GetFval())
		}
	}
	return nil
}

// plainNumber writes a number without underscores, in decimal, with a digit before its point.
func plainNumber(number string) string {
	number = strings.ReplaceAll(number, "_", "")
	if strings.HasPrefix(number, ".") {
		return "0" + number
	}
	if strings.ContainsAny(number, "xXoObB") {
		if value, ok := new(big.Int).SetString(number, 0); ok {
			return value.String()
		}
	}
	return withoutExponent(number)
}

// withoutExponent writes a number in full, as far as a numeric may be long: with an exponent DuckDB's would be a double.
func withoutExponent(number string) string {
	mantissa, exponent, found := strings.Cut(strings.ToLower(number), "e")
	power, err := strconv.Atoi(exponent)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if !found || err != nil || power < -columnar.MaxPrecision || power > columnar.MaxPrecision {
		return number
	}
	digits, point := whole+fraction, len(whole)+power
	digits = strings.Repeat("0", max(-point, 0)) + digits + strings.Repeat("0", max(point-len(digits), 0))
	point = max(point, 0)
	if len(digits) > columnar.MaxPrecision {
		return number
	}
	before := strings.TrimLeft(digits[:point], "0")
	if before == "" {
		before = "0"
	}
	return before + "." + digits[point:]
}

// param notes a parameter, or gives it its type.
func (b *binder) param(n *pg.Node, p *pg.ParamRef) error {
	number := int(p.GetNumber())
	if number < 1 || number > 65535 {
		return b.src.at(errorf(CodeUndefinedParam, "there is no parameter $%d", number), p.GetLocation())
	}
	if !b.binds() {
		b.noteParam(p, nil)
		return nil
	}
	types := b.binding.ParamTypes
	if number > len(types) || types[number-1] == "" {
		return nil
	}
	duck, err := b.paramType(types[number-1])
	if err != nil {
		return b.src.at(err, p.GetLocation())
	}
	arg := &pg.Node{Node: n.GetNode()}
	n.Node = duck.cast(arg).GetNode()
	return nil
}

// paramType is DuckDB's type for a name, which many parameters may have.
func (b *binder) paramType(name string) (duckDBType, *Error) {
	if d, ok := b.paramTypes[name]; ok {
		return d, nil
	}
	t, err := parseTypeName(name)
	if err != nil {
		return duckDBType{}, err
	}
	d, err := duckType(typeOf(t))
	if err != nil {
		return duckDBType{}, err
	}
	if b.paramTypes == nil {
		b.paramTypes = map[string]duckDBType{}
	}
	b.paramTypes[name] = d
	return d, nil
}

// noteParam keeps one entry for each number: the first, with the first type that is told.
func (b *binder) noteParam(p *pg.ParamRef, cast *pg.TypeName) {
	number := int(p.GetNumber())
	i, ok := b.noted[number]
	if !ok {
		i = len(b.params)
		b.noted[number] = i
		b.params = append(b.params, Parameter{Number: number, Position: b.positions.at(p.GetLocation())})
	}
	known := &b.params[i]
	if t := typeOf(cast); known.Type == "" && t.name != "" && t.err == "" {
		known.Type, known.TypeMods = t.full(), t.mods
	}
}

// subLink handles a query in an expression.
func (b *binder) subLink(n *pg.Node, s *pg.SubLink, sc *scope) error {
	q := s.GetSubselect().GetSelectStmt()
	if q == nil {
		return b.src.at(refuse("a statement that changes data in an expression"), s.GetLocation())
	}
	if err := b.expr(s.GetTestexpr(), sc); err != nil {
		return err
	}
	defer b.leaveQuery()
	if err := b.enterQuery(); err != nil {
		return b.src.at(err, s.GetLocation())
	}
	if s.GetSubLinkType() == pg.SubLinkType_EXISTS_SUBLINK && len(q.GetTargetList()) == 0 &&
		len(q.GetValuesLists()) == 0 && q.GetOp() <= pg.SetOperation_SETOP_NONE {
		q.TargetList = []*pg.Node{target(intConst(1), "")}
	}
	cols, err := b.query(q, sc)
	if err != nil {
		return b.located(err, s.GetLocation())
	}
	switch s.GetSubLinkType() {
	case pg.SubLinkType_EXPR_SUBLINK:
		if b.binds() && len(cols.names) == 1 {
			b.told[n] = typeAt(cols.types, 0)
		}
		return nil
	case pg.SubLinkType_ARRAY_SUBLINK:
		if b.binds() && len(cols.names) == 1 {
			b.told[n] = arrayOf(typeAt(cols.types, 0))
		}
		return nil
	case pg.SubLinkType_EXISTS_SUBLINK:
		return nil
	case pg.SubLinkType_ANY_SUBLINK, pg.SubLinkType_ALL_SUBLINK:
		return b.subLinkOperator(s)
	default:
		return b.src.at(refuse("this kind of subquery"), s.GetLocation())
	}
}

// subLinkOperator allows comparisons of a value with the rows of a query.
func (b *binder) subLinkOperator(s *pg.SubLink) error {
	if len(s.GetOperName()) == 0 { // IN
		return nil
	}
	op, err := operatorName(s.GetOperName())
	if err != nil {
		return b.src.at(err, s.GetLocation())
	}
	if !isComparison(op) {
		return b.src.at(refuse("operator "+op+" with ANY or ALL"), s.GetLocation())
	}
	if b.binds() {
		s.OperName = strNodes(op)
	}
	return nil
}

// located gives an error of a query without a position that of its brackets.
func (b *binder) located(err error, location int32) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // Only errors made here lack a position.
		return b.src.at(e, location)
	}
	return err
}

// indirection handles subscripts and fields of a row: (a)[1], (a).b.
func (b *binder) indirection(i *pg.A_Indirection, sc *scope) error {
	if err := b.expr(i.GetArg(), sc); err != nil {
		return err
	}
	for _, step := range i.GetIndirection() {
		switch s := step.GetNode().(type) {
		case *pg.Node_AIndices:
			if t := b.told[i.GetArg()]; b.binds() && (t == "int2vector" || t == "oidvector") {
				fromZero(s.AIndices)
			}
			if err := b.exprs([]*pg.Node{s.AIndices.GetLidx(), s.AIndices.GetUidx()}, sc); err != nil {
				return err
			}
			if b.binds() {
				withoutEnd(s.AIndices)
			}
		case *pg.Node_String_:
		default:
			return refuse("(...).*")
		}
	}
	return nil
}

// fromZero makes the subscripts of a vector, which begin at 0, those of a list.
func fromZero(x *pg.A_Indices) {
	if x.GetLidx() != nil {
		x.Lidx = operatorNode("+", x.GetLidx(), intConst(1))
	}
	if x.GetUidx() != nil {
		x.Uidx = operatorNode("+", x.GetUidx(), intConst(1))
	}
}

// collate drops collations that are the order of the bytes, which is DuckDB's own.
func (b *binder) collate(n *pg.Node, c *pg.CollateClause, sc *scope) error {
	if err := b.src.collation(c); err != nil {
		return err
	}
	if err := b.expr(c.GetArg(), sc); err != nil {
		return err
	}
	if b.binds() {
		n.Node = c.GetArg().GetNode()
	}
	return nil
}

// window handles OVER and WINDOW.
func (b *binder) window(w *pg.WindowDef, sc *scope) error {
	if w == nil {
		return nil
	}
	if err := b.exprs(w.GetPartitionClause(), sc); err != nil {
		return err
	}
	if err := checkLists(list{w.GetOrderClause(), isSortKey}); err != nil {
		return err
	}
	for _, node := range w.GetOrderClause() {
		if err := b.expr(node.GetSortBy().GetNode(), sc); err != nil {
			return err
		}
		if err := b.sortOrder(node.GetSortBy()); err != nil {
			return err
		}
	}
	return b.exprs([]*pg.Node{w.GetStartOffset(), w.GetEndOffset()}, sc)
}
