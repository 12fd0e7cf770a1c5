package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// CodeGrouping is grouping_error.
const CodeGrouping = "42803"

// groupKeys finds what the query groups by, and gives the keys as results of Partial.
func (p *dissection) groupKeys() ([]*pg.Node, error) {
	var targets []*pg.Node
	seen := map[string]bool{}
	for _, node := range p.stmt.GetGroupClause() {
		key, err := p.groupKey(node)
		if err != nil {
			return nil, err
		}
		text := canonical(key)
		if seen[text] {
			continue
		}
		seen[text] = true
		name := keyName(p.inc.Keys)
		if key.GetAConst() == nil { // which stays where it stands: it may have to be a constant there
			p.knows(key, text, name)
		}
		if node != key && node.GetColumnRef() != nil { // a column by the name of a result, if Resolve hasn't seen the query
			p.knows(node, canonical(node), name)
		}
		p.inc.Keys++
		p.inc.keys = append(p.inc.keys, name)
		targets = append(targets, target(cloneNode(key), name))
	}
	return targets, nil
}

// groupKey is the expression that an item of GROUP BY means: a number counts results, a name alone may be that of one.
func (p *dissection) groupKey(node *pg.Node) (*pg.Node, error) {
	key := node
	if c := node.GetAConst(); c != nil {
		i, isInt := c.GetVal().(*pg.A_Const_Ival)
		if !isInt {
			return nil, p.src.at(errorf(CodeSyntax, "non-integer constant in GROUP BY"), c.GetLocation())
		}
		n := int(i.Ival.GetIval())
		if n < 1 || n > len(p.stmt.GetTargetList()) {
			return nil, p.src.at(errorf(CodeInvalidReference, "GROUP BY position %d is not in select list", n), c.GetLocation())
		}
		key = p.stmt.GetTargetList()[n-1].GetResTarget().GetVal()
	} else if value := p.named(node); value != nil {
		key = value
	}
	if call := aggregateIn(key); call != nil {
		return nil, p.src.at(errorf(CodeGrouping, "aggregate functions are not allowed in GROUP BY"), call.GetLocation())
	}
	return key, nil
}

// named is the result that a name alone means; nil if it means none.
func (p *dissection) named(n *pg.Node) *pg.Node {
	name, ok := bareName(n)
	if !ok {
		return nil
	}
	for _, node := range p.stmt.GetTargetList() {
		// A column of the table goes before a result. Resolve has qualified it, and if it hasn't seen the query, no key is an aggregate.
		if t := node.GetResTarget(); t.GetName() == name && !hasAggregate(node) {
			return t.GetVal()
		}
	}
	return nil
}

// knows notes that a column of Shown stands for an expression.
func (p *dissection) knows(n *pg.Node, text, name string) {
	p.known[text] = columnRef(relationKept, name)
	if size := measure(n, p.sizes); !slices.Contains(p.sought, size) {
		p.sought = append(p.sought, size)
	}
}

// shown turns an expression of the query into one over Shown: keys and aggregates become columns.
func (p *dissection) shown(n *pg.Node) error {
	if n.GetNode() == nil {
		return nil
	}
	measure(n, p.sizes)
	return p.show(n)
}

func (p *dissection) show(n *pg.Node) error {
	if n.GetAConst() == nil && slices.Contains(p.sought, p.sizes[n]) {
		if column := p.known[canonical(n)]; column != nil {
			n.Node = cloneNode(column).GetNode()
			return nil
		}
	}
	if ref := n.GetColumnRef(); ref != nil {
		name, _ := lastName(ref.GetFields())
		if len(ref.GetFields()) > 1 {
			name = strsOf(ref.GetFields())[len(ref.GetFields())-2] + "." + name
		}
		return p.src.at(errorf(CodeGrouping, "column %q must appear in the GROUP BY clause or be used in an aggregate function", name), ref.GetLocation())
	}
	if isAggregate(n) {
		n.Node = p.aggregate(n.GetFuncCall()).GetNode()
		return nil
	}
	var err error
	nodesIn(n.ProtoReflect(), func(child *pg.Node) {
		if err == nil {
			err = p.show(child)
		}
	})
	return err
}

// aggregate is the column of Shown that has the value of an aggregate.
func (p *dissection) aggregate(c *pg.FuncCall) *pg.Node {
	call := &pg.Node{Node: &pg.Node_FuncCall{FuncCall: proto.CloneOf(c)}}
	name := strsOf(c.GetFuncname())[len(c.GetFuncname())-1]
	value := shownValue{by: -1}
	if name == "avg" {
		sum, count := cloneNode(call), cloneNode(call)
		sum.GetFuncCall().Funcname, count.GetFuncCall().Funcname = strNodes("sum"), strNodes("count")
		value.part, value.by = p.part(sum, "sum"), p.part(count, "count")
	} else {
		value.part = p.part(call, name)
	}
	i := slices.Index(p.inc.values, value)
	if i < 0 {
		i = len(p.inc.values)
		p.inc.values = append(p.inc.values, value)
	}
	return columnRef(relationKept, valueName(i))
}

// part is the number of the column of Partial that an aggregate is, each of which is there once.
func (p *dissection) part(call *pg.Node, name string) int {
	text := canonical(call)
	if i, ok := p.parts[text]; ok {
		return i
	}
	p.parts[text] = len(p.inc.parts)
	part := keptPart{call: call, merge: name}
	switch name {
	case "count":
		part.merge, part.counts = "sum", true
	case "every":
		part.merge = "bool_and"
	}
	p.inc.parts = append(p.inc.parts, part)
	return len(p.inc.parts) - 1
}

// isIncremental tells whether an aggregate of several batches can be made of those of each.
func isIncremental(name string) bool {
	switch name {
	case "count", "sum", "avg", "min", "max", "bool_and", "bool_or", "every":
		return true
	}
	return false
}

// listedFunction is the function of a call, nil if it isn't on this package's list.
func listedFunction(c *pg.FuncCall) (*function, string) {
	q, ok := catalogSchema(c.GetFuncname())
	if !ok || q.schema != "" {
		return nil, ""
	}
	return lookupFunction(q.name), q.name
}

func isAggregate(n *pg.Node) bool {
	if n.GetFuncCall() == nil || n.GetFuncCall().GetOver() != nil {
		return false
	}
	f, _ := listedFunction(n.GetFuncCall())
	return f != nil && f.kind == aggregateFunction
}

// aggregateIn is the first aggregate in an expression; nil if there is none.
func aggregateIn(n *pg.Node) *pg.FuncCall {
	if isAggregate(n) {
		return n.GetFuncCall()
	}
	var found *pg.FuncCall
	nodesIn(n.ProtoReflect(), func(child *pg.Node) {
		if found == nil {
			found = aggregateIn(child)
		}
	})
	return found
}

func hasAggregate(n *pg.Node) bool { return aggregateIn(n) != nil }

// nodesIn calls visit for the nodes of a message that aren't within others of its, in the order of its fields: what is kept of a query is
// numbered by it, and so has to be the same in each build.
func nodesIn(m protoreflect.Message, visit func(*pg.Node)) {
	if !m.IsValid() {
		return
	}
	if _, ok := m.Interface().(*pg.Node); ok { // one field of very many
		if f := m.WhichOneof(m.Descriptor().Oneofs().Get(0)); f != nil {
			nodesIn(m.Get(f).Message(), visit)
		}
		return
	}
	one := func(m protoreflect.Message) {
		if n, ok := m.Interface().(*pg.Node); ok {
			visit(n)
		} else {
			nodesIn(m, visit)
		}
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.Message() == nil || !m.Has(f):
		case f.IsList():
			list := m.Get(f).List()
			for j := range list.Len() {
				one(list.Get(j).Message())
			}
		default:
			one(m.Get(f).Message())
		}
	}
}

// measure notes how many nodes an expression and each one within it has.
func measure(n *pg.Node, sizes map[*pg.Node]int) int {
	count := 1
	nodesIn(n.ProtoReflect(), func(child *pg.Node) { count += measure(child, sizes) })
	sizes[n] = count
	return count
}

// canonical is a text that two expressions over one table share if they are the same: columns go by their names, and
// where something stands doesn't matter.
func canonical(n *pg.Node) string {
	n = cloneNode(n)
	bare(n.ProtoReflect())
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(n)
	if err != nil { // of a tree that the grammar made
		return ""
	}
	return string(text)
}

// bare removes positions and qualifiers of columns.
func bare(m protoreflect.Message) {
	if ref, ok := m.Interface().(*pg.ColumnRef); ok && len(ref.GetFields()) > 1 {
		ref.Fields = ref.GetFields()[len(ref.GetFields())-1:]
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Name() == "location":
			m.Clear(f)
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				bare(v.List().Get(i).Message())
			}
		default:
			bare(v.Message())
		}
		return true
	})
}
