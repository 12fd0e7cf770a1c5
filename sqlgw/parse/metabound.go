package parse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// BoundJournal is the column of the system's relations by which their rows are told apart before they are made.
const BoundJournal = "journal"

// Bound is a comparison of a relation's metadata column, or of its column BoundJournal, with a value that doesn't depend on rows. It is one of those that
// WHERE wants to hold together, where the relation stands in FROM itself: so a row that doesn't meet it can't change the
// result, whatever the joins are.
type Bound struct {
	Column string // MetaJournal, MetaOffset, MetaTimestamp or BoundJournal
	Op     string // <, <=, =, >= or >, with the column on its left; of BoundJournal =, IN or LIKE
	// Value is a constant, a parameter or, for MetaTimestamp, the time of the statement, moved by intervals.
	Value AsOf
	// In are the values of IN, in place of Value.
	In []AsOf
}

// noteBounds records the bounds of a WHERE clause, before it is changed. What isn't understood is no bound.
func (b *binder) noteBounds(where *pg.Node, sc *scope) {
	if b.knows() || where == nil {
		return
	}
	for _, n := range conjuncts(where, nil) {
		e := n.GetAExpr()
		switch e.GetKind() {
		case pg.A_Expr_Kind_AEXPR_OP:
			b.noteComparison(strsOf(e.GetName()), e.GetLexpr(), e.GetRexpr(), sc)
		case pg.A_Expr_Kind_AEXPR_BETWEEN:
			if ends := e.GetRexpr().GetList().GetItems(); len(ends) == 2 {
				b.noteComparison([]string{">="}, e.GetLexpr(), ends[0], sc)
				b.noteComparison([]string{"<="}, e.GetLexpr(), ends[1], sc)
			}
		case pg.A_Expr_Kind_AEXPR_IN, pg.A_Expr_Kind_AEXPR_LIKE:
			b.noteJournals(e, sc)
		default:
		}
	}
}

// noteJournals records that a relation's journal is one of some, or like a pattern.
func (b *binder) noteJournals(e *pg.A_Expr, sc *scope) {
	relation, column := b.boundColumn(e.GetLexpr(), sc)
	if relation < 0 || column != BoundJournal {
		return
	}
	made := Bound{Column: column, Op: "LIKE"}
	var ok bool
	switch op := strings.Join(strsOf(e.GetName()), "."); {
	case e.GetKind() == pg.A_Expr_Kind_AEXPR_LIKE && op == "~~":
		made.Value, ok = journalValue(e.GetRexpr())
	case e.GetKind() == pg.A_Expr_Kind_AEXPR_IN && op == "=":
		made.Op, ok = "IN", true
		for _, n := range e.GetRexpr().GetList().GetItems() {
			v, known := journalValue(n)
			made.In, ok = append(made.In, v), ok && known
		}
	}
	if ok {
		b.relations[relation].Bounds = append(b.relations[relation].Bounds, made)
	}
}

// journalValue is a value that no row changes, perhaps cast to what it is.
func journalValue(n *pg.Node) (AsOf, bool) {
	if c := n.GetTypeCast(); len(c.GetTypeName().GetTypmods()) == 0 {
		switch typeOf(c.GetTypeName()).full() {
		case "text", "varchar":
			n = c.GetArg()
		}
	}
	return boundValue(n)
}

// conjuncts are what an expression wants to hold together.
func conjuncts(n *pg.Node, out []*pg.Node) []*pg.Node {
	and := n.GetBoolExpr()
	if and.GetBoolop() != pg.BoolExprType_AND_EXPR {
		return append(out, n)
	}
	for _, arg := range and.GetArgs() {
		out = conjuncts(arg, out)
	}
	return out
}

// noteComparison records a comparison, if it is one of a metadata column with a value.
func (b *binder) noteComparison(op []string, left, right *pg.Node, sc *scope) {
	mirrored := map[string]string{"<": ">", "<=": ">=", "=": "=", ">=": "<=", ">": "<"}
	if len(op) != 1 || mirrored[op[0]] == "" {
		return
	}
	is := op[0]
	relation, column := b.boundColumn(left, sc)
	if relation < 0 {
		relation, column = b.boundColumn(right, sc)
		right, is = left, mirrored[is]
	}
	if relation < 0 || column == BoundJournal && is != "=" {
		return
	}
	value := boundValue
	if column == BoundJournal {
		value = journalValue
	}
	if v, ok := value(right); ok {
		r := &b.relations[relation]
		r.Bounds = append(r.Bounds, Bound{Column: column, Op: is, Value: v})
	}
}

// boundColumn is the column that an expression is, if it is one that bounds are noted of, and its relation in FROM; -1 if that isn't
// certain. Whether the relation has a column BoundJournal isn't known here.
func (b *binder) boundColumn(n *pg.Node, sc *scope) (int, string) {
	names := strsOf(n.GetColumnRef().GetFields())
	if len(names) == 0 || !isMeta(names[len(names)-1]) && names[len(names)-1] != BoundJournal {
		return -1, ""
	}
	var it *item
	switch {
	case len(names) == 1 && len(sc.items) == 1:
		it = sc.items[0]
	case len(names) == 2:
		it = sc.item(names[0])
	}
	if it == nil || it.renamed {
		return -1, ""
	}
	return it.relation, names[len(names)-1]
}

// boundValue is the value of an expression that no row changes.
func boundValue(n *pg.Node) (AsOf, bool) {
	var v AsOf
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		text, ok := constantText(e.AConst)
		v.Text = &text
		return v, ok
	case *pg.Node_ParamRef:
		v.Param = int(e.ParamRef.GetNumber())
		return v, v.Param > 0
	case *pg.Node_TypeCast:
		t := typeOf(e.TypeCast.GetTypeName())
		if t.full() != "timestamptz" {
			return v, false
		}
		return boundValue(e.TypeCast.GetArg())
	case *pg.Node_SqlvalueFunction:
		v.Now = e.SqlvalueFunction.GetOp() == pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP
		return v, v.Now
	case *pg.Node_FuncCall:
		name := strsOf(e.FuncCall.GetFuncname())
		v.Now = len(e.FuncCall.GetArgs()) == 0 && name[len(name)-1] == "now" && (len(name) == 1 || name[0] == "pg_catalog")
		return v, v.Now
	case *pg.Node_AExpr:
		return shiftedValue(e.AExpr)
	}
	return v, false
}

// shiftedValue is a value that is moved by an interval.
func shiftedValue(e *pg.A_Expr) (AsOf, bool) {
	op := strings.Join(strsOf(e.GetName()), ".")
	cast := e.GetRexpr().GetTypeCast()
	if e.GetKind() != pg.A_Expr_Kind_AEXPR_OP || op != "+" && op != "-" || len(cast.GetTypeName().GetTypmods()) > 0 ||
		typeOf(cast.GetTypeName()).full() != "interval" {
		return AsOf{}, false
	}
	interval, ok := stringConst(cast.GetArg())
	if !ok {
		return AsOf{}, false
	}
	v, ok := boundValue(e.GetLexpr())
	v.Shifts = append(v.Shifts, Shift{Back: op == "-", Interval: interval})
	return v, ok
}
