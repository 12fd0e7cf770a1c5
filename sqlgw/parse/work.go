package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// Bounds of what DuckDB's planner can't be interrupted in. It plans a query in an expression twice, and those in it twice
// each time; and what it does for a type of arrays grows with the cube of their dimensions.
const (
	// maxPlanned is how many plans the queries in a statement's expressions may take together: 13 within each
	// other, or some thousands beside each other.
	maxPlanned = 1 << 14
	// maxDimensions of an array are PostgreSQL's.
	maxDimensions = 6
)

// work is how much the planner is to do.
type work struct {
	queries    int // in expressions around what is at hand
	planned    int // plans of all queries in expressions so far
	dimensions int // of the array constructors around what is at hand
}

// enterQuery begins a query in an expression; leaveQuery is its counterpart.
func (w *work) enterQuery() *Error {
	w.queries++
	w.planned += 1 << min(w.queries, 20)
	if w.planned > maxPlanned {
		return errorf(CodeTooComplex, "statement too complex: queries in expressions would take more than %d plans", maxPlanned).
			hinted("Each query in an expression of another doubles the plans; at most 13 may stand within each other. Join them, or use WITH.")
	}
	return nil
}

func (w *work) leaveQuery() { w.queries-- }

// arrayConstructor handles ARRAY[...].
func (b *binder) arrayConstructor(a *pg.A_ArrayExpr, sc *scope) error {
	b.dimensions++
	defer func() { b.dimensions-- }()
	if b.dimensions > maxDimensions {
		return b.src.at(errorf(CodeLimit, "number of array dimensions (%d) exceeds the maximum allowed (%d)", b.dimensions, maxDimensions), a.GetLocation())
	}
	return b.exprs(a.GetElements(), sc)
}
