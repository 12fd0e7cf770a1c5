package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// styled tells whether the texts of values may be others than DuckDB's.
func (b *binder) styled() bool {
	return b.binding != nil && b.binding.Style != nil && *b.binding.Style != *style.Default()
}

// pgName is pg_type's name of a type of time; "" of others.
func pgName(k columnar.Kind) string {
	switch k {
	case columnar.Date:
		return "date"
	case columnar.Time:
		return "time"
	case columnar.Timestamp:
		return "timestamp"
	case columnar.TimestampTZ:
		return timestampTZ
	case columnar.Interval:
		return "interval"
	default:
		return ""
	}
}

// readsTime tells whether a cast to a type of time may be that of a text, which DuckDB reads in no style.
func (b *binder) readsTime(arg *pg.Node, d duckDBType) bool {
	if !b.styled() || pgName(d.typ.Kind) == "" {
		return false
	}
	switch b.told[arg] {
	case "date", "time", "timestamp", timestampTZ, "interval":
		return false
	}
	return true
}

// writeArguments makes texts of what concat and its kin are given, where DuckDB would write them in another style.
func (b *binder) writeArguments(f *function, c *pg.FuncCall) {
	if !b.styled() || f.duck != "concat" && f.duck != "concat_ws" {
		return
	}
	for i, arg := range c.GetArgs() {
		if arg.GetAConst() == nil && arg.GetParamRef() == nil {
			c.Args[i] = callNode("bs_text", arg)
		}
	}
}

// writeOperand makes a text of an operand of || that isn't one.
func (b *binder) writeOperand(n *pg.Node) *pg.Node {
	if !b.styled() {
		return n
	}
	switch b.told[n] {
	case "date", "timestamp", timestampTZ, "interval", "float4", "float8":
		return callNode("bs_text", n)
	}
	return n
}
