package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// AlterTable changes a table, in the order of Actions: all of them, or nothing. Of a view it is RENAME TO, OWNER TO or SET SCHEMA.
type AlterTable struct {
	at
	Table    Name
	IfExists bool
	Actions  []AlterAction
}

// AlterKind is what an action of ALTER TABLE does.
type AlterKind string

// The kinds of actions, and which fields of an AlterAction each has beside Column, where it is about one.
const (
	AddColumn        AlterKind = "add column"        // Def, Constraints, IfNotExists
	DropColumn       AlterKind = "drop column"       // IfExists, Cascade
	RenameColumn     AlterKind = "rename column"     // Name
	SetDefault       AlterKind = "set default"       // Expression; "" is none
	SetNotNull       AlterKind = "set not null"      //
	DropNotNull      AlterKind = "drop not null"     //
	AddConstraint    AlterKind = "add constraint"    // Constraints, of which it has one
	DropConstraint   AlterKind = "drop constraint"   // Constraint, IfExists, Cascade
	RenameConstraint AlterKind = "rename constraint" // Constraint, Name
	SetOptions       AlterKind = "set options"       // Options
	ResetOptions     AlterKind = "reset options"     // Options, whose values say nothing
	RenameTable      AlterKind = "rename"            // Name
	SetSchema        AlterKind = "set schema"        // Name
	SetOwner         AlterKind = "set owner"         // Owner
)

// AlterAction is one action of ALTER TABLE.
type AlterAction struct {
	Kind        AlterKind
	Column      string
	Def         ColumnDef
	Constraints []Constraint
	Constraint  string
	Expression  *DefaultExpression
	Options     []Option
	Name        string
	Owner       RoleName
	IfExists    bool
	IfNotExists bool
	Cascade     bool
}

// DefaultExpression is what SET DEFAULT says. Its text needs the column's type to be complete.
type DefaultExpression struct {
	source source
	node   *pg.Node
}

// RenameIndex gives an index another name.
type RenameIndex struct{ renaming }

// RenameSequence gives a sequence another name.
type RenameSequence struct{ renaming }

type renaming struct {
	at
	Object   Name
	IfExists bool
	To       string
}

// alteration converts the statements of this file; nil, nil is none of them.
func (s source) alteration(node *pg.Node) (Statement, error) {
	switch n := node.GetNode().(type) {
	case *pg.Node_AlterTableStmt:
		return asStatement(s.alterTable(n.AlterTableStmt))
	case *pg.Node_RenameStmt:
		return s.rename(n.RenameStmt)
	case *pg.Node_AlterObjectSchemaStmt:
		a := n.AlterObjectSchemaStmt
		if a.GetObjectType() != pg.ObjectType_OBJECT_TABLE {
			return nil, s.atStart(refuse(commandName(s.text) + " SET SCHEMA"))
		}
		action := AlterAction{Kind: SetSchema, Name: a.GetNewschema()}
		return &AlterTable{at: s.position(), Table: s.name(a.GetRelation()), IfExists: a.GetMissingOk(), Actions: []AlterAction{action}}, nil
	}
	return nil, nil
}

func (s source) rename(n *pg.RenameStmt) (Statement, error) {
	table := &AlterTable{at: s.position(), Table: s.name(n.GetRelation()), IfExists: n.GetMissingOk()}
	other := renaming{at: s.position(), Object: s.name(n.GetRelation()), IfExists: n.GetMissingOk(), To: n.GetNewname()}
	switch n.GetRenameType() {
	case pg.ObjectType_OBJECT_TABLE:
		table.Actions = []AlterAction{{Kind: RenameTable, Name: n.GetNewname()}}
	case pg.ObjectType_OBJECT_TABCONSTRAINT:
		table.Actions = []AlterAction{{Kind: RenameConstraint, Constraint: n.GetSubname(), Name: n.GetNewname()}}
	case pg.ObjectType_OBJECT_COLUMN:
		if n.GetRelationType() != pg.ObjectType_OBJECT_TABLE {
			return nil, s.atStart(refuse(commandName(s.text) + " RENAME COLUMN"))
		}
		table.Actions = []AlterAction{{Kind: RenameColumn, Column: n.GetSubname(), Name: n.GetNewname()}}
	case pg.ObjectType_OBJECT_INDEX:
		return &RenameIndex{other}, nil
	case pg.ObjectType_OBJECT_SEQUENCE:
		return &RenameSequence{other}, nil
	default:
		return nil, s.atStart(refuse(commandName(s.text) + " RENAME"))
	}
	return table, nil
}

func (s source) alterTable(n *pg.AlterTableStmt) (*AlterTable, error) {
	if n.GetObjtype() != pg.ObjectType_OBJECT_TABLE {
		return nil, s.atStart(refuse(commandName(s.text)))
	}
	st := &AlterTable{at: s.position(), Table: s.name(n.GetRelation()), IfExists: n.GetMissingOk()}
	for _, node := range n.GetCmds() {
		action, err := s.alterAction(node.GetAlterTableCmd())
		if err != nil {
			return nil, err
		}
		st.Actions = append(st.Actions, action)
	}
	return st, nil
}

func (s source) alterAction(c *pg.AlterTableCmd) (AlterAction, error) {
	a := AlterAction{Column: c.GetName(), Cascade: c.GetBehavior() == pg.DropBehavior_DROP_CASCADE}
	var err error
	switch c.GetSubtype() {
	case pg.AlterTableType_AT_AddColumn:
		a.Kind, a.IfNotExists = AddColumn, c.GetMissingOk()
		a.Def, a.Constraints, err = s.columnDef(c.GetDef().GetColumnDef())
		a.Column = a.Def.Name
	case pg.AlterTableType_AT_DropColumn:
		a.Kind, a.IfExists = DropColumn, c.GetMissingOk()
	case pg.AlterTableType_AT_ColumnDefault:
		a.Kind = SetDefault
		if c.GetDef() != nil && !c.GetDef().GetAConst().GetIsnull() {
			a.Expression = &DefaultExpression{source: s, node: c.GetDef()}
		}
	case pg.AlterTableType_AT_SetNotNull:
		a.Kind = SetNotNull
	case pg.AlterTableType_AT_DropNotNull:
		a.Kind = DropNotNull
	case pg.AlterTableType_AT_AddConstraint:
		var x Constraint
		x, err = s.constraintOf(c.GetDef().GetConstraint(), "")
		a.Kind, a.Constraints = AddConstraint, []Constraint{x}
	case pg.AlterTableType_AT_DropConstraint:
		a.Kind, a.Constraint, a.Column, a.IfExists = DropConstraint, c.GetName(), "", c.GetMissingOk()
	case pg.AlterTableType_AT_SetRelOptions, pg.AlterTableType_AT_ResetRelOptions:
		a.Kind = SetOptions
		if c.GetSubtype() == pg.AlterTableType_AT_ResetRelOptions {
			a.Kind = ResetOptions
		}
		a.Options, err = s.options(c.GetDef().GetList().GetItems())
	case pg.AlterTableType_AT_ChangeOwner:
		a.Kind, a.Owner = SetOwner, s.roleName(c.GetNewowner())
	default:
		err = s.unaltered(c.GetSubtype())
	}
	return a, err
}

// unaltered refuses the actions that there aren't, by the words that they are written with.
func (s source) unaltered(t pg.AlterTableType) error {
	words := map[pg.AlterTableType]string{
		pg.AlterTableType_AT_AlterColumnType: "ALTER COLUMN TYPE",
		pg.AlterTableType_AT_SetStatistics:   "SET STATISTICS", pg.AlterTableType_AT_SetStorage: "SET STORAGE",
		pg.AlterTableType_AT_SetCompression: "SET COMPRESSION", pg.AlterTableType_AT_SetOptions: "ALTER COLUMN SET of options",
		pg.AlterTableType_AT_ResetOptions: "ALTER COLUMN RESET of options", pg.AlterTableType_AT_AlterConstraint: "ALTER CONSTRAINT",
		pg.AlterTableType_AT_ValidateConstraint: "VALIDATE CONSTRAINT", pg.AlterTableType_AT_ClusterOn: "CLUSTER ON",
		pg.AlterTableType_AT_DropCluster: "SET WITHOUT CLUSTER", pg.AlterTableType_AT_SetLogged: "SET LOGGED",
		pg.AlterTableType_AT_SetUnLogged: "SET UNLOGGED", pg.AlterTableType_AT_DropOids: "SET WITHOUT OIDS",
		pg.AlterTableType_AT_SetAccessMethod: "SET ACCESS METHOD", pg.AlterTableType_AT_SetTableSpace: "SET TABLESPACE",
		pg.AlterTableType_AT_AddInherit: "INHERIT", pg.AlterTableType_AT_DropInherit: "NO INHERIT", pg.AlterTableType_AT_AddOf: "OF",
		pg.AlterTableType_AT_DropOf: "NOT OF", pg.AlterTableType_AT_ReplicaIdentity: "REPLICA IDENTITY",
		pg.AlterTableType_AT_EnableRowSecurity: "ENABLE ROW LEVEL SECURITY", pg.AlterTableType_AT_DisableRowSecurity: "DISABLE ROW LEVEL SECURITY",
		pg.AlterTableType_AT_ForceRowSecurity: "FORCE ROW LEVEL SECURITY", pg.AlterTableType_AT_NoForceRowSecurity: "NO FORCE ROW LEVEL SECURITY",
		pg.AlterTableType_AT_AttachPartition: "ATTACH PARTITION", pg.AlterTableType_AT_DetachPartition: "DETACH PARTITION",
		pg.AlterTableType_AT_AddIdentity: "ADD GENERATED AS IDENTITY", pg.AlterTableType_AT_SetIdentity: "SET GENERATED",
		pg.AlterTableType_AT_DropIdentity: "DROP IDENTITY", pg.AlterTableType_AT_DropExpression: "DROP EXPRESSION",
	}
	name, ok := words[t]
	if !ok {
		name = "of triggers, rules and foreign tables"
	}
	e := s.atStart(refuse("ALTER TABLE ... " + name))
	switch t {
	case pg.AlterTableType_AT_AlterColumnType:
		e.Hint = "Rows that are there keep what they say. Add a column of the other type, or make a view that casts."
	case pg.AlterTableType_AT_ValidateConstraint:
		e.Hint = "Constraints are declared, and not enforced."
	default:
	}
	return e
}

// Text is the expression as it is kept for a column of a type.
func (d *DefaultExpression) Text(t ColumnDef) (string, error) {
	return d.source.defaultText(d.node, t.Type)
}

// volatile are the functions that give each row a value of its own.
var volatile = []string{"random", "gen_random_uuid"}

// IsVolatile tells whether an expression gives each row a value of its own, so that rows which are there can't have one. What
// can't be parsed is.
func IsVolatile(expression string) bool {
	node, err := expressionOf(expression)
	if err != nil {
		return true
	}
	found := false
	visitTree(node.ProtoReflect(), func(m proto.Message) {
		if f, ok := m.(*pg.FuncCall); ok {
			names := strsOf(f.GetFuncname())
			found = found || slices.Contains(volatile, names[len(names)-1])
		}
	})
	return found
}

// RenameIn prints an expression over the columns of a table, one of which is called otherwise.
func RenameIn(expression, table, from, to string) (string, error) {
	node, err := expressionOf(expression)
	if err != nil {
		return "", err
	}
	visitTree(node.ProtoReflect(), func(m proto.Message) {
		ref, ok := m.(*pg.ColumnRef)
		if !ok {
			return
		}
		fields := ref.GetFields()
		last := fields[len(fields)-1].GetString_()
		if last.GetSval() == from && (len(fields) == 1 || fields[len(fields)-2].GetString_().GetSval() == table) {
			last.Sval = to
		}
	})
	return source{text: expression}.expressionText(node)
}

// ColumnsOf are the names of the columns that an expression reads, in the order in which it does, once each. What can't be parsed
// reads none.
func ColumnsOf(expression string) []string {
	node, err := expressionOf(expression)
	if err != nil {
		return nil
	}
	var out []string
	visitTree(node.ProtoReflect(), func(m proto.Message) {
		if ref, ok := m.(*pg.ColumnRef); ok {
			fields := ref.GetFields()
			if name := fields[len(fields)-1].GetString_().GetSval(); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	})
	return out
}

// expressionOf parses the text of an expression.
func expressionOf(text string) (*pg.Node, error) {
	node, err := source{text: text}.grammar("SELECT (" + text + ")")
	if err != nil {
		return nil, err
	}
	targets := node.GetSelectStmt().GetTargetList()
	if len(targets) != 1 {
		return nil, errorf(CodeSyntax, "the expression is no single one")
	}
	return targets[0].GetResTarget().GetVal(), nil
}

// visitTree visits a tree, parents first.
func visitTree(m protoreflect.Message, visit func(proto.Message)) {
	visit(m.Interface())
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				visitTree(v.List().Get(i).Message(), visit)
			}
		case !f.IsMap():
			visitTree(v.Message(), visit)
		}
		return true
	})
}
