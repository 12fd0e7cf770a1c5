package parse

import (
	"slices"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// operatorName is the name of an operator, without the schema of PostgreSQL's own.
func operatorName(names []*pg.Node) (string, *Error) {
	list := strsOf(names)
	switch {
	case len(list) == 1:
		return list[0], nil
	case len(list) == 2 && list[0] == "pg_catalog":
		return list[1], nil
	}
	return "", refuse("operator " + strings.Join(list, "."))
}

func isComparison(op string) bool {
	switch op {
	case "=", "<>", "!=", "<", "<=", ">", ">=":
		return true
	}
	return false
}

// operator handles operands, and then the operator by the way that it is written.
func (b *binder) operator(n *pg.Node, e *pg.A_Expr, sc *scope) error {
	if refused := refusedOperator(e.GetKind()); refused != nil {
		return b.src.at(refused, e.GetLocation())
	}
	left, right := e.GetLexpr().GetParamRef(), e.GetRexpr().GetParamRef()
	operands := []*pg.Node{e.GetLexpr(), e.GetRexpr()}
	if call := e.GetRexpr().GetFuncCall(); call != nil && isLikeEscape(call) {
		operands = append(operands[:1], call.GetArgs()...)
	}
	if err := b.exprs(operands, sc); err != nil {
		return err
	}
	if !b.binds() {
		return nil
	}
	b.tellOperands(e, left, right)
	switch e.GetKind() {
	case pg.A_Expr_Kind_AEXPR_OP:
		return b.plainOperator(n, e)
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		return b.arrayOperator(n, e)
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE:
		return b.like(n, e)
	// Built into the grammar with an operator that can't be another:
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg.A_Expr_Kind_AEXPR_NULLIF:
		return b.readAs(e.GetLexpr(), e.GetRexpr())
	case pg.A_Expr_Kind_AEXPR_IN, pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN:
		return b.readAs(append(slices.Clone(e.GetRexpr().GetList().GetItems()), e.GetLexpr())...)
	default:
		return b.src.at(refuse("this operator"), e.GetLocation())
	}
}

// tellOperands notes the types of parameters that are compared with something.
func (b *binder) tellOperands(e *pg.A_Expr, left, right *pg.ParamRef) {
	op, err := operatorName(e.GetName())
	if err != nil || !isComparison(op) && op != "~~" {
		return
	}
	switch e.GetKind() {
	case pg.A_Expr_Kind_AEXPR_OP, pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		b.tellParam(left, b.told[e.GetRexpr()])
		b.tellParam(right, b.told[e.GetLexpr()])
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		b.tellParam(right, arrayOf(b.told[e.GetLexpr()]))
	default:
	}
}

// refusedOperator is the error for what is written with words and DuckDB hasn't.
func refusedOperator(kind pg.A_Expr_Kind) *Error {
	switch kind {
	case pg.A_Expr_Kind_AEXPR_SIMILAR:
		return refuse("SIMILAR TO").hinted("Use ~ with a regular expression, or LIKE.")
	case pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		return refuse("BETWEEN SYMMETRIC")
	default:
		return nil
	}
}

// plainOperator handles a op b and op b.
func (b *binder) plainOperator(n *pg.Node, e *pg.A_Expr) error {
	if done, err := b.dialectOperator(n, e); done || err != nil {
		return err
	}
	op, refused := operatorName(e.GetName())
	if refused != nil {
		return b.src.at(refused, e.GetLocation())
	}
	if isComparison(op) {
		if err := b.readAs(e.GetLexpr(), e.GetRexpr()); err != nil {
			return err
		}
	}
	switch op {
	case "+", "-", "*", "/", "%":
		b.typeParam(e.GetLexpr(), e.GetRexpr())
		b.typeParam(e.GetRexpr(), e.GetLexpr())
	}
	text := op == "->>" || op == "#>>"
	if isJSONB := b.told[e.GetLexpr()] == "jsonb"; !isJSONB {
		text = false
	} else if text {
		op = strings.TrimSuffix(op, ">")
	}
	if op == "||" && (isArrayType(b.told[e.GetLexpr()]) || isArrayType(b.told[e.GetRexpr()]) || e.GetRexpr().GetSubLink().GetSubLinkType() == pg.SubLinkType_ARRAY_SUBLINK) {
		n.Node = b.joined(e.GetLexpr(), e.GetRexpr()).GetNode()
		return nil
	}
	if made := b.jsonOperator(op, e.GetLexpr(), e.GetRexpr()); made != nil {
		n.Node = made.GetNode()
		return nil
	}
	if op == "||" && e.GetLexpr() != nil {
		e.Lexpr, e.Rexpr = b.writeOperand(e.GetLexpr()), b.writeOperand(e.GetRexpr())
	}
	made, refused := duckOperator(op, e.GetLexpr(), e.GetRexpr())
	if refused != nil {
		return b.src.at(refused, e.GetLocation())
	}
	if text { // of objects and arrays it has blanks
		made = callNode("bs_jsonb_value", made)
	}
	if op == "-" && b.betweenTimes(e) {
		n.Node = operatorNode("-", inUTC(e.GetLexpr()), inUTC(e.GetRexpr())).GetNode()
		return nil
	}
	if op == "-" && b.told[e.GetLexpr()] == "date" && b.told[e.GetRexpr()] == "date" { // DuckDB's is a bigint
		made = castTo(made, "int4")
	}
	n.Node = made.GetNode()
	return nil
}

// joined is an array and another, or one more element.
func (b *binder) joined(left, right *pg.Node) *pg.Node {
	isElement := func(n *pg.Node) bool {
		_, isInt := n.GetAConst().GetVal().(*pg.A_Const_Ival)
		_, isNumber := n.GetAConst().GetVal().(*pg.A_Const_Fval)
		return isInt || isNumber || b.told[n] != "" && !isArrayType(b.told[n])
	}
	switch {
	case isElement(right):
		return callNode("list_append", left, right)
	case isElement(left):
		return callNode("list_prepend", left, right)
	}
	return callNode("list_concat", left, right) // for which NULL is empty
}

// isArrayType tells whether a type that was told is that of arrays.
func isArrayType(t string) bool { return strings.HasPrefix(t, "_") }

// typeParam gives a parameter that has no type yet that of the number beside it: of several
// functions of an operator's name DuckDB chooses none.
func (b *binder) typeParam(p, other *pg.Node) {
	if p.GetParamRef() == nil {
		return
	}
	t := b.told[other]
	if _, isInt := other.GetAConst().GetVal().(*pg.A_Const_Ival); isInt {
		t = "int4"
	}
	switch t {
	case "int2", "int4", "int8", "float4", "float8":
		p.Node = castTo(&pg.Node{Node: p.GetNode()}, t).GetNode()
	}
}

// readAs reads texts that are constants as PostgreSQL reads them where they are compared with a
// value of a type whose texts DuckDB reads in another way.
func (b *binder) readAs(values ...*pg.Node) error {
	t := ""
	for _, v := range values {
		switch told := b.told[v]; told {
		case "date", "timestamp", "timestamptz", "bytea":
			t = told
		}
	}
	if t == "" {
		return nil
	}
	d, err := duckType(typeName{name: t})
	if err != nil {
		return err
	}
	for _, v := range values {
		text, ok := stringConst(v)
		if !ok {
			continue
		}
		if b.kept && isMoving(text, d) {
			return b.src.at(movingTime(text), v.GetAConst().GetLocation())
		}
		made, err := inputConst(text, d, b.binding.Style)
		if err != nil {
			return b.src.at(err, v.GetAConst().GetLocation())
		}
		v.Node = made.GetNode()
	}
	return nil
}

// duckOperator is what DuckDB has for an operator; left is nil for one that stands before
// its operand.
func duckOperator(op string, left, right *pg.Node) (*pg.Node, *Error) {
	if left == nil {
		return prefixOperator(op, right)
	}
	switch op {
	case "+", "-", "*", "^", "||", "&", "|", "<<", ">>", "@>", "<@", "&&", "=", "<", "<=", ">", ">=":
		return operatorNode(op, left, right), nil
	case "<>", "!=":
		return operatorNode("<>", left, right), nil
	case "/": // of integers it truncates, which DuckDB calls //
		return operatorNode("//", left, divisor(right)), nil
	case "%":
		return operatorNode("%", left, divisor(right)), nil
	case "#":
		return callNode("xor", left, right), nil
	case "~~", "!~~", "~~*", "!~~*":
		return likeCall(left, right, `\`, strings.HasSuffix(op, "*"), strings.HasPrefix(op, "!")), nil
	case "~":
		return callNode("regexp_matches", left, right, textConst("s")), nil
	case "~*":
		return callNode("regexp_matches", left, right, textConst("si")), nil
	case "!~":
		return notNode(callNode("regexp_matches", left, right, textConst("s"))), nil
	case "!~*":
		return notNode(callNode("regexp_matches", left, right, textConst("si"))), nil
	case "->":
		return callNode("json_extract", left, jsonKey(right)), nil
	case "->>":
		return callNode("json_extract_string", left, jsonKey(right)), nil
	case "#>", "#>>":
		return jsonPath(op, left, right)
	case "^@":
		return callNode("starts_with", left, right), nil
	}
	return nil, refuse("operator " + op)
}

// timestampTZ is pg_type's name.
const timestampTZ = "timestamptz"

// inUTC is a timestamp with a time zone as one without, of UTC.
func inUTC(n *pg.Node) *pg.Node {
	return callNode("timezone", textConst("UTC"), castTo(n, timestampTZ))
}

// betweenTimes tells whether an operator's operands are times of which one has a time zone: DuckDB counts the days between them by the
// session's clock, PostgreSQL by hours.
func (b *binder) betweenTimes(e *pg.A_Expr) bool {
	left, right := b.told[e.GetLexpr()], b.told[e.GetRexpr()]
	isTime := func(t string) bool { return t == timestampTZ || t == "timestamp" || t == "date" }
	return isTime(left) && isTime(right) && (left == timestampTZ || right == timestampTZ)
}

func prefixOperator(op string, right *pg.Node) (*pg.Node, *Error) {
	switch op {
	case "+", "-", "~":
		return operatorNode(op, nil, right), nil
	case "@":
		return callNode("abs", right), nil
	case "|/":
		return callNode("sqrt", right), nil
	case "||/":
		return callNode("cbrt", right), nil
	}
	return nil, refuse("operator " + op)
}

// jsonKey is a key of -> as DuckDB reads it: a constant text is a key, never a path.
func jsonKey(key *pg.Node) *pg.Node {
	if text, ok := stringConst(key); ok {
		return textConst(pathStep(text))
	}
	return key
}

// pathStep is the path of a key of the outermost object.
func pathStep(key string) string {
	return `$."` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}

// jsonPath handles #> and #>>. Steps of a constant path that aren't numbers are keys, which DuckDB finds by itself.
func jsonPath(op string, left, right *pg.Node) (*pg.Node, *Error) {
	text, ok := stringConst(right)
	steps, valid := columnar.SplitArray(text)
	if ok && !valid {
		return nil, errorf(CodeInvalidText, "malformed array literal: %q", text)
	}
	areKeys := ok && len(steps) > 0
	for _, step := range steps {
		areKeys = areKeys && step != nil && *step != "" && strings.Trim(*step, "-0123456789") != ""
	}
	if !areKeys {
		made := callNode("bs_json_path", left, right)
		if op == "#>>" {
			made = callNode("bs_jsonb_value", made)
		}
		return made, nil
	}
	for i, step := range steps {
		name := "json_extract"
		if op == "#>>" && i == len(steps)-1 {
			name = "json_extract_string"
		}
		left = callNode(name, left, textConst(pathStep(*step)))
	}
	return left, nil
}

// arrayOperator handles x op ANY (array) and x op ALL (array).
func (b *binder) arrayOperator(n *pg.Node, e *pg.A_Expr) error {
	op, refused := operatorName(e.GetName())
	if refused != nil {
		return b.src.at(refused, e.GetLocation())
	}
	if !isComparison(op) {
		return b.src.at(refuse("operator "+op+" with ANY or ALL"), e.GetLocation())
	}
	if op == "!=" {
		op = "<>"
	}
	e.Name = strNodes(op)
	if text, ok := stringConst(e.GetRexpr()); ok {
		return b.textArray(n, e, op, text)
	}
	if right := e.GetRexpr(); op == "=" && e.GetKind() == pg.A_Expr_Kind_AEXPR_OP_ANY && right.GetSubLink() == nil && right.GetColumnRef() != nil {
		n.Node = callNode("bs_any", e.GetLexpr(), right).GetNode() // DuckDB's own is a subquery, which no outer join takes
	}
	return nil
}

// textArray handles x = ANY ('{a,b}') and x <> ALL ('{a,b}'), whose elements have the type of x:
// as a list of IN they have it in DuckDB too.
func (b *binder) textArray(n *pg.Node, e *pg.A_Expr, op, text string) error {
	if err := b.listed(text); err != nil {
		return err
	}
	elements, ok := columnar.SplitArray(text)
	location := e.GetRexpr().GetAConst().GetLocation()
	if !ok {
		return b.src.at(errorf(CodeInvalidText, "malformed array literal: %q", text), location)
	}
	anyEqual := e.GetKind() == pg.A_Expr_Kind_AEXPR_OP_ANY && op == "="
	if !anyEqual && (e.GetKind() != pg.A_Expr_Kind_AEXPR_OP_ALL || op != "<>") {
		return b.src.at(refuse("an array written as text with operator "+op), location).hinted("Write it as ARRAY[...].")
	}
	if len(elements) == 0 {
		n.Node = boolConst(!anyEqual).GetNode()
		return nil
	}
	list := make([]*pg.Node, len(elements))
	for i, element := range elements {
		list[i] = textOrNull(element)
	}
	e.Kind, e.Rexpr = pg.A_Expr_Kind_AEXPR_IN, pg.MakeListNode(list)
	return nil
}

// like handles LIKE and ILIKE. PostgreSQL's patterns have an escape character without
// asking for one: the backslash.
func (b *binder) like(n *pg.Node, e *pg.A_Expr) error {
	pattern, escape := e.GetRexpr(), `\`
	if call := pattern.GetFuncCall(); call != nil && isLikeEscape(call) {
		pattern = call.GetArgs()[0]
		text, ok := stringConst(call.GetArgs()[1])
		switch {
		case !ok:
			return b.src.at(refuse("ESCAPE with what is not a constant"), e.GetLocation())
		case utf8.RuneCountInString(text) > 1:
			return b.src.at(errorf("22025", "invalid escape string"), e.GetLocation()).hinted("Escape string must be empty or one character.")
		case len(text) > 1:
			return b.src.at(refuse("ESCAPE with a character that is not ASCII"), e.GetLocation())
		}
		escape = text
	}
	insensitive := e.GetKind() == pg.A_Expr_Kind_AEXPR_ILIKE
	negated := strings.HasPrefix(strsOf(e.GetName())[0], "!")
	n.Node = likeCall(e.GetLexpr(), pattern, escape, insensitive, negated).GetNode()
	return nil
}

// isLikeEscape tells whether a call is what the grammar makes of ESCAPE, and of nothing else.
func isLikeEscape(call *pg.FuncCall) bool {
	names := strsOf(call.GetFuncname())
	return len(names) == 2 && names[0] == "pg_catalog" && names[1] == "like_escape" && len(call.GetArgs()) == 2
}

// likeCall uses DuckDB's plain operator, which it has fast ways for, where the pattern has
// nothing to escape.
func likeCall(text, pattern *pg.Node, escape string, insensitive, negated bool) *pg.Node {
	op, call := "~~", "like_escape"
	if insensitive {
		op, call = "~~*", "ilike_escape"
	}
	var made *pg.Node
	if p, ok := stringConst(pattern); escape == "" || ok && !strings.Contains(p, escape) {
		kind := pg.A_Expr_Kind_AEXPR_LIKE
		if insensitive {
			kind = pg.A_Expr_Kind_AEXPR_ILIKE
		}
		made = &pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: kind, Name: strNodes(op), Lexpr: text, Rexpr: pattern}}}
	} else {
		made = callNode(call, text, pattern, textConst(escape))
	}
	if negated {
		return notNode(made)
	}
	return made
}
