package parse

import (
	"errors"
	"fmt"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Dialect adds to what a query may name: a catalog of PostgreSQL's functions, types
// and operators that DuckDB lacks. It is asked before this package's own lists, and
// answers with what stands for the thing, nil if that isn't its to say. Its errors end
// the printing; an *Error without a position gets that of the thing.
type Dialect interface {
	// Function is asked for calls without FILTER, OVER, DISTINCT, ORDER BY and VARIADIC,
	// also for those without brackets such as CURRENT_USER.
	Function(c Call) (*Template, error)
	Cast(c Cast) (*Template, error)
	Operator(o Operator) (*Template, error)
}

// Call of a function. The template's $1, $2, ... are its arguments.
type Call struct {
	Schema string // "" if it wasn't given, or is pg_catalog
	Name   string
	// Args are the arguments as they were written. The Kind of what is neither a constant
	// nor a parameter is Expression.
	Args []Literal
	// InFrom: the call stands in FROM. A template that is a query gives its columns then.
	InFrom bool
	Star   bool // f(*)
}

// Cast of a value to a type. The template's $1 is the value.
type Cast struct {
	Schema string // "" if it wasn't given, or is pg_catalog
	Name   string // as the grammar says it: int4, bpchar, char for "char"
	Mods   []int32
	Array  bool
	Value  Literal
	// Through is the type like regclass that the value is of on its way to an OID: it may be a name. "" is none.
	Through  string
	Position int
}

// Operator between two values, or with Prefix before one. The template's operands are
// $1 and $2, or $1.
type Operator struct {
	Schema string // "" if it wasn't given, or is pg_catalog
	Name   string
	Prefix bool
}

// Template is trusted SQL that stands for a thing of a query: an expression, or a
// query (SELECT, VALUES, WITH). It is parsed by PostgreSQL's grammar and printed for DuckDB as it
// is: names in it are DuckDB's. Its $n are replaced by operands, which were checked, and whose
// columns are qualified with names that the user chose: a query gives its tables names that
// nobody would. An operand that is used twice must be small (54001).
// A Template never changes, and may be used by several goroutines.
type Template struct {
	expr    *pg.Node // a SelectStmt if it is a query
	columns []string // of a query
	typ     string
}

// As is the template with the name that pg_type has for the type of its value.
func (t *Template) As(typ string) *Template {
	told := *t
	told.typ = typ
	return &told
}

// NewTemplate makes a Template. The columns of a query must have names.
func NewTemplate(sql string) (*Template, error) {
	lex := lexer{text: sql}
	first := lex.next()
	isQuery := false
	switch strings.ToUpper(sql[first.begin:first.end]) {
	case "SELECT", "WITH", "VALUES":
		isQuery = true
	}
	src := source{text: sql}
	if !isQuery {
		src.text = "SELECT " + sql
		node, err := src.grammar(src.text)
		if err != nil {
			return nil, fmt.Errorf("template %q: %w", sql, err)
		}
		targets := node.GetSelectStmt().GetTargetList()
		if len(targets) != 1 || targets[0].GetResTarget().GetName() != "" || len(node.GetSelectStmt().GetFromClause()) > 0 {
			return nil, fmt.Errorf("template %q is no expression", sql)
		}
		return &Template{expr: targets[0].GetResTarget().GetVal()}, nil
	}
	node, err := src.grammar(sql)
	if err != nil {
		return nil, fmt.Errorf("template %q: %w", sql, err)
	}
	names, err := templateColumns(node.GetSelectStmt())
	if err != nil {
		return nil, fmt.Errorf("template %q: %w", sql, err)
	}
	return &Template{expr: node, columns: names}, nil
}

// TextTemplate is the constant text s.
func TextTemplate(s string) *Template { return &Template{expr: textConst(s)} }

// NullTemplate is NULL.
func NullTemplate() *Template {
	return &Template{expr: nullConst()}
}

func templateColumns(q *pg.SelectStmt) ([]string, error) {
	for q.GetLarg() != nil {
		q = q.GetLarg()
	}
	names := make([]string, 0, len(q.GetTargetList()))
	for _, node := range q.GetTargetList() {
		t := node.GetResTarget()
		name := t.GetName()
		if name == "" {
			name, _ = lastName(t.GetVal().GetColumnRef().GetFields())
		}
		if name == "" {
			return nil, fmt.Errorf("column %d has no name", len(names)+1)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, errors.New("has no columns")
	}
	return names, nil
}

// fill replaces the template's parameters by operands. One that is used twice must be
// small: a chain of calls would double the tree with each link.
func (t *Template) fill(operands []*pg.Node) (*pg.Node, *Error) {
	filled := proto.CloneOf(t.expr)
	var refused *Error
	used := make([]bool, len(operands))
	eachNode(filled.ProtoReflect(), func(n *pg.Node) {
		p := n.GetParamRef()
		if p == nil {
			return
		}
		i := int(p.GetNumber()) - 1
		switch {
		case i >= len(operands):
			refused = errorf(CodeUndefinedFunction, "function has too few arguments")
			return
		case used[i] && !isSmall(operands[i]):
			refused = errorf(CodeTooComplex, "operand is too complex").hinted("Compute it in a subquery, and name it here.")
		}
		used[i] = true
		n.Node = operands[i].GetNode()
	})
	return filled, refused
}

// maxCopied is the number of nodes that an operand may have that is used twice.
const maxCopied = 64

// isSmall tells whether a tree has no more nodes than may be used twice, and no query in it.
func isSmall(n *pg.Node) bool {
	if n.GetSubLink() != nil {
		return false
	}
	count := 1
	eachNode(n.ProtoReflect(), func(inner *pg.Node) {
		count++
		if inner.GetSubLink() != nil {
			count += maxCopied
		}
	})
	return count <= maxCopied
}

// eachNode calls fn for every Node in a message, outer ones first. What fn puts into a
// node isn't gone through.
func eachNode(m protoreflect.Message, fn func(*pg.Node)) {
	visit := func(v protoreflect.Message) {
		if n, ok := v.Interface().(*pg.Node); ok {
			before := n.GetNode()
			fn(n)
			if n.GetNode() != before {
				return
			}
		}
		eachNode(v, fn)
	}
	if n, ok := m.Interface().(*pg.Node); ok && n.GetParamRef() != nil {
		fn(n)
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				visit(v.List().Get(i).Message())
			}
		default:
			visit(v.Message())
		}
		return true
	})
}

// literals are the arguments of a call as they were written.
func (s source) literals(args []*pg.Node) []Literal {
	list := make([]Literal, len(args))
	for i, arg := range args {
		list[i] = s.literalOf(arg)
	}
	return list
}

func (s source) literalOf(arg *pg.Node) Literal {
	l, ok := literal(arg, &positionCounter{source: s})
	if !ok {
		return Literal{Kind: Expression, Text: userFunction(arg)}
	}
	return l
}

// userFunction is CurrentUser for what stands for the session's user, all of whose names are one here.
func userFunction(arg *pg.Node) string {
	f := arg.GetSqlvalueFunction()
	if f == nil {
		return ""
	}
	switch f.GetOp() {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_USER, pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE, pg.SQLValueFunctionOp_SVFOP_SESSION_USER, pg.SQLValueFunctionOp_SVFOP_USER:
		return CurrentUser
	default:
		return ""
	}
}

// catalogSchema is the schema of a name of one or two parts, "" for PostgreSQL's own.
func catalogSchema(nodes []*pg.Node) (qualified, bool) {
	names := strsOf(nodes)
	switch {
	case len(names) == 1:
		return qualified{name: names[0]}, true
	case len(names) == 2 && names[0] == "pg_catalog":
		return qualified{name: names[1]}, true
	case len(names) == 2:
		return qualified{schema: names[0], name: names[1]}, true
	}
	return qualified{}, false
}

type qualified struct{ schema, name string }

// castOf is what a cast is to, whether of a parameter, and through which type.
type castOf struct {
	typ     typeName
	param   bool
	through string
}

func (b *binder) dialectCast(n *pg.Node, c *pg.TypeCast, of castOf) (bool, error) {
	t := of.typ
	if b.binding.Dialect == nil || t.err != "" {
		return false, nil
	}
	location := c.GetTypeName().GetLocation()
	value := b.src.literalOf(c.GetArg())
	if of.param { // perhaps within a cast to its own type by now
		value.Kind = Param
	}
	tpl, err := b.binding.Dialect.Cast(Cast{
		Schema: t.schema, Name: t.name, Mods: t.mods, Array: t.dimensions > 0,
		Value: value, Through: of.through, Position: b.src.at(&Error{}, location).Position,
	})
	return b.filled(n, tpl, err, []*pg.Node{c.GetArg()}, location)
}

func (b *binder) dialectOperator(n *pg.Node, e *pg.A_Expr) (bool, error) {
	q, ok := catalogSchema(e.GetName())
	if b.binding.Dialect == nil || !ok {
		return false, nil
	}
	operands := []*pg.Node{e.GetLexpr(), e.GetRexpr()}
	if e.GetLexpr() == nil {
		operands = operands[1:]
	}
	tpl, err := b.binding.Dialect.Operator(Operator{Schema: q.schema, Name: q.name, Prefix: len(operands) == 1})
	return b.filled(n, tpl, err, operands, e.GetLocation())
}

// filled puts a dialect's answer in the place of a node. It returns false if there is none.
func (b *binder) filled(n *pg.Node, tpl *Template, err error, operands []*pg.Node, location int32) (bool, error) {
	if err != nil {
		return false, b.located(err, location)
	}
	if tpl == nil {
		return false, nil
	}
	made, missing := tpl.fill(operands)
	if missing != nil {
		return false, b.src.at(missing, location)
	}
	n.Node = made.GetNode()
	b.told[n] = tpl.typ
	if made.GetSelectStmt() != nil {
		n.Node = &pg.Node_SubLink{SubLink: &pg.SubLink{SubLinkType: pg.SubLinkType_EXPR_SUBLINK, Subselect: made}}
	}
	return true, nil
}
