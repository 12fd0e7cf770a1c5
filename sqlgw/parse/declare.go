package parse

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// What is declared and not enforced: constraints, indexes, sequences, functions and comments are taken
// as they were said, to be kept and told.

// ConstraintKind is pg_constraint.contype.
type ConstraintKind byte

// The kinds of constraints.
const (
	PrimaryKey ConstraintKind = 'p'
	Unique     ConstraintKind = 'u'
	ForeignKey ConstraintKind = 'f'
	Check      ConstraintKind = 'c'
)

// Constraint of a table.
type Constraint struct {
	Kind    ConstraintKind
	Name    string // "" if it has none
	Columns []string
	// References, RefColumns, the actions (as pg_constraint has them) and MatchFull are of a foreign key. No
	// RefColumns mean the primary key.
	References         Name
	RefColumns         []string
	OnUpdate, OnDelete string
	MatchFull          bool
	// Check is an expression.
	Check                string
	Deferrable, Deferred bool
	Position             int
}

// ColumnDef is a column of CREATE TABLE.
type ColumnDef struct {
	columnar.Column
	// Default is an expression, "" for none. It is checked when the table is made.
	Default string
}

// CreateIndex declares an index.
type CreateIndex struct {
	at
	Table       Name
	Name        string // "" if it has none
	IfNotExists bool
	Unique      bool
	Method      string
	Columns     []string
	Options     []int16 // pg_index.indoption
	Where       string
}

// CreateSequence declares a sequence.
type CreateSequence struct {
	at
	Sequence    Name
	IfNotExists bool
	Type        string // pg_type's name
	// Start, Increment, Min, Max and Cache are nil where nothing is said.
	Start, Increment, Min, Max, Cache *int64
	Cycle                             bool
}

// CreateFunction declares a function.
type CreateFunction struct {
	at
	Function   Name
	Replace    bool
	Procedure  bool
	Language   string
	Arguments  []FunctionArgument
	Returns    string // pg_type's name
	Set        bool
	Body       string
	Volatility string // pg_proc.provolatile
	Strict     bool
}

// FunctionArgument is one of input.
type FunctionArgument struct{ Name, Type string }

// Comment is COMMENT ON. Kind is table, view, column, index, schema, sequence or function.
type Comment struct {
	at
	Kind string
	// Object is the thing, or the table of a column.
	Object Name
	// Member is the column.
	Member string
	// Text is nil for none.
	Text *string
}

// Drop removes what isn't a table or schema: Kind is index, sequence or function.
type Drop struct {
	at
	Kind     string
	Objects  []Name
	IfExists bool
}

// Maintain is VACUUM or ANALYZE, of which a log needs none.
type Maintain struct {
	at
	// Command is VACUUM or ANALYZE.
	Command string
	Tables  []Name
}

// declaration converts statements of this file, and those that change tables; nil, nil is none of them.
func (s source) declaration(node *pg.Node) (Statement, error) {
	switch n := node.GetNode().(type) {
	case *pg.Node_IndexStmt:
		return asStatement(s.createIndex(n.IndexStmt))
	case *pg.Node_CreateSeqStmt:
		return asStatement(s.createSequence(n.CreateSeqStmt))
	case *pg.Node_CreateFunctionStmt:
		return asStatement(s.createFunction(n.CreateFunctionStmt))
	case *pg.Node_CommentStmt:
		return asStatement(s.comment(n.CommentStmt))
	case *pg.Node_VacuumStmt:
		return s.maintain(n.VacuumStmt), nil
	}
	return s.alteration(node)
}

// expressionText prints an expression as SQL.
func (s source) expressionText(n *pg.Node) (string, error) {
	query := queryOf(target(n, ""))
	text, err := pg.Deparse(&pg.ParseResult{Version: grammarVersion, Stmts: []*pg.RawStmt{{Stmt: selectNode(query)}}})
	if err != nil {
		return "", s.atStart(notPrinted("expression", err))
	}
	return strings.TrimPrefix(text, "SELECT "), nil
}

// constraintOf converts a constraint of a table, or of a column of this name.
func (s source) constraintOf(c *pg.Constraint, column string) (Constraint, error) {
	out := Constraint{
		Name: c.GetConname(), Deferrable: c.GetDeferrable(), Deferred: c.GetInitdeferred(),
		Position: s.at(&Error{}, c.GetLocation()).Position,
	}
	if column != "" {
		out.Columns = []string{column}
	}
	switch c.GetContype() {
	case pg.ConstrType_CONSTR_PRIMARY, pg.ConstrType_CONSTR_UNIQUE:
		out.Kind = Unique
		if c.GetContype() == pg.ConstrType_CONSTR_PRIMARY {
			out.Kind = PrimaryKey
		}
		if keys := strsOf(c.GetKeys()); len(keys) > 0 {
			out.Columns = keys
		}
		return out, s.checkKey(c)
	case pg.ConstrType_CONSTR_FOREIGN:
		out.Kind, out.References, out.RefColumns = ForeignKey, s.name(c.GetPktable()), strsOf(c.GetPkAttrs())
		out.OnUpdate, out.OnDelete, out.MatchFull = c.GetFkUpdAction(), c.GetFkDelAction(), c.GetFkMatchtype() == "f"
		if keys := strsOf(c.GetFkAttrs()); len(keys) > 0 {
			out.Columns = keys
		}
		return out, nil
	case pg.ConstrType_CONSTR_CHECK:
		out.Kind = Check
		var err error
		out.Check, err = s.expressionText(c.GetRawExpr())
		return out, err
	default:
		return out, s.constraint(c)
	}
}

// checkKey refuses the clauses of a key that aren't told.
func (s source) checkKey(c *pg.Constraint) error {
	switch {
	case len(c.GetIncluding()) > 0:
		return s.at(refuse("INCLUDE"), c.GetLocation())
	case c.GetNullsNotDistinct():
		return s.at(refuse("NULLS NOT DISTINCT"), c.GetLocation())
	case c.GetIndexname() != "":
		return s.at(refuse("USING INDEX"), c.GetLocation())
	case c.GetIndexspace() != "":
		return s.at(refuse("USING INDEX TABLESPACE"), c.GetLocation())
	case len(c.GetOptions()) > 0:
		return s.at(refuse("WITH of a constraint"), c.GetLocation())
	}
	return nil
}

// declared converts the constraints of a column: what they say of it, and those of the table.
func (s source) declared(d *pg.ColumnDef, c *ColumnDef) ([]Constraint, error) {
	var out []Constraint
	for _, node := range d.GetConstraints() {
		constraint := node.GetConstraint()
		switch constraint.GetContype() {
		case pg.ConstrType_CONSTR_NOTNULL:
			c.NotNull = true
		case pg.ConstrType_CONSTR_NULL:
		case pg.ConstrType_CONSTR_DEFAULT:
			text, err := s.defaultText(constraint.GetRawExpr(), c.Type)
			if err != nil {
				return nil, err
			}
			c.Default = text
		case pg.ConstrType_CONSTR_ATTR_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_DEFERRED:
			if len(out) > 0 {
				last := &out[len(out)-1]
				last.Deferrable = true
				last.Deferred = constraint.GetContype() == pg.ConstrType_CONSTR_ATTR_DEFERRED
			}
		case pg.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_IMMEDIATE:
		default:
			x, err := s.constraintOf(constraint, c.Name)
			if err != nil {
				return nil, err
			}
			out = append(out, x)
		}
	}
	return out, nil
}

// defaultText prints a default. A constant in quotes is told with its type, as PostgreSQL does; NULL is none.
func (s source) defaultText(n *pg.Node, t columnar.Type) (string, error) {
	if n.GetAConst().GetIsnull() {
		return "", nil
	}
	text, err := s.expressionText(n)
	if _, isText := stringConst(n); isText && err == nil {
		text += "::" + strings.SplitN(t.SQL(), "(", 2)[0]
	}
	return text, err
}

func (s source) createIndex(n *pg.IndexStmt) (*CreateIndex, error) {
	st := &CreateIndex{
		at: s.position(), Table: s.name(n.GetRelation()), Name: n.GetIdxname(), IfNotExists: n.GetIfNotExists(),
		Unique: n.GetUnique(), Method: n.GetAccessMethod(),
	}
	switch {
	case len(n.GetIndexIncludingParams()) > 0:
		return nil, s.atStart(refuse("INCLUDE"))
	case n.GetNullsNotDistinct():
		return nil, s.atStart(refuse("NULLS NOT DISTINCT"))
	case n.GetTableSpace() != "":
		return nil, s.atStart(refuse("TABLESPACE"))
	case len(n.GetOptions()) > 0:
		return nil, s.atStart(refuse("WITH of an index"))
	}
	switch st.Method {
	case "btree", "hash", "gist", "gin", "spgist", "brin":
	default:
		return nil, s.atStart(errorf(CodeUndefinedObject, "access method %q does not exist", st.Method))
	}
	for _, node := range n.GetIndexParams() {
		e := node.GetIndexElem()
		if e.GetName() == "" {
			return nil, s.atStart(refuse("an index on an expression"))
		}
		if len(e.GetOpclass()) > 0 {
			return nil, s.atStart(refuse("an operator class of an index"))
		}
		if err := s.collation(&pg.CollateClause{Collname: e.GetCollation()}); err != nil {
			return nil, err
		}
		st.Columns = append(st.Columns, e.GetName())
		st.Options = append(st.Options, indexOption(e))
	}
	var err error
	if n.GetWhereClause() != nil {
		st.Where, err = s.expressionText(n.GetWhereClause())
	}
	return st, err
}

// The bits of pg_index.indoption.
const (
	indexDescending = 1
	indexNullsFirst = 2
)

func indexOption(e *pg.IndexElem) int16 {
	option := int16(0)
	if e.GetOrdering() == pg.SortByDir_SORTBY_DESC {
		option = indexDescending | indexNullsFirst
	}
	switch e.GetNullsOrdering() {
	case pg.SortByNulls_SORTBY_NULLS_FIRST:
		option |= indexNullsFirst
	case pg.SortByNulls_SORTBY_NULLS_LAST:
		option &^= indexNullsFirst
	default:
	}
	return option
}

func (s source) createSequence(n *pg.CreateSeqStmt) (*CreateSequence, error) {
	st := &CreateSequence{at: s.position(), Sequence: s.name(n.GetSequence()), IfNotExists: n.GetIfNotExists(), Type: "int8"}
	if n.GetSequence().GetRelpersistence() != "p" {
		return nil, s.atStart(refuseAll("temporary and unlogged sequences"))
	}
	numbers := map[string]**int64{
		"start": &st.Start, "increment": &st.Increment, "minvalue": &st.Min, "maxvalue": &st.Max, "cache": &st.Cache,
	}
	for _, node := range n.GetOptions() {
		def := node.GetDefElem()
		name := def.GetDefname()
		switch to := numbers[name]; {
		case to != nil && def.GetArg() == nil: // NO MINVALUE
		case to != nil:
			text, _ := optionValue(def.GetArg())
			v, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, s.atStart(errorf(CodeInvalidParameter, "invalid value for %s: %q", strings.ToUpper(name), text))
			}
			*to = &v
		case name == "cycle":
			st.Cycle = def.GetArg() == nil || def.GetArg().GetBoolean().GetBoolval()
		case name == "as":
			st.Type = typeOf(def.GetArg().GetTypeName()).name
			if st.Type != "int2" && st.Type != "int4" && st.Type != "int8" {
				return nil, s.atStart(errorf(CodeInvalidParameter, "sequence type must be smallint, integer, or bigint"))
			}
		default:
			return nil, s.atStart(refuse(strings.ToUpper(strings.ReplaceAll(name, "_", " "))))
		}
	}
	return st, nil
}

func (s source) createFunction(n *pg.CreateFunctionStmt) (*CreateFunction, error) {
	name, err := s.nameOf(n.GetFuncname())
	if err != nil {
		return nil, err
	}
	st := &CreateFunction{at: s.position(), Function: name, Replace: n.GetReplace(), Procedure: n.GetIsProcedure(), Returns: "void", Volatility: "v"}
	for _, node := range n.GetParameters() {
		p := node.GetFunctionParameter()
		if mode := p.GetMode(); mode != pg.FunctionParameterMode_FUNC_PARAM_IN && mode != pg.FunctionParameterMode_FUNC_PARAM_DEFAULT {
			return nil, s.atStart(refuseAll("parameters of a function that aren't IN"))
		}
		if p.GetDefexpr() != nil {
			return nil, s.atStart(refuseAll("defaults of a function's parameters"))
		}
		typ, err := s.declaredType(p.GetArgType())
		if err != nil {
			return nil, err
		}
		st.Arguments = append(st.Arguments, FunctionArgument{Name: p.GetName(), Type: typ})
	}
	if n.GetReturnType() != nil {
		st.Set = n.GetReturnType().GetSetof()
		if st.Returns, err = s.declaredType(n.GetReturnType()); err != nil {
			return nil, err
		}
	}
	if n.GetSqlBody() != nil {
		return nil, s.atStart(refuse("a function body without quotes"))
	}
	return st, s.functionOptions(n.GetOptions(), st)
}

// declaredType is pg_type's name of a type.
func (s source) declaredType(n *pg.TypeName) (string, error) {
	t := typeOf(n)
	if n.GetSetof() {
		t.err = ""
	}
	switch {
	case t.err != "" || t.schema != "":
		return "", s.at(errorf(CodeUndefinedObject, "type %q does not exist", t.full()), n.GetLocation())
	case t.dimensions > 0:
		return "_" + t.name, nil
	}
	return t.name, nil
}

func (s source) functionOptions(options []*pg.Node, st *CreateFunction) error {
	for _, node := range options {
		def := node.GetDefElem()
		text := def.GetArg().GetString_().GetSval()
		switch def.GetDefname() {
		case "language":
			st.Language = strings.ToLower(text)
		case "as":
			parts := def.GetArg().GetList().GetItems()
			if len(parts) != 1 {
				return s.atStart(forbid("language c"))
			}
			st.Body = parts[0].GetString_().GetSval()
		case "volatility":
			st.Volatility = text[:1]
		case "strict":
			st.Strict = def.GetArg().GetBoolean().GetBoolval()
		default:
			return s.atStart(refuse(strings.ToUpper(def.GetDefname()) + " of a function"))
		}
	}
	if st.Language != "sql" {
		return s.atStart(refuse("language " + strconv.Quote(st.Language)))
	}
	return nil
}

func (s source) comment(n *pg.CommentStmt) (*Comment, error) {
	kinds := map[pg.ObjectType]string{
		pg.ObjectType_OBJECT_TABLE: "table", pg.ObjectType_OBJECT_COLUMN: "column", pg.ObjectType_OBJECT_INDEX: "index",
		pg.ObjectType_OBJECT_SCHEMA: "schema", pg.ObjectType_OBJECT_SEQUENCE: "sequence", pg.ObjectType_OBJECT_FUNCTION: "function",
		pg.ObjectType_OBJECT_VIEW: "view", pg.ObjectType_OBJECT_MATVIEW: "materialized view",
	}
	kind, ok := kinds[n.GetObjtype()]
	if !ok {
		return nil, s.atStart(refuse("COMMENT ON " + strings.ReplaceAll(strings.TrimPrefix(n.GetObjtype().String(), "OBJECT_"), "_", " ")))
	}
	st := &Comment{at: s.position(), Kind: kind}
	if text := n.GetComment(); text != "" {
		st.Text = &text
	}
	if kind == "schema" {
		st.Object.Name = n.GetObject().GetString_().GetSval()
		return st, nil
	}
	parts := n.GetObject().GetList().GetItems()
	if kind == "function" {
		parts = n.GetObject().GetObjectWithArgs().GetObjname()
	}
	if kind == "column" && len(parts) > 0 {
		st.Member = parts[len(parts)-1].GetString_().GetSval()
		parts = parts[:len(parts)-1]
	}
	var err error
	st.Object, err = s.nameOf(parts)
	return st, err
}

func (s source) maintain(n *pg.VacuumStmt) *Maintain {
	st := &Maintain{at: s.position(), Command: "ANALYZE"}
	if n.GetIsVacuumcmd() {
		st.Command = "VACUUM"
	}
	for _, node := range n.GetRels() {
		st.Tables = append(st.Tables, s.name(node.GetVacuumRelation().GetRelation()))
	}
	return st
}

// dropDeclared converts DROP of what this file declares; nil is none of it.
func (s source) dropDeclared(n *pg.DropStmt) (*Drop, error) {
	kinds := map[pg.ObjectType]string{
		pg.ObjectType_OBJECT_INDEX: "index", pg.ObjectType_OBJECT_SEQUENCE: "sequence", pg.ObjectType_OBJECT_FUNCTION: "function",
	}
	kind, ok := kinds[n.GetRemoveType()]
	if !ok {
		return nil, nil
	}
	st := &Drop{at: s.position(), Kind: kind, IfExists: n.GetMissingOk()}
	for _, object := range n.GetObjects() {
		parts := object.GetList().GetItems()
		if kind == "function" {
			parts = object.GetObjectWithArgs().GetObjname()
		}
		name, err := s.nameOf(parts)
		if err != nil {
			return nil, err
		}
		st.Objects = append(st.Objects, name)
	}
	return st, nil
}
