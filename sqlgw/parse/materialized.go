package parse

import (
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// CreateMaterializedView keeps the rows of a query under a name.
type CreateMaterializedView struct {
	at
	View        Name
	Columns     []string // names of its first columns, where they aren't the query's own
	Query       *Select
	IfNotExists bool
	// Standbys are the processes that follow the one which has the rows.
	Standbys int
}

// AlterMaterializedView changes a materialized view: exactly one of Rename, Schema, Owner and Skip is set.
type AlterMaterializedView struct {
	at
	View           Name
	IfExists       bool
	Rename, Schema string
	Owner          *RoleName
	Skip           *SkippedRow
}

// SkippedRow is the place of a row of the table that a materialized view is to do without.
type SkippedRow struct {
	Journal string
	Offset  int64
}

// DropMaterializedViews removes materialized views, and with Cascade those that read them.
type DropMaterializedViews struct {
	at
	Views    []Name
	IfExists bool
	Cascade  bool
}

// RefreshMaterializedView asks for rows that are up to date.
type RefreshMaterializedView struct {
	at
	View Name
}

// VerifyMaterializedView compares the rows of a materialized view with those of its query.
type VerifyMaterializedView struct {
	at
	View Name
}

// The standbys of a materialized view that doesn't say, and the most.
const (
	defaultStandbys = 1
	maxStandbys     = 3
)

// materializedStatement converts statements about materialized views; nil, nil is none of them.
func (s source) materializedStatement(node *pg.Node) (Statement, error) {
	const matview = pg.ObjectType_OBJECT_MATVIEW
	switch n := node.GetNode().(type) {
	case *pg.Node_CreateTableAsStmt:
		if n.CreateTableAsStmt.GetObjtype() == matview {
			return asStatement(s.createMaterialized(n.CreateTableAsStmt))
		}
	case *pg.Node_DropStmt:
		if n.DropStmt.GetRemoveType() == matview {
			d, err := s.dropView(n.DropStmt)
			if err != nil {
				return nil, err
			}
			return &DropMaterializedViews{at: d.at, Views: d.Views, IfExists: d.IfExists, Cascade: d.Cascade}, nil
		}
	case *pg.Node_RefreshMatViewStmt:
		r := n.RefreshMatViewStmt
		if r.GetRelation() == nil {
			return nil, nil
		}
		if r.GetSkipData() {
			return nil, s.atStart(refuse("WITH NO DATA of a materialized view"))
		}
		return &RefreshMaterializedView{at: s.position(), View: s.name(r.GetRelation())}, nil
	case *pg.Node_AlterTableStmt:
		if n.AlterTableStmt.GetObjtype() == matview {
			return asStatement(s.alterMaterialized(n.AlterTableStmt))
		}
	case *pg.Node_RenameStmt:
		r := n.RenameStmt
		if r.GetRenameType() == matview {
			return &AlterMaterializedView{at: s.position(), View: s.name(r.GetRelation()), IfExists: r.GetMissingOk(), Rename: r.GetNewname()}, nil
		}
		if r.GetRelationType() == matview {
			return nil, s.atStart(refuse("RENAME COLUMN of a materialized view")).hinted("DROP MATERIALIZED VIEW and CREATE MATERIALIZED VIEW make one with other names.")
		}
	case *pg.Node_AlterObjectSchemaStmt:
		a := n.AlterObjectSchemaStmt
		if a.GetObjectType() == matview {
			return &AlterMaterializedView{at: s.position(), View: s.name(a.GetRelation()), IfExists: a.GetMissingOk(), Schema: a.GetNewschema()}, nil
		}
	}
	return nil, nil
}

func (s source) createMaterialized(n *pg.CreateTableAsStmt) (*CreateMaterializedView, error) {
	into := n.GetInto()
	r := into.GetRel()
	switch {
	case r.GetRelpersistence() == "u":
		return nil, s.at(errorf(CodeNotSupported, "materialized views cannot be unlogged"), r.GetLocation())
	case into.GetSkipData():
		return nil, s.atStart(refuse("WITH NO DATA of a materialized view")).hinted("It is filled while it is read already.")
	case into.GetTableSpaceName() != "":
		return nil, s.at(refuse("TABLESPACE"), r.GetLocation())
	case into.GetAccessMethod() != "":
		return nil, s.at(refuse("USING"), r.GetLocation())
	case n.GetQuery().GetSelectStmt() == nil:
		return nil, s.atStart(refuse("CREATE MATERIALIZED VIEW AS EXECUTE"))
	}
	if err := checkLists(list{into.GetColNames(), isName}); err != nil {
		return nil, err
	}
	st := &CreateMaterializedView{at: s.position(), View: s.name(r), Columns: strsOf(into.GetColNames()), IfNotExists: n.GetIfNotExists()}
	var err error
	if st.Query, err = s.query(n.GetQuery()); err != nil {
		return nil, err
	}
	if len(st.Query.params) > 0 {
		return nil, errorf(CodeNotSupported, "materialized views may not be defined using bound parameters").at(st.Query.params[0].Position)
	}
	st.Standbys, err = s.standbys(into.GetOptions())
	return st, err
}

// at is the error at a position.
func (e *Error) at(position int) *Error { e.Position = position; return e }

// standbys reads the options of a materialized view, of which there is one.
func (s source) standbys(nodes []*pg.Node) (int, error) {
	options, err := s.options(nodes)
	if err != nil {
		return 0, err
	}
	out := defaultStandbys
	for _, o := range options {
		if o.Name != "standbys" {
			return 0, refuse("option " + strconv.Quote(o.Name) + " of a materialized view").at(o.Position)
		}
		n, err := strconv.Atoi(o.Value)
		if err != nil || n < 0 || n > maxStandbys {
			e := errorf(CodeInvalidParameter, "invalid value for option \"standbys\": %q", o.Value).at(o.Position)
			return 0, e.hinted("It is a number from 0 to " + strconv.Itoa(maxStandbys) + ".")
		}
		out = n
	}
	return out, nil
}

func (s source) alterMaterialized(n *pg.AlterTableStmt) (*AlterMaterializedView, error) {
	st := &AlterMaterializedView{at: s.position(), View: s.name(n.GetRelation()), IfExists: n.GetMissingOk()}
	if len(n.GetCmds()) != 1 {
		return nil, s.atStart(refuse("ALTER MATERIALIZED VIEW of several things at once"))
	}
	c := n.GetCmds()[0].GetAlterTableCmd()
	if c.GetSubtype() != pg.AlterTableType_AT_ChangeOwner {
		return nil, s.atStart(refuse("ALTER MATERIALIZED VIEW other than RENAME, OWNER, SET SCHEMA and SKIP"))
	}
	owner := s.roleName(c.GetNewowner())
	st.Owner = &owner
	return st, nil
}

// skipRow parses ALTER MATERIALIZED VIEW [IF EXISTS] name SKIP (journal = '...', offset = n), where PostgreSQL has ALTER SUBSCRIPTION ...
// SKIP (lsn = ...). Nil, nil is another statement.
func (o *ourParser) skipRow() (Statement, error) {
	skip := 3
	for skip < len(o.tokens) && (o.word(skip) != "skip" || o.symbol(skip+1) != "(") {
		skip++
	}
	if o.word(1) != "materialized" || o.word(2) != "view" || skip == len(o.tokens) {
		return nil, nil
	}
	st := &AlterMaterializedView{at: at{position: o.chars + 1}}
	o.pos = 3
	if o.word(3) == "if" && o.word(4) == "exists" && o.symbol(4) != "." && skip > 5 {
		st.IfExists, o.pos = true, 5
	}
	named := &Subscribe{at: st.at}
	if err := o.subscribeTable(named, 0, skip); err != nil {
		return nil, err
	}
	st.View = *named.Table
	var err error
	st.Skip, err = o.skippedRow(skip + 1)
	return st, err
}

// skippedRow parses what is in the brackets that open at a token, behind which is nothing.
func (o *ourParser) skippedRow(open int) (*SkippedRow, error) {
	row := &SkippedRow{Offset: -1}
	for i := open; ; i += 4 { // ( or , and name = value
		value := i + 3
		if o.symbol(i+2) != "=" {
			return nil, o.syntaxError(i + 2)
		}
		var err error
		switch o.word(i + 1) {
		case "journal":
			row.Journal, err = o.stringValue(value)
		case "offset":
			if row.Offset, err = strconv.ParseInt(o.raw(value), 10, 64); err != nil {
				err = o.atToken(errorf(CodeInvalidParameter, "invalid value for parameter \"offset\": %q", o.raw(value)), value)
			}
		default:
			err = o.atToken(errorf(CodeInvalidParameter, "unrecognized parameter %q", o.raw(i+1)), i+1)
		}
		if err != nil {
			return nil, err
		}
		switch end := value + 1; {
		case o.symbol(end) == ",":
		case o.symbol(end) != ")" || end+1 != len(o.tokens):
			return nil, o.syntaxError(end)
		case row.Journal == "" || row.Offset < 0:
			return nil, o.atToken(errorf(CodeInvalidParameter, "both journal and offset are needed"), open)
		default:
			return row, nil
		}
	}
}

// verify parses VERIFY MATERIALIZED VIEW and a name of up to three parts.
func (o *ourParser) verify() (*VerifyMaterializedView, error) {
	if o.word(2) != "view" {
		return nil, o.syntaxError(2)
	}
	end := len(o.tokens)
	o.pos = 3
	last := o.pos
	for o.symbol(last+1) == "." && last+2 < end {
		last += 2
	}
	if last+1 < end {
		if w := o.word(last + 1); w == "as" || w == "sample" {
			return nil, o.atToken(refuse("VERIFY MATERIALIZED VIEW with more than a name"), last+1)
		}
		return nil, o.syntaxError(last + 1)
	}
	s := &Subscribe{at: at{position: o.chars + 1}}
	if err := o.subscribeTable(s, 0, end); err != nil {
		return nil, err
	}
	return &VerifyMaterializedView{at: s.at, View: *s.Table}, nil
}
