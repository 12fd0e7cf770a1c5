package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// OnCommit is what becomes of a temporary table at the end of a transaction.
type OnCommit uint8

// Nothing, its rows go, or it goes.
const (
	OnCommitPreserve OnCommit = iota
	OnCommitDelete
	OnCommitDrop
)

func onCommit(a pg.OnCommitAction) OnCommit {
	switch a {
	case pg.OnCommitAction_ONCOMMIT_DELETE_ROWS:
		return OnCommitDelete
	case pg.OnCommitAction_ONCOMMIT_DROP:
		return OnCommitDrop
	default:
		return OnCommitPreserve
	}
}

// TempSchema is what the schema of a session's temporary tables is called by itself.
const TempSchema = "pg_temp"

// isTemp tells whether a relation that is made is temporary.
func isTemp(r *pg.RangeVar) bool {
	return r.GetRelpersistence() == "t" || r.GetCatalogname() == "" && r.GetSchemaname() == TempSchema
}

// CreateTempAs makes a temporary table of a query's rows.
type CreateTempAs struct {
	at
	Table       Name
	Columns     []string // names of its first columns
	Query       *Select
	IfNotExists bool
	NoData      bool
	OnCommit    OnCommit
}

// Change is an UPDATE or DELETE. Its query has a row for each of the table, in their order: whether it is changed, then all
// columns of the table, then the new values of Columns, which are NULL in rows that aren't changed.
type Change struct {
	at
	Table   Name
	Delete  bool
	Columns []string // of UPDATE: those that get new values
	// Params are the numbers of parameters that are such values by themselves, 0 for other values.
	Params []int
	Query  *Select
}

// Command is the statement's name.
func (c *Change) Command() string {
	if c.Delete {
		return "DELETE"
	}
	return "UPDATE"
}

// Truncate removes all rows of tables.
type Truncate struct {
	at
	Tables []Name
}

// tempStatement converts the statements of this file; nil, nil is none of them.
func (s source) tempStatement(node *pg.Node) (Statement, error) {
	switch n := node.GetNode().(type) {
	case *pg.Node_CreateTableAsStmt:
		return asStatement(s.createTempAs(n.CreateTableAsStmt))
	case *pg.Node_SelectStmt:
		if isTemp(n.SelectStmt.GetIntoClause().GetRel()) {
			return asStatement(s.createTempAs(selectInto(n.SelectStmt)))
		}
	case *pg.Node_UpdateStmt:
		return asStatement(s.update(n.UpdateStmt))
	case *pg.Node_DeleteStmt:
		return asStatement(s.deleteRows(n.DeleteStmt))
	case *pg.Node_TruncateStmt:
		return s.truncate(n.TruncateStmt), nil
	}
	return nil, nil
}

// selectInto is SELECT ... INTO TEMPORARY as CREATE TEMPORARY TABLE AS.
func selectInto(n *pg.SelectStmt) *pg.CreateTableAsStmt {
	query := proto.CloneOf(n)
	query.IntoClause = nil
	return &pg.CreateTableAsStmt{
		Query: &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: query}}, Into: n.GetIntoClause(), Objtype: pg.ObjectType_OBJECT_TABLE,
	}
}

func (s source) createTempAs(n *pg.CreateTableAsStmt) (*CreateTempAs, error) {
	into := n.GetInto()
	r := into.GetRel()
	switch {
	case n.GetIsSelectInto() || n.GetObjtype() != pg.ObjectType_OBJECT_TABLE || !isTemp(r):
		return nil, s.atStart(refuse(commandName(s.text) + " AS"))
	case len(into.GetOptions()) > 0:
		return nil, s.at(refuse("WITH of a temporary table"), r.GetLocation())
	case into.GetTableSpaceName() != "":
		return nil, s.at(refuse("TABLESPACE"), r.GetLocation())
	case into.GetAccessMethod() != "":
		return nil, s.at(refuse("USING"), r.GetLocation())
	case n.GetQuery().GetSelectStmt() == nil:
		return nil, s.atStart(refuse("CREATE TABLE AS EXECUTE"))
	}
	if err := checkLists(list{into.GetColNames(), isName}); err != nil {
		return nil, err
	}
	st := &CreateTempAs{
		at: s.position(), Table: s.name(r), Columns: strsOf(into.GetColNames()), IfNotExists: n.GetIfNotExists(),
		NoData: into.GetSkipData(), OnCommit: onCommit(into.GetOnCommit()),
	}
	var err error
	st.Query, err = s.query(n.GetQuery())
	return st, err
}

// update converts UPDATE to the query of what it changes.
func (s source) update(n *pg.UpdateStmt) (*Change, error) {
	st := &Change{at: s.position(), Table: s.name(n.GetRelation())}
	if len(n.GetFromClause()) > 0 {
		return nil, s.atStart(refuse("UPDATE ... FROM")).hinted("Use a subquery in SET and WHERE.")
	}
	var values []*pg.Node
	for _, node := range n.GetTargetList() {
		t := node.GetResTarget()
		switch {
		case t == nil || len(t.GetIndirection()) > 0:
			return nil, s.atStart(refuse("SET of a part of a column"))
		case t.GetVal().GetMultiAssignRef() != nil:
			return nil, s.at(refuse("SET of several columns at once"), t.GetLocation())
		case t.GetVal().GetSetToDefault() != nil:
			return nil, s.at(refuse("SET ... = DEFAULT"), t.GetLocation())
		}
		for _, c := range st.Columns {
			if c == t.GetName() {
				return nil, s.at(errorf(CodeSyntax, "multiple assignments to same column %q", c), t.GetLocation())
			}
		}
		st.Columns = append(st.Columns, t.GetName())
		st.Params = append(st.Params, int(t.GetVal().GetParamRef().GetNumber()))
		values = append(values, t.GetVal())
	}
	var err error
	st.Query, err = s.changed(changedRows{n.GetRelation(), n.GetWhereClause(), values, n.GetWithClause(), n.GetReturningList()}, "UPDATE")
	return st, err
}

// deleteRows converts DELETE to the query of what it changes.
func (s source) deleteRows(n *pg.DeleteStmt) (*Change, error) {
	st := &Change{at: s.position(), Table: s.name(n.GetRelation()), Delete: true}
	if len(n.GetUsingClause()) > 0 {
		return nil, s.atStart(refuse("DELETE ... USING")).hinted("Use a subquery in WHERE.")
	}
	var err error
	st.Query, err = s.changed(changedRows{n.GetRelation(), n.GetWhereClause(), nil, n.GetWithClause(), n.GetReturningList()}, "DELETE")
	return st, err
}

// changedRows are those of a relation, with the values that they get where a condition holds.
type changedRows struct {
	relation  *pg.RangeVar
	where     *pg.Node
	values    []*pg.Node
	with      *pg.WithClause
	returning []*pg.Node
}

// changed makes the query of a Change, which asks each row once:
//
//	SELECT t.*, CASE WHEN t.changed THEN value END, ... FROM (SELECT (where) IS TRUE AS changed, t.* FROM t) t
func (s source) changed(c changedRows, command string) (*Select, error) {
	switch {
	case c.with != nil:
		return nil, s.atStart(refuse("WITH before " + command))
	case len(c.returning) > 0:
		return nil, s.atStart(refuse(command + " ... RETURNING"))
	case c.where.GetCurrentOfExpr() != nil:
		return nil, s.atStart(refuse("WHERE CURRENT OF"))
	}
	where := c.where
	if where == nil {
		where = boolConst(true)
	}
	alias := c.relation.GetRelname()
	if a := c.relation.GetAlias(); a != nil {
		alias = a.GetAliasname()
	}
	holds := &pg.Node{Node: &pg.Node_BooleanTest{BooleanTest: &pg.BooleanTest{Arg: where, Booltesttype: pg.BoolTestType_IS_TRUE, Location: -1}}}
	rows := queryOf(target(holds, changedColumn), target(starRef(alias), ""))
	rows.FromClause = []*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: c.relation}}}
	q := queryOf(target(starRef(alias), ""))
	for _, v := range c.values {
		q.TargetList = append(q.TargetList, target(caseNode(columnRef(alias, changedColumn), v, nullConst()), ""))
	}
	q.FromClause = []*pg.Node{subselect(selectNode(rows), alias, nil)}
	return newSelect(s, selectNode(q))
}

// changedColumn tells in a query whether a row is changed.
const changedColumn = "?changed?"

func (s source) truncate(n *pg.TruncateStmt) *Truncate {
	st := &Truncate{at: s.position()}
	for _, node := range n.GetRelations() {
		st.Tables = append(st.Tables, s.name(node.GetRangeVar()))
	}
	return st
}
