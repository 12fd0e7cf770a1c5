package parse

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// Rewrites of calls whose DuckDB namesake means something else.

// wrapIn puts a call around the call.
func wrapIn(outer string) func(*pg.FuncCall) (*pg.Node, *Error) {
	return func(c *pg.FuncCall) (*pg.Node, *Error) {
		return callNode(outer, &pg.Node{Node: &pg.Node_FuncCall{FuncCall: c}}), nil
	}
}

// toTimestampCall: with a template it reads a text.
func toTimestampCall(c *pg.FuncCall) (*pg.Node, *Error) {
	if len(c.GetArgs()) == 2 {
		c.Funcname = strNodes("bs_to_timestamp")
	}
	return nil, nil
}

// padWithBlanks adds the argument that DuckDB wants to be given.
func padWithBlanks(c *pg.FuncCall) (*pg.Node, *Error) {
	if len(c.GetArgs()) == 2 {
		c.Args = append(c.Args, textConst(" "))
	}
	return nil, nil
}

// substringCall: a start before the first character counts from there in PostgreSQL, and from the
// end in DuckDB.
func substringCall(c *pg.FuncCall) (*pg.Node, *Error) {
	if pattern, ok := stringConst(c.GetArgs()[1]); ok && len(c.GetArgs()) == 2 {
		return callNode("bs_regexp_substr", c.GetArgs()[0], c.GetArgs()[1], intConst(firstGroup(pattern))), nil
	} else if ok {
		return nil, refuse("substring with a pattern of SIMILAR TO").hinted("Use a regular expression.")
	}
	if len(c.GetArgs()) == 3 {
		if length, ok := intValue(c.GetArgs()[2]); ok && length < 0 {
			return nil, errorf("22011", "negative substring length not allowed")
		}
	}
	start, constant := intValue(c.GetArgs()[1])
	switch {
	case constant && start >= 1:
		return nil, nil
	case constant && start > math.MinInt32:
		if len(c.GetArgs()) == 3 {
			c.Args[2] = atLeast(operatorNode("+", c.GetArgs()[2], intConst(int32(start-1))), 0)
		}
		c.Args[1] = intConst(1)
		return nil, nil
	}
	if !isSmall(c.GetArgs()[1]) {
		return nil, refuse("substring with a start of this complexity").hinted("Compute it in a subquery, and name it here.")
	}
	first := atLeast(c.GetArgs()[1], 1)
	if len(c.GetArgs()) == 3 {
		end := operatorNode("+", c.GetArgs()[1], c.GetArgs()[2])
		c.Args[2] = atLeast(operatorNode("-", end, first), 0)
	}
	c.Args[1] = first
	return nil, nil
}

// atLeast is x, or the least if that is more; NULL stays NULL, which GREATEST ignores.
func atLeast(x *pg.Node, least int32) *pg.Node {
	missing := operatorNode("-", intConst(least), x)
	return operatorNode("+", x, &pg.Node{Node: &pg.Node_MinMaxExpr{MinMaxExpr: &pg.MinMaxExpr{
		Op: pg.MinMaxOp_IS_GREATEST, Args: []*pg.Node{missing, intConst(0)},
	}}})
}

// withoutDelimiter: a delimiter that is NULL is none.
func withoutDelimiter(c *pg.FuncCall) (*pg.Node, *Error) {
	if c.GetArgs()[1].GetAConst().GetIsnull() {
		c.Args[1] = textConst("")
	}
	return nil, nil
}

// firstGroup is the group that substring gives: the first one, or all that fits if the pattern has none.
func firstGroup(pattern string) int32 {
	if e, err := regexp.Compile(pattern); err == nil && e.NumSubexp() > 0 {
		return 1
	}
	return 0
}

// wholeMatch gives all that fits the pattern.
func wholeMatch(c *pg.FuncCall) (*pg.Node, *Error) {
	c.Args = append(c.Args, intConst(0))
	return nil, nil
}

// overlayCall: without a length, it is that of what is put in.
func overlayCall(c *pg.FuncCall) (*pg.Node, *Error) {
	if len(c.GetArgs()) == 3 {
		c.Args = append(c.Args, callNode("length", c.GetArgs()[1]))
	}
	return nil, nil
}

// shownNulls: a third argument stands for NULLs.
func shownNulls(c *pg.FuncCall) (*pg.Node, *Error) {
	if len(c.GetArgs()) == 3 {
		c.Funcname = strNodes("bs_array_to_string")
	}
	return nil, nil
}

// splitCall: an empty text has no parts in PostgreSQL, and parts that are a third argument are NULL.
func splitCall(c *pg.FuncCall) (*pg.Node, *Error) {
	text := c.GetArgs()[0]
	if c.GetArgs()[1].GetAConst().GetIsnull() {
		c.Args[1] = textConst("") // into characters
	}
	if len(c.GetArgs()) == 3 {
		c.Funcname = strNodes("bs_string_to_array")
	}
	if !isSmall(text) {
		return nil, refuse("string_to_array of a text of this complexity").hinted("Compute it in a subquery, and name it here.")
	}
	empty := castTo(&pg.Node{Node: &pg.Node_AArrayExpr{AArrayExpr: &pg.A_ArrayExpr{}}}, "text")
	empty.GetTypeCast().GetTypeName().ArrayBounds = []*pg.Node{{Node: &pg.Node_Integer{Integer: &pg.Integer{Ival: -1}}}}
	return caseNode(operatorNode("=", text, textConst("")), empty, &pg.Node{Node: &pg.Node_FuncCall{FuncCall: c}}), nil
}

func caseNode(when, then, otherwise *pg.Node) *pg.Node {
	return &pg.Node{Node: &pg.Node_CaseExpr{CaseExpr: &pg.CaseExpr{
		Args:      []*pg.Node{{Node: &pg.Node_CaseWhen{CaseWhen: &pg.CaseWhen{Expr: when, Result: then}}}},
		Defresult: otherwise,
	}}}
}

// seriesOfTimes gives texts among the arguments the types that they have for PostgreSQL: a
// step that is a text is an interval, and then the bounds are times.
func seriesOfTimes(c *pg.FuncCall, as *style.Style) *Error {
	if len(c.GetArgs()) != 3 {
		return nil
	}
	if cast := c.GetArgs()[2].GetTypeCast(); cast != nil && typeOf(cast.GetTypeName()).name != "interval" {
		return nil
	}
	if _, isText := stringConst(c.GetArgs()[2]); !isText && c.GetArgs()[2].GetTypeCast() == nil {
		return nil
	}
	types := [3]columnar.Kind{columnar.Timestamp, columnar.Timestamp, columnar.Interval}
	for i, arg := range c.GetArgs() {
		text, ok := stringConst(arg)
		if !ok {
			continue
		}
		made, err := inputConst(text, duckDBType{typ: columnar.Type{Kind: types[i]}}, as)
		if err != nil {
			return err
		}
		c.Args[i] = made
	}
	return nil
}

// limitSeries makes a series end with an error where it would be too long. Both bounds are
// integers, and small.
func limitSeries(c *pg.FuncCall) {
	start, stop, step := c.GetArgs()[0], c.GetArgs()[1], intConst(1)
	if len(c.GetArgs()) == 3 {
		step = c.GetArgs()[2]
	}
	length := operatorNode("//", operatorNode("-", stop, start), step)
	tooLong := operatorNode(">=", length, intConst(maxSeries))
	c.Args[1] = caseNode(tooLong, callNode("error", textConst(errSeries().Message)), stop)
}

func encodeCall(c *pg.FuncCall) (*pg.Node, *Error) {
	switch format, _ := stringConst(c.GetArgs()[1]); strings.ToLower(format) {
	case "hex":
		return callNode("lower", callNode("hex", c.GetArgs()[0])), nil
	case "base64":
		return callNode("to_base64", c.GetArgs()[0]), nil
	}
	return nil, refuseFormat("encode", c.GetArgs()[1])
}

func decodeCall(c *pg.FuncCall) (*pg.Node, *Error) {
	switch format, _ := stringConst(c.GetArgs()[1]); strings.ToLower(format) {
	case "hex":
		return callNode("from_hex", c.GetArgs()[0]), nil
	case "base64":
		return callNode("from_base64", c.GetArgs()[0]), nil
	}
	return nil, refuseFormat("decode", c.GetArgs()[1])
}

// refuseFormat tells formats that PostgreSQL has from others.
func refuseFormat(function string, format *pg.Node) *Error {
	if name, ok := stringConst(format); ok && !strings.EqualFold(name, "escape") {
		return errorf(CodeInvalidParameter, "unrecognized encoding: %q", name)
	}
	return refuse(function + " with a format other than hex and base64")
}

// extractCall: seconds have their fraction in PostgreSQL.
func extractCall(c *pg.FuncCall) (*pg.Node, *Error) {
	made, err := datePart(c)
	if err != nil || made != nil {
		return made, err
	}
	// A numeric, as PostgreSQL's is.
	as := "bs_whole"
	if field, _ := stringConst(c.GetArgs()[0]); field == "epoch" {
		as = "bs_micros"
	}
	return callNode(as, &pg.Node{Node: &pg.Node_FuncCall{FuncCall: c}}), nil
}

// datePartCall is extract that gives a double, as it did before there was extract.
func datePartCall(c *pg.FuncCall) (*pg.Node, *Error) {
	made, err := datePart(c)
	if err != nil {
		return nil, err
	}
	if made == nil {
		made = &pg.Node{Node: &pg.Node_FuncCall{FuncCall: c}}
	}
	return castTo(made, "float8"), nil
}

// datePart finds the field; nil is that DuckDB's has the value.
func datePart(c *pg.FuncCall) (*pg.Node, *Error) {
	field, ok := stringConst(c.GetArgs()[0])
	if !ok {
		return nil, refuse("date_part with a field that is not a constant")
	}
	field = strings.ToLower(field)
	switch field {
	case "second", "seconds", "sec", "secs":
		micros := callNode("date_part", textConst("microsecond"), c.GetArgs()[1])
		return operatorNode("*", micros, floatConst("0.000001")), nil
	case "millisecond", "milliseconds", "msec", "msecs", "ms":
		micros := callNode("date_part", textConst("microsecond"), c.GetArgs()[1])
		return operatorNode("*", micros, floatConst("0.001")), nil
	case "century", "day", "days", "decade", "dow", "doy", "epoch", "hour", "hours", "isodow", "isoyear", "microsecond", "microseconds",
		"millennium", "minute", "minutes", "month", "months", "quarter", "timezone", "timezone_hour", "timezone_minute", "week", "year", "years":
		c.Args[0] = textConst(field)
		return nil, nil
	case "julian":
		return nil, refuse("julian")
	}
	return nil, errorf(CodeInvalidParameter, "unit %q not recognized", field)
}

// numericConst is the value of a number that is a constant.
func numericConst(n *pg.Node) (float64, bool) {
	if v, ok := n.GetAConst().GetVal().(*pg.A_Const_Fval); ok {
		value, err := strconv.ParseFloat(v.Fval.GetFval(), 64)
		return value, err == nil
	}
	if v, ok := n.GetAConst().GetVal().(*pg.A_Const_Ival); ok {
		return float64(v.Ival.GetIval()), true
	}
	return 0, false
}

func floatConst(number string) *pg.Node {
	return &pg.Node{Node: &pg.Node_AConst{AConst: &pg.A_Const{Val: &pg.A_Const_Fval{Fval: &pg.Float{Fval: number}}, Location: -1}}}
}

// arrayLengthCall: the length of an empty array is NULL in PostgreSQL.
func arrayLengthCall(c *pg.FuncCall) (*pg.Node, *Error) {
	if dimension, ok := intValue(c.GetArgs()[1]); !ok || dimension != 1 {
		return nil, refuse("a dimension of an array other than the first")
	}
	return &pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{
		Kind: pg.A_Expr_Kind_AEXPR_NULLIF, Name: strNodes("="), Lexpr: callNode("len", c.GetArgs()[0]), Rexpr: intConst(0),
	}}}, nil
}

// arrayLowerCall: the first element of every array that has any is 1.
func arrayLowerCall(c *pg.FuncCall) (*pg.Node, *Error) {
	length, err := arrayLengthCall(c)
	if err != nil {
		return nil, err
	}
	return callNode("least", length, intConst(1)), nil
}

// intValue is the value of an integer constant.
func intValue(n *pg.Node) (int64, bool) {
	switch v := n.GetAConst().GetVal().(type) {
	case *pg.A_Const_Ival:
		return int64(v.Ival.GetIval()), true
	case *pg.A_Const_Fval: // what doesn't fit 32 bits
		value, err := strconv.ParseInt(v.Fval.GetFval(), 10, 64)
		return value, err == nil
	}
	if cast := n.GetTypeCast(); cast != nil {
		return intValue(cast.GetArg())
	}
	return 0, false
}

// regexpCall: in PostgreSQL's regular expressions a dot is any character, also a line end. RE2 wants
// to be told so by a flag. Flags of the call, if it has any, are its argument at a place.
func regexpCall(place int) func(*pg.FuncCall) (*pg.Node, *Error) {
	return func(c *pg.FuncCall) (*pg.Node, *Error) {
		flags := "s"
		if len(c.GetArgs()) > place {
			given, ok := stringConst(c.GetArgs()[place])
			if !ok || strings.Trim(given, "gic") != "" {
				return nil, refuse("a regular expression with flags other than g, i and c")
			}
			flags += given
		}
		c.Args = append(c.Args[:place:place], textConst(flags))
		return nil, nil
	}
}

// regexpReplaceCall: the whole match is \& in PostgreSQL, \0 in RE2; another character after a
// backslash leaves the backslash in the text.
func regexpReplaceCall(c *pg.FuncCall) (*pg.Node, *Error) {
	if text, ok := stringConst(c.GetArgs()[2]); ok {
		var out strings.Builder
		for i := 0; i < len(text); i++ {
			if text[i] != '\\' {
				out.WriteByte(text[i])
				continue
			}
			i++
			switch {
			case i < len(text) && text[i] == '&':
				out.WriteString(`\0`)
			case i < len(text) && (text[i] == '\\' || '1' <= text[i] && text[i] <= '9'):
				out.WriteString(text[i-1 : i+1])
			default:
				out.WriteString(`\\`)
				i--
			}
		}
		c.Args[2] = textConst(out.String())
	}
	return regexpCall(3)(c)
}
