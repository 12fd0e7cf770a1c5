package parse

import (
	"math/rand/v2"
	"slices"
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/sqlgw/style"
)

// Select is a query: SELECT, VALUES, TABLE, WITH, set operations. It never changes once
// it is made, so it may be used by several goroutines, and printed again for each
// execution of a prepared statement.
//
// Its structure was checked: every clause and kind of expression is one that SQL knows.
// Its functions, types and operators are checked by SQL.
type Select struct {
	at
	src       source
	tree      *pg.Node // a SelectStmt
	relations []Relation
	params    []Parameter
	acts      []Act
	// kept: it is one of the queries of an Incremental.
	kept bool
}

// Relation is one place of a query that names a table, a view or a relation of a
// system catalog. Names of WITH queries aren't among them.
type Relation struct {
	Name
	// Index is the place's number, in the order of Relations.
	Index int
	// Alias is what the query calls it; the table's own name if it gives no other.
	Alias string
	// Meta are the metadata columns that the query may take from here, of _journal,
	// _offset and _timestamp, in this order: all that are named where this relation's columns
	// are in sight. Too many rather than too few.
	Meta []string
	// AsOf says where it is read; nil is where the statement reads.
	AsOf *AsOf
	// Bounds are what the query asks of its metadata columns: rows that don't meet all of them don't count.
	Bounds   []Bound
	location int32 // its byte offset in the statement
}

// The metadata columns that every table has, and * doesn't show.
const (
	MetaJournal   = "_journal"
	MetaOffset    = "_offset"
	MetaTimestamp = "_timestamp"
)

func metaColumns() []string { return []string{MetaJournal, MetaOffset, MetaTimestamp} }

func isMeta(name string) bool { return slices.Contains(metaColumns(), name) }

// Parameter is a $n of a query.
type Parameter struct {
	Number int
	// Type is the type that the query casts it to at its first place, as TypeFromSQL of columnar
	// takes it; "" if it doesn't.
	Type     string
	TypeMods []int32
	Position int // of its first place
}

// Relations are all places that name a relation, in the order of the text but for WITH
// queries, which come before the query that they belong to.
func (q *Select) Relations() []Relation { return slices.Clone(q.relations) }

// UsesMeta tells whether any of the metadata columns (all of them, if no names are
// given) may be taken from any relation.
func (q *Select) UsesMeta(names ...string) bool {
	return slices.ContainsFunc(q.relations, func(r Relation) bool {
		return len(names) == 0 && len(r.Meta) > 0 ||
			slices.ContainsFunc(names, func(n string) bool { return slices.Contains(r.Meta, n) })
	})
}

// Parameters are the query's, one for each number that occurs, ascending.
func (q *Select) Parameters() []Parameter { return slices.Clone(q.params) }

// Target is what DuckDB reads in a relation's place.
type Target struct {
	// SQL is DuckDB's text of it, put where a table stands in FROM: a name, a call of a table
	// function, a query in parentheses. It is trusted. Names in it must be
	// qualified, for the query may have a WITH query of any name.
	SQL string
	// Schema is where the relation was found, so that a column may be qualified with it.
	Schema string
	// Name is what the relation is called, if that is another name than the query's.
	Name string
	// Columns are those that the relation shows, in order: the first ones of what SQL gives.
	Columns []string
	// Types are what PostgreSQL calls the types of Columns and then of Hidden, as pg_type has
	// them; "" or missing where nobody needs to know.
	Types []string
	// Hidden are the columns that come after them in SQL: they can be named, but * doesn't show them.
	Hidden []string
	// View, if it isn't nil, is read in place of SQL, and gives Columns; Types are its own to tell.
	View *View
}

// Binding leads the names of a query to what DuckDB has for them.
type Binding struct {
	// Relation is asked for each of Relations, in their order. Its error ends the printing
	// and is returned as it is, with a position if it is an *Error without one.
	Relation func(Relation) (Target, error)
	// Dialect adds functions, types and operators; nil adds none.
	Dialect Dialect
	// ParamTypes are the types of the parameters, that of $1 first, where they are known, as a
	// cast would name them in SQL: "" leaves one to DuckDB.
	ParamTypes []string
	// Style is how constants are read; nil is the default one.
	Style *style.Style
	// Check is called now and then while the query is gone through; its error ends the printing, and is returned. Nil is never called.
	Check func() error
	// Apart runs a call that nothing can interrupt, and that touches nothing but a tree that never changes, or that nobody else has.
	// Its error, which is returned, tells that it didn't wait for the call's end. Nil runs calls here.
	Apart func(call func()) error
	// Listed is told of an array that is written as text, as '{1,2}', before there is a node for each of its elements, of which it
	// has at most so many. Its error ends the printing, and is returned. Nil is never called.
	Listed func(elements int) error
}

// apart runs a call as the binding says.
func (b *Binding) apart(call func()) error {
	if b.Apart == nil {
		call()
		return nil
	}
	return b.Apart(call)
}

// SQL prints the query as DuckDB runs it. Nothing that the user wrote gets there
// unchecked:
//
//   - Relations are the targets of the binding, WITH queries get names made here: no name of
//     the user's is one that DuckDB would look up.
//   - Functions, operators, types and collations are on this package's lists, or the
//     dialect's; others are refused (42883, 42501, 0A000, 42704).
//   - Where DuckDB means something else by the same words, it is told what PostgreSQL means:
//     names of results, the order of NULLs, / of integers, ~, LIKE and its escapes, casts with lengths,
//     arrays written as strings.
//   - Columns are resolved where all relations in sight are known: an unknown one is 42703
//     at its position, a missing table 42P01, an ambiguous one 42702.
//
// What still differs is DuckDB's arithmetic: numeric / numeric, avg and what mixes numeric with double are double; sum of bigint is numeric(38,0).
//
// Errors are *Error, or the binding's.
func (q *Select) SQL(b Binding) (string, error) {
	p, err := q.Print(b)
	return p.SQL, err
}

// Printed is a query as DuckDB runs it, with what DuckDB can't tell of its results.
type Printed struct {
	SQL string
	// Types are what PostgreSQL calls the types of the results, where the query tells: ""
	// where DuckDB's type is to be believed. There may be fewer of them than results.
	Types []string
	// Origins are the columns that the results show as they are. There may be fewer of them than results.
	Origins []Origin
	// ParamTypes are what PostgreSQL calls the types of the parameters, that of $1 first, where what
	// they are compared with or cast to tells. There may be fewer of them than parameters.
	ParamTypes []string
	// floats tells which results are floats though no type tells it: what names them has to know.
	floats []bool
}

// Print is SQL with the types of the results that DuckDB has no types for, like oid and jsonb.
func (q *Select) Print(b Binding) (Printed, error) {
	bound, tree, err := q.bind(&b)
	if err != nil {
		return Printed{}, err
	}
	sql, err := bound.print(tree)
	p := Printed{SQL: sql, Types: bound.results, Origins: bound.origins, floats: bound.floats}
	for number, t := range bound.toldParams {
		for len(p.ParamTypes) < number {
			p.ParamTypes = append(p.ParamTypes, "")
		}
		p.ParamTypes[number-1] = t
	}
	return p, err
}

// bind turns a copy of the tree into DuckDB's.
func (q *Select) bind(b *Binding) (*binder, *pg.Node, error) {
	bound := &binder{
		src: q.src, binding: b, nonce: strconv.FormatUint(rand.Uint64(), 36), told: map[*pg.Node]string{},
		branches: map[*pg.SelectStmt]bool{}, toldParams: map[int]string{}, kept: q.kept,
	}
	var tree *pg.Node
	if err := b.apart(func() { tree = proto.CloneOf(q.tree) }); err != nil {
		return nil, nil, err
	}
	cols, err := bound.query(tree.GetSelectStmt(), nil)
	if err != nil {
		return nil, nil, err
	}
	if cols.known {
		bound.results, bound.origins = cols.types, cols.origins
	}
	if q.kept {
		for _, node := range tree.GetSelectStmt().GetTargetList() {
			bound.floats = append(bound.floats, bound.isFloat(node.GetResTarget().GetVal()))
		}
	}
	return bound, tree, nil
}

// newSelect checks a query's structure, and finds its relations and parameters.
func newSelect(src source, tree *pg.Node) (*Select, error) {
	b := &binder{src: src, branches: map[*pg.SelectStmt]bool{}, noted: map[int]int{}, positions: positionCounter{source: src}}
	if _, err := b.query(tree.GetSelectStmt(), nil); err != nil {
		return nil, err
	}
	slices.SortFunc(b.params, func(x, y Parameter) int { return x.Number - y.Number })
	q := &Select{at: src.position(), src: src, tree: tree, relations: b.relations, params: b.params}
	if src.travels != nil {
		if err := src.travels.attach(q); err != nil {
			return nil, err
		}
	}
	return q, nil
}
