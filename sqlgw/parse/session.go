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
	if isDuckSetting(name) {
		return s.atStart(&Error{Code: CodeForbidden, Message: "permission denied to set parameter \"" + name + "\""})
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

func (s source) transaction(n *pg.TransactionStmt) (Statement, error) {
	if n.GetChain() {
		return nil, s.atStart(refuse("AND CHAIN"))
	}
	switch n.GetKind() {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START:
		modes, err := s.transactionModes(n.GetOptions())
		if err != nil {
			return nil, err
		}
		return &Begin{at: s.position(), Modes: modes}, nil
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		return &Commit{at: s.position()}, nil
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		return &Rollback{at: s.position()}, nil
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		return nil, s.atStart(refuse("SAVEPOINT"))
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		return nil, s.atStart(refuse("RELEASE SAVEPOINT"))
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		return nil, s.atStart(refuse("ROLLBACK TO SAVEPOINT"))
	default:
		return nil, s.atStart(refuse("PREPARE TRANSACTION"))
	}
}

func (s source) transactionModes(options []*pg.Node) (TransactionModes, error) {
	var modes TransactionModes
	for _, o := range options {
		def := o.GetDefElem()
		value := def.GetArg().GetAConst()
		switch def.GetDefname() {
		case "transaction_isolation":
			modes.Isolation = value.GetSval().GetSval()
		case "transaction_read_only":
			modes.ReadOnly = choiceOf(value)
		case "transaction_deferrable":
			modes.Deferrable = choiceOf(value)
		default:
			return modes, s.at(refuse("SET TRANSACTION "+strings.ToUpper(def.GetDefname())), def.GetLocation())
		}
	}
	return modes, nil
}

func choiceOf(value *pg.A_Const) Choice {
	if value.GetIval().GetIval() != 0 {
		return Yes
	}
	return No
}
