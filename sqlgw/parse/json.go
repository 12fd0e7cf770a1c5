package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

func jsonFunctions() map[string]*function {
	list := map[string]*function{
		"to_jsonb":           normalized(renamed("to_json", 1, 1)),
		"jsonb_array_length": typed(renamed("bs_json_length", 1, 1), "int4"),
		"json_array_length":  typed(renamed("bs_json_length", 1, 1), "int4"),
		"json_build_object":  renamed("json_object", 0, -1),
		"jsonb_build_object": normalized(renamed("json_object", 0, -1)),
		"json_build_array":   renamed("json_array", 0, -1),
		"jsonb_build_array":  normalized(renamed("json_array", 0, -1)),
		"json_typeof":        renamed("bs_json_type", 1, 1),
		"jsonb_typeof":       renamed("bs_json_type", 1, 1),
		"jsonb_set":          typed(&function{duck: "bs_jsonb_set", min: 3, max: 4, rewrite: createMissing}, "jsonb"),
		"jsonb_strip_nulls":  typed(renamed("bs_jsonb_strip_nulls", 1, 1), "jsonb"),
		"jsonb_pretty":       renamed("bs_jsonb_pretty", 1, 1),
		"json_object_keys":   {kind: setFunction, duck: "bs_json_keys", min: 1, max: 1, rewrite: wrapIn("unnest"), columns: []string{""}},
		"jsonb_object_keys":  {kind: setFunction, duck: "bs_json_keys", min: 1, max: 1, rewrite: wrapIn("unnest"), columns: []string{""}},
	}
	for _, kind := range []string{"json", "jsonb"} {
		path := typed(&function{duck: "bs_json_path", min: 2, max: -1, rewrite: pathArguments}, kind)
		list[kind+"_extract_path"] = path
		list[kind+"_extract_path_text"] = &function{duck: "bs_json_path", min: 2, max: -1, rewrite: pathArgumentsText}
		list[kind+"_array_elements"] = jsonSet("bs_json_elements", wrapIn("unnest"), []string{"value"}, kind)
		list[kind+"_array_elements_text"] = jsonSet("bs_json_elements", unnestText, []string{"value"}, "text")
		list[kind+"_each"] = jsonSet("bs_json_values", nil, []string{"key", "value"}, kind)
		list[kind+"_each_text"] = jsonSet("bs_json_values", nil, []string{"key", "value"}, "text")
	}
	same(list, 1, 1, "to_json", "row_to_json", "array_to_json")
	return list
}

// typed is a function that returns a type.
func typed(f *function, typ string) *function {
	f.returns = typ
	return f
}

// normalized is a function that returns jsonb, made of one that gives JSON.
func normalized(f *function) *function {
	return returning(f, "jsonb", func(made *pg.Node) *pg.Node { return callNode("bs_jsonb", made) })
}

// jsonSet is a function that returns a set, whose last column has a type.
func jsonSet(duck string, rewrite func(*pg.FuncCall) (*pg.Node, *Error), columns []string, typ string) *function {
	return &function{kind: setFunction, duck: duck, min: 1, max: 1, rewrite: rewrite, columns: columns, returns: typ}
}

// createMissing adds the argument that may be left out.
func createMissing(c *pg.FuncCall) (*pg.Node, *Error) {
	if len(c.GetArgs()) == 3 {
		c.Args = append(c.Args, boolConst(true))
	}
	return nil, nil
}

// pathArguments makes an array of the steps that are arguments.
func pathArguments(c *pg.FuncCall) (*pg.Node, *Error) {
	c.Args = []*pg.Node{c.GetArgs()[0], textArray(c.GetArgs()[1:]...)}
	return nil, nil
}

func pathArgumentsText(c *pg.FuncCall) (*pg.Node, *Error) {
	if _, err := pathArguments(c); err != nil {
		return nil, err
	}
	return callNode("bs_jsonb_value", &pg.Node{Node: &pg.Node_FuncCall{FuncCall: c}}), nil
}

func textArray(elements ...*pg.Node) *pg.Node {
	return &pg.Node{Node: &pg.Node_AArrayExpr{AArrayExpr: &pg.A_ArrayExpr{Elements: elements}}}
}

// unnestText gives the elements as texts.
func unnestText(c *pg.FuncCall) (*pg.Node, *Error) {
	return callNode("bs_jsonb_value", callNode("unnest", &pg.Node{Node: &pg.Node_FuncCall{FuncCall: c}})), nil
}

// jsonRows handles a function of JSON in FROM, which names its columns itself.
func (b *binder) jsonRows(node *pg.Node, r *pg.RangeFunction, it *item, f *function, sc *scope) error {
	c := r.GetFunctions()[0].GetList().GetItems()[0].GetFuncCall()
	if err := b.operands(c, sc); err != nil {
		return err
	}
	const call, argument = "bs_call", "bs_json"
	list := callNode("unnest", callNode(f.duck, columnRef(call, argument)))
	if f.returns == "text" {
		list = callNode("bs_jsonb_value", list)
	}
	targets := []*pg.Node{target(list, it.names[len(f.columns)-1])}
	it.types = []string{f.returns}
	if len(f.columns) == 2 {
		targets = append([]*pg.Node{target(callNode("unnest", callNode("bs_json_keys", columnRef(call, argument))), it.names[0])}, targets...)
		it.types = []string{"text", f.returns}
	}
	q := queryOf(targets...)
	q.FromClause = []*pg.Node{subselect(selectNode(queryOf(target(c.GetArgs()[0], argument))), call, nil)}
	q.FromClause[0].GetRangeSubselect().Lateral = true
	fromQuery(node, q, r.GetOrdinality())
	return nil
}

// jsonOperator is what there is for an operator of JSON; nil is that it isn't one.
func (b *binder) jsonOperator(op string, left, right *pg.Node) *pg.Node {
	isJSONB := b.told[left] == "jsonb" || b.told[right] == "jsonb"
	switch {
	case op == "?":
		return callNode("bs_jsonb_exist", left, textArray(right), boolConst(false))
	case op == "?|":
		return callNode("bs_jsonb_exist", left, right, boolConst(false))
	case op == "?&":
		return callNode("bs_jsonb_exist", left, right, boolConst(true))
	case op == "#-":
		return callNode("bs_jsonb_remove_path", left, right)
	case !isJSONB || left == nil:
		return nil
	case op == "@>":
		return callNode("bs_jsonb_contains", left, right)
	case op == "<@":
		return callNode("bs_jsonb_contains", right, left)
	case op == "||":
		return callNode("bs_jsonb_concat", left, right)
	case op == "-":
		return b.jsonMinus(left, right)
	}
	return nil
}

// jsonMinus removes an element by its place, or members by their keys.
func (b *binder) jsonMinus(left, right *pg.Node) *pg.Node {
	_, isPlace := right.GetAConst().GetVal().(*pg.A_Const_Ival)
	switch t := b.told[right]; {
	case isPlace, t == "int4", t == "int2", right.GetAExpr() != nil:
		return callNode("bs_jsonb_remove_at", left, right)
	case isArrayType(t), right.GetAArrayExpr() != nil:
		return callNode("bs_jsonb_remove", left, right)
	}
	return callNode("bs_jsonb_remove", left, textArray(right))
}
