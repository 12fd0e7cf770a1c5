package parse

import (
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// RaisedMessage is what DuckDB's error() is given for a failure that PostgreSQL has a SQLSTATE
// for: sqlgw/duck takes it apart.
func RaisedMessage(code, message string) string { return "SQLSTATE " + code + ": " + message }

// raiseIf is x, or an error if a condition on it holds. The condition and x share no node.
func raiseIf(when *pg.Node, e *Error, x *pg.Node) *pg.Node {
	return caseNode(when, callNode("error", textConst(RaisedMessage(e.Code, e.Message))), x)
}

// divisor is x, or an error where it is zero, for which DuckDB's result is NULL. A
// parameter whose type isn't known yet stays, so that DuckDB can tell it.
func divisor(x *pg.Node) *pg.Node {
	value, constant := numericConst(x)
	switch {
	case x.GetParamRef() != nil, x.GetAConst().GetIsnull(), constant && value != 0:
		return x
	case isSmall(x):
		return raiseIf(operatorNode("=", cloneNode(x), intConst(0)), errorf(codeDivisionByZero, "division by zero"), x)
	}
	return callNode("bs_divisor", x)
}

// codeDivisionByZero is division_by_zero.
const codeDivisionByZero = "22012"

// chrCall: no text has the character of number 0.
func chrCall(c *pg.FuncCall) (*pg.Node, *Error) {
	x, refused := c.GetArgs()[0], errorf(CodeLimit, "null character not permitted")
	value, constant := numericConst(x)
	switch {
	case constant && value == 0:
		return nil, refused
	case constant && value < 0:
		return nil, errorf(CodeInvalidParameter, "character number must be positive")
	case constant && value > utf8.MaxRune:
		return nil, errorf(CodeLimit, "requested character too large for encoding: %.0f", value)
	case constant, x.GetParamRef() != nil, !isSmall(x): // a zero in a result is an error of its own
		return nil, nil
	}
	c.Args[0] = raiseIf(operatorNode("=", cloneNode(x), intConst(0)), refused, x)
	return nil, nil
}
