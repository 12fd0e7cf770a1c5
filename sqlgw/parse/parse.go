package parse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Parse tells what a statement is. What it may not be, or has that isn't acted on, is
// refused by its name. Functions, types and operators of queries are judged when
// the query is printed (Select.SQL), because a catalog may add to them.
//
// Errors are *Error, with the position in the text that the piece was cut from.
func Parse(p Piece) (Statement, error) {
	if p.Text == "" {
		return nil, errorf(CodeSyntax, "syntax error at end of input")
	}
	if p.words&oursOf != 0 {
		var err error
		if p, err = cutTravels(p); err != nil {
			return nil, err
		}
	}
	st, err := parsePiece(p)
	if err == nil && p.travels != nil {
		err = p.travels.admit(st)
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}

// parsePiece is Parse of a piece whose AS OF clauses are masked.
func parsePiece(p Piece) (Statement, error) {
	if p.words != 0 {
		if st, err := parseOurs(p); st != nil || err != nil {
			return st, err
		}
	}
	src := p.source()
	node, err := src.grammar(p.forGrammar())
	if err != nil {
		return nil, src.foreign(err)
	}
	return src.statement(node)
}

// grammar parses one statement. Masked is src's text with what isn't the grammar's
// overwritten.
func (s source) grammar(masked string) (*pg.Node, error) {
	result, err := pg.Parse(masked)
	if err != nil {
		return nil, s.grammarError(err, masked)
	}
	if len(result.GetStmts()) != 1 {
		return nil, s.atStart(errorf(CodeSyntax, "text of one statement holds %d", len(result.GetStmts())))
	}
	return result.GetStmts()[0].GetStmt(), nil
}

// asStatement keeps a nil pointer from becoming a Statement that isn't nil.
func asStatement[T Statement](st T, err error) (Statement, error) {
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (s source) position() at { return at{position: s.chars + 1} }

// statement converts the tree of a whole statement.
func (s source) statement(node *pg.Node) (Statement, error) {
	if st, err := s.viewStatement(node); st != nil || err != nil {
		return st, err
	}
	if st, err := s.materializedStatement(node); st != nil || err != nil {
		return st, err
	}
	if st, err := s.declaration(node); st != nil || err != nil {
		return st, err
	}
	if st, err := s.tempStatement(node); st != nil || err != nil {
		return st, err
	}
	switch n := node.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return asStatement(s.actingQuery(node))
	case *pg.Node_InsertStmt:
		return asStatement(s.insert(n.InsertStmt))
	case *pg.Node_CopyStmt:
		return s.copyStatement(n.CopyStmt)
	case *pg.Node_CreateStmt:
		return asStatement(s.createDeclared(n.CreateStmt))
	case *pg.Node_DropStmt:
		return s.drop(n.DropStmt)
	case *pg.Node_CreateSchemaStmt:
		return s.createSchema(n.CreateSchemaStmt)
	case *pg.Node_VariableShowStmt:
		return s.show(n.VariableShowStmt)
	case *pg.Node_VariableSetStmt:
		return s.set(n.VariableSetStmt)
	case *pg.Node_ConstraintsSetStmt:
		return asStatement(s.setConstraints(n.ConstraintsSetStmt))
	case *pg.Node_CreateRoleStmt, *pg.Node_AlterRoleStmt, *pg.Node_DropRoleStmt, *pg.Node_GrantRoleStmt, *pg.Node_GrantStmt:
		return s.roleStatement(node)
	case *pg.Node_TransactionStmt:
		return s.transaction(n.TransactionStmt)
	case *pg.Node_PrepareStmt, *pg.Node_ExecuteStmt, *pg.Node_DeallocateStmt, *pg.Node_DiscardStmt, *pg.Node_DeclareCursorStmt,
		*pg.Node_FetchStmt, *pg.Node_ClosePortalStmt, *pg.Node_ListenStmt, *pg.Node_UnlistenStmt, *pg.Node_NotifyStmt:
		return s.named(node)
	case *pg.Node_ExplainStmt:
		return asStatement(s.explain(n.ExplainStmt))
	case *pg.Node_LoadStmt, *pg.Node_DoStmt, *pg.Node_CallStmt, *pg.Node_AlterSystemStmt:
		return nil, s.atStart(forbid(commandName(s.text)))
	default:
		return nil, s.atStart(refuse(commandName(s.text)))
	}
}

// query makes a Select of a SELECT, VALUES or TABLE.
func (s source) query(node *pg.Node) (*Select, error) {
	if into := node.GetSelectStmt().GetIntoClause(); into != nil {
		return nil, s.at(refuse("SELECT INTO"), into.GetRel().GetLocation())
	}
	return newSelect(s, node)
}

// commandName names a statement by its first words, as PostgreSQL's command tags do:
// CREATE UNIQUE INDEX i ON t is CREATE INDEX.
func commandName(text string) string {
	lex := lexer{text: text}
	name := ""
	for {
		t := lex.next()
		word := strings.ToUpper(text[t.begin:t.end])
		switch {
		case t.kind != tokenWord:
			return name
		case name == "":
			name = word
			if !nameGoesOn(word) {
				return name
			}
		case isNameNoise(word):
		case isObjectWord(word):
			name += " " + word
			if isLastObjectWord(word) {
				return name
			}
		default:
			return name
		}
	}
}

// nameGoesOn tells whether a command's name has more words than its first.
func nameGoesOn(word string) bool {
	switch word {
	case "CREATE", "ALTER", "DROP", "REFRESH", "DECLARE", "SECURITY", "IMPORT", "REASSIGN", "VERIFY":
		return true
	}
	return false
}

// isNameNoise tells whether a word stands between those of a command's name.
func isNameNoise(word string) bool {
	switch word {
	case "OR", "REPLACE", "TEMP", "TEMPORARY", "LOCAL", "GLOBAL", "UNLOGGED", "UNIQUE", "RECURSIVE", "TRUSTED", "PROCEDURAL", "CONSTRAINT", "PERSISTENT":
		return true
	}
	return false
}

// isObjectWord tells whether a word belongs to what a command is about.
func isObjectWord(word string) bool {
	switch word {
	case "MATERIALIZED", "FOREIGN", "DATA", "EVENT", "TEXT", "SEARCH", "ACCESS", "USER", "OPERATOR", "DEFAULT", "LARGE", "SYSTEM":
		return true
	}
	return isLastObjectWord(word)
}

// isLastObjectWord tells whether a command's name ends with a word.
func isLastObjectWord(word string) bool {
	switch word {
	case "TABLE", "INDEX", "VIEW", "SCHEMA", "DATABASE", "SEQUENCE", "FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE",
		"TRIGGER", "TYPE", "DOMAIN", "EXTENSION", "ROLE", "GROUP", "POLICY", "RULE", "CAST", "COLLATION", "CONVERSION",
		"LANGUAGE", "SERVER", "MAPPING", "PUBLICATION", "SUBSCRIPTION", "STATISTICS", "TABLESPACE", "TRANSFORM", "METHOD",
		"WRAPPER", "CLASS", "FAMILY", "CONFIGURATION", "DICTIONARY", "PARSER", "TEMPLATE", "PRIVILEGES", "OBJECT", "OWNED",
		"CURSOR", "LABEL", "SECRET", "MACRO":
		return true
	}
	return false
}
