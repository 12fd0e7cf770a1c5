package parse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// TransactionModes are what BEGIN and SET TRANSACTION may ask for.
type TransactionModes struct {
	Isolation  string // "", "read committed", "repeatable read", ...
	ReadOnly   Choice
	Deferrable Choice
}

// Choice is whether something was asked for.
type Choice uint8

// The choices.
const (
	Unset Choice = iota
	Yes
	No
)

// SetTransaction sets modes of this transaction, or with Session of the next ones.
type SetTransaction struct {
	at
	Session bool
	Modes   TransactionModes
}

// Begin opens a transaction block (BEGIN, START TRANSACTION).
type Begin struct {
	at
	Start bool // it was written START TRANSACTION
	Modes TransactionModes
}

// Commit ends a transaction block (COMMIT, END). With Chain another one begins.
type Commit struct {
	at
	Chain bool
}

// Rollback ends a transaction block (ROLLBACK, ABORT). With Chain another one begins.
type Rollback struct {
	at
	Chain bool
}

// Savepoint marks a point of a transaction block.
type Savepoint struct {
	at
	Name string
}

// Release forgets a savepoint and those after it.
type Release struct {
	at
	Name string
}

// RollbackTo goes back to a savepoint.
type RollbackTo struct {
	at
	Name string
}

func (s source) transaction(n *pg.TransactionStmt) (Statement, error) {
	switch n.GetKind() {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START:
		modes, err := s.transactionModes(n.GetOptions())
		if err != nil {
			return nil, err
		}
		return &Begin{at: s.position(), Start: n.GetKind() == pg.TransactionStmtKind_TRANS_STMT_START, Modes: modes}, nil
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		return &Commit{at: s.position(), Chain: n.GetChain()}, nil
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		return &Rollback{at: s.position(), Chain: n.GetChain()}, nil
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		return &Savepoint{at: s.position(), Name: n.GetSavepointName()}, nil
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		return &Release{at: s.position(), Name: n.GetSavepointName()}, nil
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		return &RollbackTo{at: s.position(), Name: n.GetSavepointName()}, nil
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

// SetConstraints is SET CONSTRAINTS ALL: none is checked, now or later.
type SetConstraints struct{ at }

func (s source) setConstraints(n *pg.ConstraintsSetStmt) (*SetConstraints, error) {
	if len(n.GetConstraints()) > 0 {
		return nil, s.atStart(refuse("SET CONSTRAINTS of names"))
	}
	return &SetConstraints{at: s.position()}, nil
}
