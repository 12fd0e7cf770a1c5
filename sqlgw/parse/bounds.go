package parse

import (
	"math"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Bounds of what DuckDB can neither interrupt nor keep within its memory limit. They are
// set on the tree: a number that is a constant is compared with the bound (54000). The length
// of a text that isn't is refused (0A000): cutting it to the bound would change answers. The
// bounds of a series that come from columns are compared while running, which fails with the
// same words. A query that joins or concatenates its way to too much memory is left to the
// process's ceiling.
const (
	// maxGrowth is how often a text may be repeated, or how long it may be padded: the product of
	// nested calls, and the length of a constant that is repeated.
	maxGrowth = 1 << 20
	// maxGrowthOfColumn is the same for a text that is not a constant: there are 2048 of them at
	// a time.
	maxGrowthOfColumn = 1 << 14
	// maxSeries is the number of elements of a set that DuckDB makes as one list.
	maxSeries = 10_000
)

// grow refuses a call whose result could be too long, and notes by how much it multiplies
// its input.
func (b *binder) grow(c *pg.FuncCall) *Error {
	q, _ := catalogSchema(c.GetFuncname())
	name := q.name
	if name != "repeat" && name != "lpad" && name != "rpad" || len(c.GetArgs()) < 2 {
		return nil
	}
	times, ok := intValue(c.GetArgs()[1])
	if !ok {
		return refuse(name + " with a length that is not a constant")
	}
	limit := int64(maxGrowthOfColumn)
	if text, ok := stringConst(c.GetArgs()[0]); ok {
		limit = maxGrowth
		if name == "repeat" {
			times = saturated(times, int64(len(text)))
		}
	}
	b.grown = saturated(max(b.grown, 1), max(times, 1))
	if b.grown > limit {
		return errorf(CodeLimit, "%s would make a text of more than %d characters", name, limit)
	}
	return nil
}

func saturated(x, y int64) int64 {
	if x > 0 && y > 0 && x > math.MaxInt64/y {
		return math.MaxInt64
	}
	return x * y
}

// boundSeries bounds a generate_series that DuckDB makes a list of. Bounds that aren't
// constants are checked while running.
func boundSeries(c *pg.FuncCall) *Error {
	args := make([]int64, 0, 3)
	for _, arg := range c.GetArgs() {
		value, ok := intValue(arg)
		if !ok {
			return boundColumns(c)
		}
		args = append(args, value)
	}
	step := int64(1)
	if len(args) == 3 {
		step = args[2]
	}
	if step == 0 {
		return errorf(CodeInvalidParameter, "step size cannot equal zero")
	}
	if length := (float64(args[1])-float64(args[0]))/float64(step) + 1; length > maxSeries {
		return errSeries()
	}
	return nil
}

func errSeries() *Error {
	return errorf(CodeLimit, "generate_series would make more than %d values at once", maxSeries).hinted("Put it into FROM, with bounds that name no columns.")
}

// Raised tells whether a message of DuckDB is one that a printed query raises itself
// because a bound was passed, and gives the error that it means; nil if it isn't.
func Raised(message string) *Error {
	if e := errSeries(); strings.Contains(message, e.Message) {
		return e
	}
	return nil
}

// boundColumns has a series checked while running.
func boundColumns(c *pg.FuncCall) *Error {
	for _, arg := range c.GetArgs() {
		_, isText := stringConst(arg)
		if isText || !isSmall(arg) || isTime(arg) {
			return refuse("generate_series with such bounds").hinted("Use integers, or put it into FROM with bounds that name no columns.")
		}
	}
	limitSeries(c)
	return nil
}

// isTime tells whether a cast makes something else than an integer.
func isTime(arg *pg.Node) bool {
	cast := arg.GetTypeCast()
	if cast == nil {
		return false
	}
	switch typeOf(cast.GetTypeName()).name {
	case "int2", "int4", "int8":
		return false
	}
	return true
}

// namesColumns tells whether a call's arguments name a column, or hold a query.
func namesColumns(c *pg.FuncCall) bool {
	found := false
	eachNode(c.ProtoReflect(), func(n *pg.Node) {
		found = found || n.GetColumnRef() != nil || n.GetSubLink() != nil
	})
	return found
}
