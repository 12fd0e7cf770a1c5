package parse

import (
	"slices"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func (s source) insert(n *pg.InsertStmt) (*Insert, error) {
	if err := s.checkInsert(n); err != nil {
		return nil, err
	}
	st := &Insert{at: s.position(), Table: s.name(n.GetRelation())}
	for _, col := range n.GetCols() {
		t := col.GetResTarget()
		if len(t.GetIndirection()) > 0 {
			return nil, s.at(refuseAll("subfields and array elements in the column list of INSERT"), t.GetLocation())
		}
		if slices.Contains(st.Columns, t.GetName()) {
			return nil, s.at(errorf(CodeDuplicateColumn, "column %q specified more than once", t.GetName()), t.GetLocation())
		}
		st.Columns = append(st.Columns, t.GetName())
	}
	query := n.GetSelectStmt()
	if with := n.GetWithClause(); with != nil {
		query = wrapWith(with, query)
	}
	st.Defaults = defaultsToNull(query.GetSelectStmt())
	source, err := s.query(query)
	if err != nil {
		return nil, err
	}
	st.Source = source
	st.Returning, err = s.returning(n)
	return st, err
}

// checkInsert refuses the clauses of INSERT that aren't acted on.
func (s source) checkInsert(n *pg.InsertStmt) error {
	switch {
	case n.GetOnConflictClause() != nil:
		return s.at(refuse("ON CONFLICT"), n.GetOnConflictClause().GetLocation())
	case n.GetOverride() > pg.OverridingKind_OVERRIDING_NOT_SET:
		return s.atStart(refuse("OVERRIDING"))
	case n.GetSelectStmt() == nil:
		return s.atStart(refuse("DEFAULT VALUES"))
	}
	return nil
}

// wrapWith puts WITH before INSERT, whose queries only the source can name, around
// the source: SELECT * FROM (source).
func wrapWith(with *pg.WithClause, query *pg.Node) *pg.Node {
	outer := queryOf(target(starRef(), ""))
	outer.FromClause, outer.WithClause = []*pg.Node{subselect(query, "source", nil)}, with
	return selectNode(outer)
}

// defaultsToNull replaces DEFAULT in the rows of VALUES, and tells where it was. Elsewhere it is refused.
func defaultsToNull(query *pg.SelectStmt) map[[2]int]bool {
	var places map[[2]int]bool
	for row, list := range query.GetValuesLists() {
		for column, value := range list.GetList().GetItems() {
			if d := value.GetSetToDefault(); d != nil {
				if places == nil {
					places = map[[2]int]bool{}
				}
				places[[2]int{row, column}] = true
				value.Node = &pg.Node_AConst{AConst: &pg.A_Const{Isnull: true, Location: d.GetLocation()}}
			}
		}
	}
	return places
}

// Literal is a value of VALUES that needs no evaluation.
type Literal struct {
	Kind LiteralKind
	// Text is the value without quotes: of a Number as it was written, of a String its
	// characters, of a Bool true or false; of an Expression that is the session's user CurrentUser, else
	// empty.
	Text     string
	Param    int // of a Param, from 1
	Position int
}

// CurrentUser is the text of a call's argument that is the session's user.
const CurrentUser = "current_user"

// LiteralKind is what a literal was written as.
type LiteralKind uint8

// The kinds. A String takes the type of the column that it is for, as in PostgreSQL.
const (
	Null LiteralKind = iota
	String
	Number
	Bool
	Param
	Expression // anything else; Literals has none
)

// Literals returns the rows of a query that is VALUES and nothing else, if each of its
// values is a constant without a cast, or a parameter: INSERT can then give each to its
// column's input function, as PostgreSQL does, and needs no engine.
func (q *Select) Literals() ([][]Literal, bool) {
	st := q.tree.GetSelectStmt()
	if len(st.GetValuesLists()) == 0 || st.GetWithClause() != nil || len(st.GetSortClause()) > 0 ||
		st.GetLimitCount() != nil || st.GetLimitOffset() != nil {
		return nil, false
	}
	rows := make([][]Literal, 0, len(st.GetValuesLists()))
	positions := positionCounter{source: q.src}
	for _, list := range st.GetValuesLists() {
		items := list.GetList().GetItems()
		row := make([]Literal, len(items))
		for i, item := range items {
			ok := false
			if row[i], ok = literal(item, &positions); !ok {
				return nil, false
			}
		}
		rows = append(rows, row)
	}
	return rows, true
}

func literal(node *pg.Node, positions *positionCounter) (Literal, bool) {
	if p := node.GetParamRef(); p != nil {
		return Literal{Kind: Param, Param: int(p.GetNumber()), Position: positions.at(p.GetLocation())}, true
	}
	c := node.GetAConst()
	l := Literal{Position: positions.at(c.GetLocation())}
	switch c.GetVal().(type) {
	case *pg.A_Const_Sval:
		l.Kind = String
	case *pg.A_Const_Ival, *pg.A_Const_Fval:
		l.Kind = Number
	case *pg.A_Const_Boolval:
		l.Kind = Bool
	default:
		return l, c.GetIsnull()
	}
	l.Text, _ = constantText(c)
	return l, true
}

// positionCounter is source.at for many ascending locations, in one pass.
type positionCounter struct {
	source
	chars, counted int
}

func (p *positionCounter) at(location int32) int {
	offset := int(location)
	if offset < p.counted || offset > len(p.text) {
		return p.source.at(&Error{}, location).Position
	}
	p.chars += utf8.RuneCountInString(p.text[p.counted:offset])
	p.counted = offset
	return p.source.chars + p.chars + 1
}
