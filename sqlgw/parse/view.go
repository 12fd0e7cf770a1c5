package parse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// CreateView keeps a query under a name.
type CreateView struct {
	at
	View    Name
	Columns []string // names of its first columns, where they aren't the query's own
	Query   *Select
	Replace bool
	// SecurityInvoker: what the query reads is read with the rights of who asks.
	SecurityInvoker bool
}

// AlterView changes a view: exactly one of Rename, Schema, Owner and SecurityInvoker is set.
type AlterView struct {
	at
	View            Name
	IfExists        bool
	Rename, Schema  string
	Owner           *RoleName
	SecurityInvoker *bool
}

// DropView removes views, and with Cascade those that read them.
type DropView struct {
	at
	Views    []Name
	IfExists bool
	Cascade  bool
}

// viewStatement converts statements about views; nil, nil is none of them.
func (s source) viewStatement(node *pg.Node) (Statement, error) {
	switch n := node.GetNode().(type) {
	case *pg.Node_ViewStmt:
		return asStatement(s.createView(n.ViewStmt))
	case *pg.Node_DropStmt:
		if n.DropStmt.GetRemoveType() == pg.ObjectType_OBJECT_VIEW {
			return asStatement(s.dropView(n.DropStmt))
		}
	case *pg.Node_AlterTableStmt:
		if n.AlterTableStmt.GetObjtype() == pg.ObjectType_OBJECT_VIEW {
			return asStatement(s.alterView(n.AlterTableStmt))
		}
	case *pg.Node_RenameStmt:
		r := n.RenameStmt
		if r.GetRenameType() == pg.ObjectType_OBJECT_VIEW {
			return &AlterView{at: s.position(), View: s.name(r.GetRelation()), IfExists: r.GetMissingOk(), Rename: r.GetNewname()}, nil
		}
		if r.GetRelationType() == pg.ObjectType_OBJECT_VIEW {
			return nil, s.atStart(refuse("RENAME COLUMN of a view")).hinted("DROP VIEW and CREATE VIEW make one with other names.")
		}
	case *pg.Node_AlterObjectSchemaStmt:
		a := n.AlterObjectSchemaStmt
		if a.GetObjectType() == pg.ObjectType_OBJECT_VIEW {
			return &AlterView{at: s.position(), View: s.name(a.GetRelation()), IfExists: a.GetMissingOk(), Schema: a.GetNewschema()}, nil
		}
	}
	return nil, nil
}

func (s source) createView(n *pg.ViewStmt) (*CreateView, error) {
	r := n.GetView()
	switch {
	case r.GetRelpersistence() == "t":
		return nil, s.at(refuseAll("temporary views"), r.GetLocation())
	case r.GetRelpersistence() == "u":
		return nil, s.at(errorf(CodeSyntax, "views cannot be unlogged because they do not have storage"), r.GetLocation())
	case n.GetWithCheckOption() > pg.ViewCheckOption_NO_CHECK_OPTION:
		return nil, s.atStart(errorf(CodeNotSupported, "WITH CHECK OPTION is supported only on automatically updatable views")).
			hinted("No view is: insert into the tables.")
	case n.GetQuery().GetSelectStmt() == nil:
		return nil, s.atStart(errorf(CodeNotSupported, "views must not contain data-modifying statements in WITH"))
	}
	if err := checkLists(list{n.GetAliases(), isName}); err != nil {
		return nil, err
	}
	st := &CreateView{at: s.position(), View: s.name(r), Columns: strsOf(n.GetAliases()), Replace: n.GetReplace()}
	var err error
	if st.Query, err = s.query(n.GetQuery()); err != nil {
		return nil, err
	}
	if len(st.Query.params) > 0 {
		return nil, &Error{Code: CodeUndefinedParam, Message: "there is no parameter $" + itoa(int32(st.Query.params[0].Number)), Position: st.Query.params[0].Position}
	}
	invoker, err := s.viewOptions(n.GetOptions())
	st.SecurityInvoker = invoker != nil && *invoker
	return st, err
}

// viewOptions reads the options of a view: security_invoker is what there is. What asks for nothing is taken.
func (s source) viewOptions(nodes []*pg.Node) (*bool, error) {
	options, err := s.options(nodes)
	if err != nil {
		return nil, err
	}
	var invoker *bool
	for _, o := range options {
		located := func(e *Error) error { e.Position = o.Position; return e }
		if o.Name == "check_option" {
			return nil, located(errorf(CodeNotSupported, "WITH CHECK OPTION is supported only on automatically updatable views"))
		}
		if o.Name != "security_invoker" && o.Name != "security_barrier" {
			return nil, located(errorf(CodeInvalidParameter, "unrecognized parameter %q", o.Name))
		}
		on, ok := boolOption(o.Value)
		switch {
		case !ok:
			return nil, located(errorf(CodeInvalidParameter, "invalid value for boolean option %q: %s", o.Name, o.Value))
		case o.Name == "security_invoker":
			invoker = &on
		case on:
			return nil, located(refuse("option \"security_barrier\""))
		}
	}
	return invoker, nil
}

// boolOption is the value of an option that is on or off.
func boolOption(text string) (bool, bool) {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "1":
		return true, true
	case "false", "off", "no", "0":
		return false, true
	}
	return false, false
}

func (s source) dropView(n *pg.DropStmt) (*DropView, error) {
	st := &DropView{at: s.position(), IfExists: n.GetMissingOk(), Cascade: n.GetBehavior() == pg.DropBehavior_DROP_CASCADE}
	for _, object := range n.GetObjects() {
		name, err := s.nameOf(object.GetList().GetItems())
		if err != nil {
			return nil, err
		}
		st.Views = append(st.Views, name)
	}
	return st, nil
}

func (s source) alterView(n *pg.AlterTableStmt) (*AlterView, error) {
	st := &AlterView{at: s.position(), View: s.name(n.GetRelation()), IfExists: n.GetMissingOk()}
	if len(n.GetCmds()) != 1 {
		return nil, s.atStart(refuse("ALTER VIEW of several things at once"))
	}
	c := n.GetCmds()[0].GetAlterTableCmd()
	options := c.GetDef().GetList().GetItems()
	switch c.GetSubtype() {
	case pg.AlterTableType_AT_ChangeOwner:
		owner := s.roleName(c.GetNewowner())
		st.Owner = &owner
		return st, nil
	case pg.AlterTableType_AT_SetRelOptions:
		var err error
		st.SecurityInvoker, err = s.viewOptions(options)
		if err == nil && st.SecurityInvoker == nil { // what was asked for is so
			return nil, s.atStart(refuse("ALTER VIEW without security_invoker"))
		}
		return st, err
	case pg.AlterTableType_AT_ResetRelOptions:
		if len(options) == 1 && options[0].GetDefElem().GetDefname() == "security_invoker" {
			st.SecurityInvoker = new(bool)
			return st, nil
		}
		return nil, s.atStart(refuse("RESET of anything but security_invoker"))
	default:
		return nil, s.atStart(refuse("ALTER VIEW other than RENAME, OWNER, SET SCHEMA, SET and RESET"))
	}
}

// View is a query that stands for a relation of another.
type View struct {
	Query *Select
	// Relation leads its names, as that of a Binding.
	Relation func(Relation) (Target, error)
}

// view puts the query of a view, turned into DuckDB's, where its name stands in FROM. Its names mean what they mean
// there: nothing around it is in its sight.
func (b *binder) view(node *pg.Node, r *pg.RangeVar, v *View, names []string, it *item) (columns, error) {
	inner := &binder{
		src: v.Query.src, binding: &Binding{Relation: v.Relation, Dialect: b.binding.Dialect, Check: b.binding.Check}, nonce: b.nonce,
		told: b.told, branches: b.branches, toldParams: b.toldParams,
		sources: b.sources, ctes: b.ctes, depth: b.depth, kept: v.Query.kept,
	}
	tree := proto.CloneOf(v.Query.tree)
	cols, err := inner.query(tree.GetSelectStmt(), nil)
	if err != nil {
		return columns{}, b.inView(err, r)
	}
	b.sources, b.ctes = inner.sources, inner.ctes
	if cols.known && len(cols.names) != len(names) {
		return columns{}, b.src.at(errorf("XX000", "view %q has %d columns, and its query %d", r.GetRelname(), len(names), len(cols.names)), r.GetLocation())
	}
	node.Node = &pg.Node_RangeSubselect{RangeSubselect: &pg.RangeSubselect{
		Subquery: tree, Alias: &pg.Alias{Aliasname: it.alias},
	}}
	return columns{names: names, types: cols.types, known: true}, nil
}

// inView is an error of a view's query, told of where the view is named.
func (b *binder) inView(err error, r *pg.RangeVar) error {
	e, ok := err.(*Error) //nolint:errorlint // A wrapped error is the caller's own, and stays as it is.
	if !ok {
		return err
	}
	told := *e
	told.Position = 0
	return b.src.at(&told, r.GetLocation())
}

// Resolved is a query in which each name says what it means by itself.
type Resolved struct {
	Text    string   // in PostgreSQL's grammar
	Columns []string // of its results
	// Origins are the columns of relations that the results are taken from as they are.
	Origins []Origin
}

// Resolve writes a query so that it means the same whatever is around it: relations get the schemas that b leads them to,
// columns the names of what they are taken from, and * is written out. Relations of the text are counted as those of the query.
func (q *Select) Resolve(b Binding) (Resolved, error) {
	bound := &binder{
		src: q.src, binding: &b, resolving: true, told: map[*pg.Node]string{}, branches: map[*pg.SelectStmt]bool{},
		noted: map[int]int{}, positions: positionCounter{source: q.src},
	}
	tree := proto.CloneOf(q.tree)
	cols, err := bound.query(tree.GetSelectStmt(), nil)
	if err != nil {
		return Resolved{}, err
	}
	if !cols.known {
		return Resolved{}, q.src.atStart(refuse("a query whose columns aren't known here"))
	}
	text, err := pg.Deparse(&pg.ParseResult{Version: grammarVersion, Stmts: []*pg.RawStmt{{Stmt: tree}}})
	if err != nil {
		return Resolved{}, q.src.atStart(notPrinted("query", err))
	}
	return Resolved{Text: text, Columns: cols.names, Origins: cols.origins}, nil
}
