package views

import (
	"context"
	"errors"
	"fmt"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// Kind is what is kept of a view.
type Kind uint8

// The kinds of views.
const (
	Rows   Kind = iota + 1 // each row of the table that passes the filter, as the projection makes it
	Groups                 // a row for each group
	Single                 // the one row of aggregates without GROUP BY
)

// String is the kind as states have it.
func (k Kind) String() string {
	switch k {
	case Rows:
		return "rows"
	case Groups:
		return "groups"
	case Single:
		return "single"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Plan is a view's query taken apart: how its rows are kept as the table grows.
type Plan struct {
	Kind Kind
	// Partial, over some rows of the table, makes what is kept of them. Rows of a view of rows are just these.
	Partial *parse.Select
	// Keys is how many of Partial's first columns say which group a row is of. Partial gives one row of each.
	Keys int
	// Merge, over kept rows of several batches, makes the kept rows of all: for each group one row, whose columns are as Partial's. Types
	// are DuckDB's names of these. Nil of views of rows.
	Merge func(types []string) (*parse.Select, error)
	// Groups is what Merge reads: scan, in DuckDB's words, has the rows, as Partial was printed.
	Groups func(scan string, partial parse.Printed, types []string) parse.Target
}

// PlanOf takes a query apart, as Select.Incremental does and refuses to.
func PlanOf(query *parse.Select) (Plan, error) {
	kinds := map[parse.Kept]Kind{parse.KeptRows: Rows, parse.KeptGroups: Groups, parse.KeptSingle: Single}
	inc, err := query.Incremental()
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Kind: kinds[inc.Kind], Partial: inc.Partial, Keys: inc.Keys}
	if inc.Kind != parse.KeptRows {
		p.Merge, p.Groups = inc.Merge, inc.Groups
	}
	return p, nil
}

// Validate that there is what the kind needs.
func (p Plan) Validate() error {
	switch {
	case p.Kind != Rows && p.Kind != Groups && p.Kind != Single:
		return fmt.Errorf("a view of %s isn't one", p.Kind)
	case p.Partial == nil:
		return errors.New("a view without its first query")
	case p.Kind != Rows && (p.Merge == nil || p.Groups == nil):
		return errors.New("a view of groups without the query that merges them")
	case p.Keys < 0 || p.Kind != Groups && p.Keys != 0:
		return fmt.Errorf("a view of %s with %d keys", p.Kind, p.Keys)
	}
	return nil
}

// Definition of a view.
type Definition struct {
	// Version is another one whenever anything else of the definition is.
	Version int64
	// Name is what statements call the view.
	Name string
	// Lines are what the lines of the table's journals say.
	Lines columnar.Schema
	// Table is the relation that Partial names: its columns, which are those of Lines in their order, under the names that the query
	// has for them, and their types. SQL is filled in here.
	Table parse.Target
	Plan  Plan
}

// Definitions says what views are.
type Definitions interface {
	// View returns the definition of a view as it is at a moment after the call, or ErrNoView.
	View(ctx context.Context, id int64) (Definition, error)
}

// ErrNoView is of a view that isn't there.
var ErrNoView = errors.New("there is no such view")

// validate what a shard relies on.
func (d *Definition) validate() error {
	if err := d.Plan.Validate(); err != nil {
		return err
	}
	if len(d.Table.Columns) != len(d.Lines.Columns) {
		return fmt.Errorf("the table has %d columns, and the query knows %d", len(d.Lines.Columns), len(d.Table.Columns))
	}
	if len(d.Lines.Columns) == 0 {
		return errors.New("the table has no columns")
	}
	if d.Lines.Format != nil && d.Lines.Format.Frames() {
		return errors.New("materialized views of tables whose rows are frames aren't supported")
	}
	return nil
}
