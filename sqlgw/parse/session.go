package parse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func (s source) show(n *pg.VariableShowStmt) (Statement, error) {
	if err := s.checkSetting(n.GetName()); err != nil {
		return nil, err
	}
	return &Show{at: s.position(), Name: n.GetName()}, nil
}

// checkSetting refuses the names of DuckDB's settings: none is reached by SET, and a client that
// tries learns that it is closed, not that it is unknown.
func (s source) checkSetting(name string) error {
	if err := ForbiddenSetting(name); err != nil {
		return s.atStart(err)
	}
	return nil
}

// ForbiddenSetting is the error for a name of DuckDB's settings; nil for others.
func ForbiddenSetting(name string) *Error {
	if isDuckSetting(name) {
		return &Error{Code: CodeForbidden, Message: "permission denied to set parameter \"" + name + "\""}
	}
	return nil
}

func (s source) set(n *pg.VariableSetStmt) (Statement, error) {
	if err := s.checkSetting(n.GetName()); err != nil {
		return nil, err
	}
	switch n.GetKind() {
	case pg.VariableSetKind_VAR_SET_VALUE:
		st := &Set{at: s.position(), Name: n.GetName(), Local: n.GetIsLocal()}
		for _, arg := range n.GetArgs() {
			value, err := s.setValue(arg)
			if err != nil {
				return nil, err
			}
			st.Values = append(st.Values, value)
		}
		return st, nil
	case pg.VariableSetKind_VAR_SET_DEFAULT:
		return &Set{at: s.position(), Name: n.GetName(), Local: n.GetIsLocal()}, nil
	case pg.VariableSetKind_VAR_RESET:
		return &Reset{at: s.position(), Name: n.GetName()}, nil
	case pg.VariableSetKind_VAR_RESET_ALL:
		return &Reset{at: s.position()}, nil
	case pg.VariableSetKind_VAR_SET_MULTI:
		return s.setMulti(n)
	default:
		return nil, s.atStart(refuse("SET ... FROM CURRENT"))
	}
}

// setValue is one value of SET as text. The grammar allows constants, and an interval for
// the time zone.
func (s source) setValue(arg *pg.Node) (string, error) {
	if text, ok := constantText(arg.GetAConst()); ok {
		return text, nil
	}
	cast := arg.GetTypeCast()
	if text, ok := constantText(cast.GetArg().GetAConst()); ok && typeOf(cast.GetTypeName()).name == "interval" {
		return "INTERVAL '" + strings.ReplaceAll(text, "'", "''") + "'", nil
	}
	return "", s.atStart(refuse("SET to an expression"))
}

// constantText is the value of a constant as it is written, without quotes.
func constantText(c *pg.A_Const) (string, bool) {
	switch v := c.GetVal().(type) {
	case *pg.A_Const_Ival:
		return itoa(v.Ival.GetIval()), true
	case *pg.A_Const_Fval:
		return v.Fval.GetFval(), true
	case *pg.A_Const_Sval:
		return v.Sval.GetSval(), true
	case *pg.A_Const_Boolval:
		if v.Boolval.GetBoolval() {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

func (s source) setMulti(n *pg.VariableSetStmt) (Statement, error) {
	st := &SetTransaction{at: s.position()}
	switch n.GetName() {
	case "TRANSACTION":
	case "SESSION CHARACTERISTICS":
		st.Session = true
	default:
		return nil, s.atStart(refuse("SET " + n.GetName()))
	}
	var err error
	st.Modes, err = s.transactionModes(n.GetArgs())
	if err != nil {
		return nil, err
	}
	return st, nil
}
