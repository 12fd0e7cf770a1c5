package columnar

import (
	"cmp"

	"broadsheet.dev/broadsheet/message"
)

// Kind is the logical type of a column: the SQL types that a table may have.
type Kind uint8

// The kinds. Text, Varchar, Char, JSON, JSONB and Bytea are held as strings: text as
// valid UTF-8 without NUL, Char with its padding, JSON without blanks between its
// tokens, JSONB normalised (see json.go) and without blanks too. An Array is held as the text that
// PostgreSQL prints of it (see array.go).
const (
	Bool Kind = iota + 1
	Int16
	Int32
	Int64
	Float32
	Float64
	Decimal // Precision 1..38, Scale 0..Precision
	Text
	Varchar // Length characters at most; 0 is unlimited
	Char    // blank-padded to Length characters; 0 is unlimited and unpadded
	Bytea
	Date        // days since 1970-01-01, or DateInfinity, DateNegInfinity
	Time        // microseconds since midnight, 24:00 included
	Timestamp   // microseconds since 1970-01-01, no zone; or TimestampInfinity, TimestampNegInfinity
	TimestampTZ // microseconds since 1970-01-01 UTC, or infinite as Timestamp
	Interval
	UUID
	JSON
	JSONB
	Array // of one dimension, with elements of the kind Element
)

// Type is a Kind with its modifiers.
type Type struct {
	Kind      Kind
	Precision uint8 // Decimal
	Scale     uint8 // Decimal
	Length    int32 // Varchar, Char
	Element   Kind  // Array, whose other modifiers are those of its elements
}

// Column of a schema.
type Column struct {
	Name    string
	Type    Type
	NotNull bool
	// Key is what lines call the column, where that isn't Name: it had another name when they were written.
	Key string
	// Missing is the value, as JSON, of a line that doesn't have the key; "" is NULL. Lines that are written have it, also
	// where they say null.
	Missing string
}

// LineKey is what lines call the column.
func (c *Column) LineKey() string { return cmp.Or(c.Key, c.Name) }

// Schema is an ordered list of columns. Version changes whenever what fits the
// schema, or how it is read, changes.
type Schema struct {
	Columns []Column
	Version int64
	// Messages, if it isn't empty, tells that lines are messages (docs/format/message.md), whose UUIDs are at
	// this JSON pointer. A line that acknowledges others is no row then, and no reject.
	Messages string
	// Format is how rows stand in journals; nil is as lines of JSON.
	Format Format
}

// Int128 is a signed two's complement 128-bit integer, laid out as DuckDB's hugeint.
type Int128 struct {
	Lo uint64
	Hi int64
}

// IntervalValue is laid out as DuckDB's interval.
type IntervalValue struct {
	Months int32
	Days   int32
	Micros int64
}

// Strings is a column of byte strings: value i is Bytes[Offsets[i]:Offsets[i+1]].
// Offsets has one element more than there are values.
type Strings struct {
	Offsets []uint32
	Bytes   []byte
}

// Vector is one column of a batch. Exactly the slice that Type.Kind names has
// the batch's length, the others are nil:
//
//	Bool                                   Bools (0 or 1)
//	Int16, Int32, Int64                    I16, I32, I64
//	Float32, Float64                       F32, F64
//	Decimal                                I128 (unscaled value, any precision)
//	Text Varchar Char Bytea JSON JSONB     Str
//	Array                                  Str
//	Date                                   I32
//	Time, Timestamp, TimestampTZ           I64
//	Interval                               Intervals
//	UUID                                   I128 (big-endian value: Hi is the first 8 bytes)
//
// Null[i] tells that value i is NULL (its slot then holds the zero value); a nil
// Null means that none is.
type Vector struct {
	Type      Type
	Null      []bool
	Bools     []uint8
	I16       []int16
	I32       []int32
	I64       []int64
	F32       []float32
	F64       []float64
	I128      []Int128
	Intervals []IntervalValue
	Str       Strings
}

// Batch is a run of rows in columns. A batch that was handed out is never
// changed again, so that caches and scans can share it.
type Batch struct {
	Len  int
	Cols []Vector
	// Journal and Offsets tell where each row was read: _journal, and the offset of
	// the row's first byte. Both are zero for rows that weren't read from a journal.
	Journal string
	Offsets []int64
	// Ends are the offsets after the rows' newlines, where a Scanner was asked for them.
	Ends []int64
	// Clocks are those of the rows' UUIDs, 0 for none, where it was asked for ends and lines are messages.
	Clocks []message.Clock
}

// MaxLine is the longest row in bytes, its newline not counted. A longer line is a
// reject whatever it says, and a longer row isn't written.
const MaxLine = 16 << 20
