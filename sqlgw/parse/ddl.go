package parse

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

func itoa(n int32) string { return strconv.FormatInt(int64(n), 10) }

// name of a relation, with its position.
func (s source) name(r *pg.RangeVar) Name {
	return Name{
		Database: r.GetCatalogname(), Schema: r.GetSchemaname(), Name: r.GetRelname(),
		Position: s.at(&Error{}, r.GetLocation()).Position,
	}
}

// createDeclared is CREATE TABLE whose columns nothing but the statement can say.
func (s source) createDeclared(n *pg.CreateStmt) (*CreateTable, error) {
	t, err := s.createTable(n)
	if err == nil && len(t.Columns) == 0 {
		return nil, s.atStart(refuse("CREATE TABLE without columns"))
	}
	return t, err
}

func (s source) createTable(n *pg.CreateStmt) (*CreateTable, error) {
	if err := s.checkCreate(n); err != nil {
		return nil, err
	}
	t := &CreateTable{at: s.position(), Table: s.name(n.GetRelation()), IfNotExists: n.GetIfNotExists(), Temp: isTemp(n.GetRelation())}
	t.OnCommit = onCommit(n.GetOncommit())
	for _, element := range n.GetTableElts() {
		if c := element.GetConstraint(); c != nil {
			constraint, err := s.constraintOf(c, "")
			if err != nil {
				return nil, err
			}
			t.Constraints = append(t.Constraints, constraint)
			continue
		}
		column, constraints, err := s.column(element)
		if err != nil {
			return nil, err
		}
		t.Constraints = append(t.Constraints, constraints...)
		if err := checkDuplicate(t.Columns, column.Name); err != nil {
			return nil, s.at(err, element.GetColumnDef().GetLocation())
		}
		t.Columns = append(t.Columns, column)
	}
	var err error
	t.Options, err = s.options(n.GetOptions())
	if err != nil {
		return nil, err
	}
	return t, nil
}

// checkCreate refuses the clauses of CREATE TABLE that aren't acted on.
func (s source) checkCreate(n *pg.CreateStmt) error {
	r := n.GetRelation()
	switch {
	case r.GetRelpersistence() == "u":
		return s.at(refuseAll("unlogged tables"), r.GetLocation())
	case n.GetPartbound() != nil:
		return s.at(refuse("PARTITION OF"), r.GetLocation())
	case n.GetPartspec() != nil:
		return s.at(refuse("PARTITION BY"), n.GetPartspec().GetLocation()).
			hinted("Use WITH (journals = ..., partition_by = '...').")
	case len(n.GetInhRelations()) > 0:
		return s.at(refuse("INHERITS"), n.GetInhRelations()[0].GetRangeVar().GetLocation())
	case n.GetOfTypename() != nil:
		return s.at(refuse("CREATE TABLE ... OF"), n.GetOfTypename().GetLocation())
	case n.GetOncommit() > pg.OnCommitAction_ONCOMMIT_NOOP && !isTemp(r):
		return s.at(errorf(CodeInvalidTableDefinition, "ON COMMIT can only be used on temporary tables"), r.GetLocation())
	case isTemp(r) && len(n.GetOptions()) > 0:
		return s.at(refuse("WITH of a temporary table"), r.GetLocation())
	case n.GetTablespacename() != "":
		return s.at(refuse("TABLESPACE"), r.GetLocation())
	case n.GetAccessMethod() != "":
		return s.at(refuse("USING"), r.GetLocation())
	}
	return nil
}

// checkDuplicate refuses a column that is there already. DuckDB takes names for the
// same that differ in case only.
func checkDuplicate(columns []ColumnDef, name string) *Error {
	for _, c := range columns {
		if c.Name == name {
			return errorf(CodeDuplicateColumn, "column %q specified more than once", name)
		}
		if strings.EqualFold(c.Name, name) {
			return errorf(CodeNotSupported, "columns %q and %q differ in case only, which is not supported", c.Name, name)
		}
	}
	if isMeta(name) {
		return errorf(CodeDuplicateColumn, "column name %q conflicts with a metadata column", name).
			hinted("Every table has _journal, _offset and _timestamp.")
	}
	return nil
}

func (s source) column(element *pg.Node) (ColumnDef, []Constraint, error) {
	c := ColumnDef{}
	switch e := element.GetNode().(type) {
	case *pg.Node_ColumnDef:
		return s.columnDef(e.ColumnDef)
	case *pg.Node_TableLikeClause:
		return c, nil, s.at(refuse("LIKE"), e.TableLikeClause.GetRelation().GetLocation())
	}
	return c, nil, s.atStart(refuse("this element of CREATE TABLE"))
}

func (s source) columnDef(d *pg.ColumnDef) (ColumnDef, []Constraint, error) {
	c := ColumnDef{Column: columnar.Column{Name: d.GetColname()}}
	if d.GetCompression() != "" {
		return c, nil, s.at(refuse("COMPRESSION"), d.GetLocation())
	}
	if d.GetStorageName() != "" {
		return c, nil, s.at(refuse("STORAGE"), d.GetLocation())
	}
	if len(d.GetFdwoptions()) > 0 {
		return c, nil, s.at(refuse("OPTIONS"), d.GetLocation())
	}
	if err := s.collation(d.GetCollClause()); err != nil {
		return c, nil, err
	}
	var err error
	if c.Type, err = s.columnType(d.GetTypeName()); err != nil {
		return c, nil, err
	}
	constraints, err := s.declared(d, &c)
	return c, constraints, err
}

// columnType is a type that a column may have.
func (s source) columnType(n *pg.TypeName) (columnar.Type, error) {
	typ, err := typeOf(n).columnType()
	if err != nil {
		return typ, s.at(err, n.GetLocation())
	}
	return typ, nil
}

// constraint refuses each kind by the words that it is written with.
func (s source) constraint(c *pg.Constraint) error {
	names := map[pg.ConstrType]string{
		pg.ConstrType_CONSTR_DEFAULT:   "DEFAULT",
		pg.ConstrType_CONSTR_IDENTITY:  "GENERATED AS IDENTITY",
		pg.ConstrType_CONSTR_GENERATED: "GENERATED",
		pg.ConstrType_CONSTR_CHECK:     "CHECK",
		pg.ConstrType_CONSTR_PRIMARY:   "PRIMARY KEY",
		pg.ConstrType_CONSTR_UNIQUE:    "UNIQUE",
		pg.ConstrType_CONSTR_EXCLUSION: "EXCLUDE",
		pg.ConstrType_CONSTR_FOREIGN:   "REFERENCES",
	}
	name, ok := names[c.GetContype()]
	if !ok {
		name = "DEFERRABLE"
	}
	return s.at(refuse(name), c.GetLocation())
}

// collation allows the two orders that are that of the bytes.
func (s source) collation(c *pg.CollateClause) error {
	names := c.GetCollname()
	if len(names) == 0 {
		return nil
	}
	name := names[len(names)-1].GetString_().GetSval()
	inCatalog := len(names) == 1 || names[0].GetString_().GetSval() == "pg_catalog"
	switch name {
	case "default", "C", "POSIX", "ucs_basic":
		if inCatalog && len(names) <= 2 {
			return nil
		}
	}
	return s.at(refuse("COLLATE "+strconv.Quote(name)), c.GetLocation())
}

// options of a WITH clause: names and values, each name once.
func (s source) options(list []*pg.Node) ([]Option, error) {
	options := make([]Option, 0, len(list))
	for _, node := range list {
		def := node.GetDefElem()
		o := Option{Name: strings.ToLower(def.GetDefname()), Value: "true", Position: s.at(&Error{}, def.GetLocation()).Position}
		if def.GetDefnamespace() != "" {
			return nil, s.at(refuse("option \""+def.GetDefnamespace()+"."+o.Name+"\""), def.GetLocation())
		}
		for _, before := range options {
			if before.Name == o.Name {
				return nil, s.at(errorf(CodeSyntax, "option %q specified more than once", o.Name), def.GetLocation())
			}
		}
		if def.GetArg() != nil {
			value, ok := optionValue(def.GetArg())
			if !ok {
				return nil, s.at(errorf(CodeInvalidParameter, "invalid value for option %q", o.Name), def.GetLocation())
			}
			o.Value = value
		}
		options = append(options, o)
	}
	return options, nil
}

// optionValue is the text of an option's value; a word is parsed as the name of a type.
func optionValue(arg *pg.Node) (string, bool) {
	switch v := arg.GetNode().(type) {
	case *pg.Node_String_:
		return v.String_.GetSval(), true
	case *pg.Node_Integer:
		return itoa(v.Integer.GetIval()), true
	case *pg.Node_Float:
		return v.Float.GetFval(), true
	case *pg.Node_Boolean:
		return strconv.FormatBool(v.Boolean.GetBoolval()), true
	case *pg.Node_TypeName:
		t := typeOf(v.TypeName)
		return t.name, t.err == "" && len(t.mods) == 0
	}
	return "", false
}

func (s source) drop(n *pg.DropStmt) (Statement, error) {
	kind := n.GetRemoveType()
	cascade := n.GetBehavior() == pg.DropBehavior_DROP_CASCADE
	if cascade && kind != pg.ObjectType_OBJECT_TABLE {
		return nil, s.atStart(refuse("CASCADE"))
	}
	if st, err := s.dropDeclared(n); st != nil || err != nil {
		return asStatement(st, err)
	}
	if kind != pg.ObjectType_OBJECT_TABLE && kind != pg.ObjectType_OBJECT_SCHEMA {
		return nil, s.atStart(refuse(commandName(s.text)))
	}
	if kind == pg.ObjectType_OBJECT_SCHEMA {
		st := &DropSchema{at: s.position(), IfExists: n.GetMissingOk()}
		for _, object := range n.GetObjects() {
			st.Names = append(st.Names, object.GetString_().GetSval())
		}
		return st, nil
	}
	st := &DropTable{at: s.position(), IfExists: n.GetMissingOk(), Cascade: cascade}
	for _, object := range n.GetObjects() {
		name, err := s.nameOf(object.GetList().GetItems())
		if err != nil {
			return nil, err
		}
		st.Tables = append(st.Tables, name)
	}
	return st, nil
}

// nameOf is a name of one to three parts.
func (s source) nameOf(parts []*pg.Node) (Name, error) {
	text := make([]string, len(parts))
	for i, p := range parts {
		text[i] = p.GetString_().GetSval()
	}
	switch len(text) {
	case 1:
		return Name{Name: text[0]}, nil
	case 2:
		return Name{Schema: text[0], Name: text[1]}, nil
	case 3:
		return Name{Database: text[0], Schema: text[1], Name: text[2]}, nil
	}
	return Name{}, s.atStart(errorf(CodeSyntax, "improper qualified name (too many dotted names): %s", strings.Join(text, ".")))
}

func (s source) createSchema(n *pg.CreateSchemaStmt) (Statement, error) {
	switch {
	case n.GetAuthrole() != nil:
		return nil, s.at(refuse("AUTHORIZATION"), n.GetAuthrole().GetLocation())
	case len(n.GetSchemaElts()) > 0:
		return nil, s.atStart(refuse("CREATE SCHEMA with elements"))
	}
	return &CreateSchema{at: s.position(), Name: n.GetSchemaname(), IfNotExists: n.GetIfNotExists()}, nil
}
