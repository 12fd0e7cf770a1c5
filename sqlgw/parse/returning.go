package parse

import (
	"cmp"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Returning is what an INSERT tells of the rows that it adds.
type Returning struct {
	// Query selects it from the table, ordered by its _offset. The first of its relations is the table, in
	// whose place the added rows are read; any other is what the clause's subqueries read.
	Query *Select
	// Params are the statement's numbers of the query's parameters $1, $2 and so on: it has only those that stand
	// in the clause.
	Params []int
	// Items are those of the list.
	Items []ReturningItem
}

// ReturningItem is one of the list of RETURNING.
type ReturningItem struct {
	// Star stands for all columns of the table.
	Star bool
	// Offset is the column _offset by itself: nothing else can be made of it, because it is known only when the
	// rows were appended.
	Offset bool
}

// Offset tells whether the offsets of the rows are asked for.
func (r *Returning) Offset() bool {
	if r == nil {
		return false
	}
	for _, item := range r.Items {
		if item.Offset {
			return true
		}
	}
	return false
}

// returning makes the query of a list of RETURNING; nil if there is none.
func (s source) returning(n *pg.InsertStmt) (*Returning, error) {
	targets := n.GetReturningList()
	if len(targets) == 0 {
		return nil, nil //nolint:nilnil // there is no such clause
	}
	r := &Returning{}
	for _, t := range targets {
		value := t.GetResTarget().GetVal()
		item := returningItem(value)
		if !item.Offset {
			if err := s.checkReturning(value); err != nil {
				return nil, err
			}
		}
		r.Items = append(r.Items, item)
	}
	r.Params = renumber(targets)
	table := n.GetRelation()
	query := queryOf(targets...)
	query.FromClause = []*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: proto.CloneOf(table)}}}
	query.SortClause = []*pg.Node{{Node: &pg.Node_SortBy{SortBy: &pg.SortBy{
		Node:        columnRef(cmp.Or(table.GetAlias().GetAliasname(), table.GetRelname()), MetaOffset),
		SortbyDir:   pg.SortByDir_SORTBY_DEFAULT,
		SortbyNulls: pg.SortByNulls_SORTBY_NULLS_DEFAULT,
	}}}}
	var err error
	r.Query, err = newSelect(s, selectNode(query))
	return r, err
}

// renumber gives the parameters that stand in some nodes the numbers from 1 on, and returns those that they had.
func renumber(nodes []*pg.Node) []int {
	var refs []*pg.ParamRef
	for _, n := range nodes {
		walkNodes(n.ProtoReflect(), func(n *pg.Node) bool {
			if p := n.GetParamRef(); p != nil {
				refs = append(refs, p)
			}
			return true
		})
	}
	var had []int
	for _, p := range refs {
		had = append(had, int(p.GetNumber()))
	}
	slices.Sort(had)
	had = slices.Compact(had)
	for _, p := range refs {
		p.Number = int32(slices.Index(had, int(p.GetNumber())) + 1) //nolint:gosec // it is no greater than it was
	}
	return had
}

func returningItem(value *pg.Node) ReturningItem {
	fields := value.GetColumnRef().GetFields()
	if len(fields) == 0 {
		return ReturningItem{}
	}
	last := fields[len(fields)-1]
	return ReturningItem{Star: last.GetAStar() != nil, Offset: last.GetString_().GetSval() == MetaOffset}
}

// checkReturning refuses what can't be asked of rows one by one before they are appended.
func (s source) checkReturning(value *pg.Node) error {
	var err error
	walkNodes(value.ProtoReflect(), func(n *pg.Node) bool {
		switch {
		case err != nil:
			return false
		case n.GetSubLink() != nil: // whose query may do all that a query may
			err = s.checkReturning(n.GetSubLink().GetTestexpr())
			return false
		case returningItem(n).Offset:
			err = s.at(refuse("_offset in an expression of RETURNING"), n.GetColumnRef().GetLocation()).
				hinted("It is known only once the row was appended. Return it by itself.")
		case n.GetFuncCall() != nil:
			err = s.checkReturningCall(n.GetFuncCall())
		}
		return err == nil
	})
	return err
}

func (s source) checkReturningCall(c *pg.FuncCall) error {
	if c.GetOver() != nil {
		return s.at(errorf("42P20", "window functions are not allowed in RETURNING"), c.GetLocation())
	}
	q, _ := catalogSchema(c.GetFuncname())
	f := lookupFunction(q.name)
	switch {
	case f == nil || q.schema != "":
	case f.kind == aggregateFunction:
		return s.at(errorf("42803", "aggregate functions are not allowed in RETURNING"), c.GetLocation())
	case f.kind == setFunction:
		return s.at(errorf(CodeNotSupported, "set-returning functions are not allowed in RETURNING"), c.GetLocation())
	}
	return nil
}

// walkNodes visits the nodes of a tree, from above, and those below one for which visit returns true.
func walkNodes(m protoreflect.Message, visit func(*pg.Node) bool) {
	if !m.IsValid() {
		return
	}
	if n, ok := m.Interface().(*pg.Node); ok && !visit(n) {
		return
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				walkNodes(value.List().Get(i).Message(), visit)
			}
		default:
			walkNodes(value.Message(), visit)
		}
		return true
	})
}
