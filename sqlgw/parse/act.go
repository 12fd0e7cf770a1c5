package parse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Act is a call of a function that does something to the session or to another one, as an item of a statement's
// SELECT list. DuckDB computes its arguments, as columns of their own; the gateway calls it for each row that it sends.
type Act struct {
	Name string
	// Column is where its arguments begin in what SQL gives: one column for each, or a NULL if it has none.
	Column, Args int
	// Returns is what pg_type calls the type of its result.
	Returns string
}

// Columns is how many columns of what SQL gives stand for the call.
func (a Act) Columns() int { return max(a.Args, 1) }

// Acts are those of the statement, in their order. Each is called by its result's name in what SQL gives.
func (q *Select) Acts() []Act { return slices.Clone(q.acts) }

// actForm is one way to call a function.
type actForm struct{ args, returns string }

// actForms are those of a function that acts; nil for other functions.
func actForms(name string) []actForm {
	switch name {
	case "pg_notify":
		return []actForm{{"text text", "void"}}
	case "set_config":
		return []actForm{{"text text bool", "text"}}
	case "pg_sleep":
		return []actForm{{"float8", "void"}}
	case "pg_sleep_for":
		return []actForm{{"interval", "void"}}
	case "pg_cancel_backend":
		return []actForm{{"int4", "bool"}}
	case "pg_terminate_backend":
		return []actForm{{"int4", "bool"}, {"int4 int8", "bool"}}
	case "pg_advisory_unlock_all":
		return []actForm{{"", "void"}}
	case "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared":
		return []actForm{{"int8", "void"}, {"int4 int4", "void"}}
	case "pg_try_advisory_lock", "pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
		"pg_advisory_unlock", "pg_advisory_unlock_shared":
		return []actForm{{"int8", "bool"}, {"int4 int4", "bool"}}
	}
	return nil
}

// misplacedAct is the error for a function that acts where it can't; nil if it is another function, or has other arguments.
func misplacedAct(name string, args int) *Error {
	if actForm := formOf(name, args); actForm == nil {
		return nil
	}
	return refuse("function " + name + " here").hinted("Call it as an item of the list of a SELECT that is a statement of its own, without DISTINCT, GROUP BY, UNION and *.")
}

// formOf finds the form of a call.
func formOf(name string, args int) *actForm {
	for _, f := range actForms(name) {
		if len(strings.Fields(f.args)) == args {
			return &f
		}
	}
	return nil
}

// actingQuery makes a Select of a statement, whose list may have calls that act.
func (s source) actingQuery(node *pg.Node) (*Select, error) {
	acts := takeActs(node.GetSelectStmt())
	q, err := s.query(node)
	if err == nil {
		q.acts = acts
	}
	return q, err
}

// takeActs puts the arguments of calls that act in their places. A list with a star, whose columns aren't counted yet, keeps them, and
// so does a query whose rows aren't sent one for one.
func takeActs(q *pg.SelectStmt) []Act {
	actInFrom(q)
	list := q.GetTargetList()
	acting := isAct
	if slices.ContainsFunc(list, setsSetting) { // so that what comes after it sees it
		acting = func(item *pg.Node) bool { return isAct(item) || isCallOf(item, readsSetting) }
	}
	if q.GetOp() != pg.SetOperation_SETOP_NONE || len(q.GetDistinctClause()) > 0 || len(q.GetGroupClause()) > 0 || q.GetHavingClause() != nil ||
		!slices.ContainsFunc(list, isAct) || slices.ContainsFunc(list, isStarItem) || ordersByPlace(q) {
		return nil
	}
	var acts []Act
	var out []*pg.Node
	for _, item := range list {
		if !acting(item) {
			out = append(out, item)
			continue
		}
		t := item.GetResTarget()
		c := t.GetVal().GetFuncCall()
		name, _ := catalogSchema(c.GetFuncname())
		form := formOf(name.name, len(c.GetArgs()))
		if form == nil {
			form = settingForm(len(c.GetArgs()))
		}
		acts = append(acts, Act{Name: name.name, Column: len(out), Args: len(c.GetArgs()), Returns: form.returns})
		shown := t.GetName()
		if shown == "" {
			shown = name.name
		}
		types := strings.Fields(form.args)
		for i, arg := range c.GetArgs() {
			out = append(out, target(castTo(arg, "pg_catalog", types[i]), shown))
		}
		if len(types) == 0 {
			out = append(out, target(castTo(nullConst(), "pg_catalog", "bool"), shown))
		}
	}
	q.TargetList = out
	return acts
}

// actInFrom makes SELECT * FROM f() with such a function SELECT f().
func actInFrom(q *pg.SelectStmt) {
	if len(q.GetFromClause()) != 1 || len(q.GetTargetList()) != 1 || !isStarItem(q.GetTargetList()[0]) || q.GetWhereClause() != nil || q.GetWithClause() != nil {
		return
	}
	r := q.GetFromClause()[0].GetRangeFunction()
	if r == nil || r.GetOrdinality() || r.GetIsRowsfrom() || r.GetAlias() != nil || len(r.GetFunctions()) != 1 || !isOneCall(r.GetFunctions()[0].GetList().GetItems()) {
		return
	}
	if item := target(r.GetFunctions()[0].GetList().GetItems()[0], ""); isAct(item) {
		q.FromClause, q.TargetList = nil, []*pg.Node{item}
	}
}

// isAct tells whether an item of a list is a plain call that acts.
func isAct(item *pg.Node) bool {
	return isCallOf(item, func(name string, args int) bool { return formOf(name, args) != nil })
}

func setsSetting(item *pg.Node) bool {
	return isCallOf(item, func(name string, args int) bool { return name == "set_config" && args == 3 })
}

// readsSetting is of a call that is as one that acts, beside one that sets.
func readsSetting(name string, args int) bool {
	return name == "current_setting" && settingForm(args) != nil
}

func settingForm(args int) *actForm {
	switch args {
	case 1:
		return &actForm{"text", "text"}
	case 2:
		return &actForm{"text bool", "text"}
	default:
		return nil
	}
}

// isCallOf tells whether an item of a list is a plain call of one of PostgreSQL's functions.
func isCallOf(item *pg.Node, of func(name string, args int) bool) bool {
	c := item.GetResTarget().GetVal().GetFuncCall()
	if c == nil || !isPlain(c) || c.GetAggStar() || c.GetFuncVariadic() {
		return false
	}
	for _, arg := range c.GetArgs() {
		if arg.GetNamedArgExpr() != nil {
			return false
		}
	}
	name, ok := catalogSchema(c.GetFuncname())
	return ok && name.schema == "" && of(name.name, len(c.GetArgs()))
}

func isStarItem(item *pg.Node) bool { return isStar(item.GetResTarget().GetVal()) }

// ordersByPlace tells whether ORDER BY counts the items of the list.
func ordersByPlace(q *pg.SelectStmt) bool {
	return slices.ContainsFunc(q.GetSortClause(), func(n *pg.Node) bool { return n.GetSortBy().GetNode().GetAConst() != nil })
}
