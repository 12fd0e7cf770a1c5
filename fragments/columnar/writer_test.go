package columnar

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// readBack scans one line that must be a row.
func readBack(t require.TestingT, schema Schema, line []byte) *Batch {
	s := NewScanner(bytes.NewReader(line), ScanOptions{End: int64(len(line)), Schema: schema})
	batch, rejects, err := s.Next()
	require.NoError(t, err, "%q", line)
	require.Empty(t, rejects)
	require.Equal(t, 1, batch.Len, "%q", line)
	require.EqualValues(t, len(line), s.Offset(), "one line, and its newline")
	return batch
}

// TestWriteForms runs testdata/write: the first line of a block is a type, the others
// are values in PostgreSQL's text. The output is the row that INSERT writes of each.
func TestWriteForms(t *testing.T) {
	datadriven.RunTest(t, "testdata/write", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		lines := strings.Split(d.Input, "\n")
		typ, err := TypeFromSQL(lines[0], nil)
		require.NoError(t, err)
		schema := Schema{Columns: []Column{{Name: "c", Type: typ}}}
		for _, l := range lines[1:] {
			into := NewVectorBuilder(typ)
			value := l
			if strings.HasPrefix(l, `"`) && typ.Kind.isCharacters() {
				value, err = strconv.Unquote(l)
				require.NoError(t, err)
			}
			if l == "NULL" {
				into.AppendNull()
			} else {
				require.NoError(t, ParseText(typ, value, into), l)
			}
			batch := &Batch{Len: 1, Cols: []Vector{into.Vector()}}
			row, err := NewRowWriter(schema, nil).AppendRow(nil, batch, 0)
			require.NoError(t, err)
			proof, err := NewProver(schema).Prove(bytes.NewReader(row))
			require.NoError(t, err)
			note := ""
			if !proof.Clean {
				note = "   # only the decoder reads this"
			}
			fmt.Fprintf(&out, "%s%s\n", bytes.TrimSuffix(row, []byte("\n")), note)
			back := readBack(t, schema, row)
			if value != "null" {
				require.Equal(t, values(&batch.Cols[0]), values(&back.Cols[0]))
			}
		}
		return out.String()
	})
}

// TestRoundTrip writes rows of all types and reads them back: the same values, whatever
// they are.
func TestRoundTrip(t *testing.T) {
	schema := everySchema()
	rapid.Check(t, func(t *rapid.T) {
		batch := &Batch{Len: 1}
		for _, c := range schema.Columns {
			into := NewVectorBuilder(c.Type)
			if c.NotNull {
				genValue(t, c.Type, into)
			} else {
				genRows(t, into, 1)
			}
			batch.Cols = append(batch.Cols, into.Vector())
		}
		before := []byte("before")
		row, err := NewRowWriter(schema, nil).AppendRow(before, batch, 0)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(row, before))
		row = row[len(before):]
		require.Equal(t, len(row)-1, bytes.IndexByte(row, '\n'), "a row is one line")
		back := readBack(t, schema, row)
		for i := range schema.Columns {
			want, got := &batch.Cols[i], &back.Cols[i]
			if k := want.Type.Kind; (k == JSON || k == JSONB) && !want.IsNull(0) && string(want.Str.Value(0)) == "null" {
				require.True(t, got.IsNull(0), "JSON's null is NULL")
				continue
			}
			require.Equal(t, want.IsNull(0), got.IsNull(0))
			require.Equal(t, string(AppendBinary(nil, want, 0)), string(AppendBinary(nil, got, 0)), "%v in %s", want.Type, row)
		}
		again, err := NewRowWriter(schema, nil).AppendRow(nil, back, 0)
		require.NoError(t, err)
		require.Equal(t, string(row), string(again))
	})
}

// TestWrittenRowsAreClean checks that DuckDB can read what we write in place, for all
// values but those that rows.md excepts.
func TestWrittenRowsAreClean(t *testing.T) {
	for _, typ := range allTypes() {
		schema := Schema{Columns: []Column{{Name: "c", Type: typ}}}
		rapid.Check(t, func(t *rapid.T) {
			into := NewVectorBuilder(typ)
			genRows(t, into, 1)
			v := into.Vector()
			row, err := NewRowWriter(schema, nil).AppendRow(nil, &Batch{Len: 1, Cols: []Vector{v}}, 0)
			require.NoError(t, err)
			proof, err := NewProver(schema).Prove(bytes.NewReader(row))
			require.NoError(t, err)
			require.EqualValues(t, 1, proof.Rows)
			if !proof.Clean {
				require.True(t, excepted(&v), "%v: %s", typ, row)
			}
		})
	}
}

// excepted is what rows.md says of values whose form isn't clean.
func excepted(v *Vector) bool {
	const year1, year10000 = -719162, 2932897
	switch v.Type.Kind {
	case Date:
		return v.I32[0] < year1 || v.I32[0] >= year10000
	case Timestamp, TimestampTZ:
		return v.I64[0] < year1*microsPerDay || v.I64[0] >= year10000*microsPerDay
	case Interval:
		return absInt64(v.Intervals[0].Micros) > maxDuckDBMicros
	case JSON, JSONB:
		return !survivesDuckDB(v.Str.Value(0))
	default:
		return false
	}
}

// row1 is a batch of one row.
func row1(t *testing.T, values ...any) *Batch {
	t.Helper()
	b := &Batch{Len: 1}
	for i := 0; i < len(values); i += 2 {
		typ, err := TypeFromSQL(values[i].(string), nil)
		require.NoError(t, err)
		into := NewVectorBuilder(typ)
		switch x := values[i+1].(type) {
		case nil:
			into.AppendNull()
		case string:
			if typ.Kind.isString() {
				into.AppendString(x) // as it is, so that nobody has checked it
			} else {
				require.NoError(t, ParseText(typ, x, into))
			}
		case int32:
			into.AppendInt32(x)
		case int64:
			into.AppendInt64(x)
		case IntervalValue:
			into.AppendInterval(x)
		}
		b.Cols = append(b.Cols, into.Vector())
	}
	return b
}

func schemaOf(t *testing.T, columns ...string) Schema {
	t.Helper()
	var s Schema
	for i := 0; i < len(columns); i += 2 {
		sql, notNull := strings.CutSuffix(columns[i+1], " not null")
		typ, err := TypeFromSQL(sql, nil)
		require.NoError(t, err)
		s.Columns = append(s.Columns, Column{Name: columns[i], Type: typ, NotNull: notNull})
	}
	return s
}

func TestWriteColumns(t *testing.T) {
	schema := schemaOf(t, "a", "integer", `b"\`, "text", "c", "boolean")
	row, err := NewRowWriter(schema, nil).AppendRow(nil, row1(t, "integer", "1", "text", "x", "boolean", "t"), 0)
	require.NoError(t, err)
	want := `{"a":1,"b\"\\":"x","c":true}` + "\n"
	require.Equal(t, []byte(want), row)
	require.Equal(t, []string{"x"}, values(&readBack(t, schema, row).Cols[1]))

	// The batch's columns in another order, and not all of them.
	row, err = NewRowWriter(schema, []int{2, 0}).AppendRow(nil, row1(t, "boolean", nil, "integer", "1"), 0)
	require.NoError(t, err)
	require.Equal(t, `{"a":1,"c":null}`+"\n", string(row))
	row, err = NewRowWriter(schema, []int{}).AppendRow(nil, &Batch{Len: 1}, 0)
	require.NoError(t, err)
	require.Equal(t, "{}\n", string(row))
}

// TestWriteRefuses is all that a row can't hold.
func TestWriteRefuses(t *testing.T) {
	for _, c := range []struct {
		column string
		batch  *Batch
		want   string
	}{
		{"integer not null", row1(t, "integer", nil), `23502 null value in column "c" violates not-null constraint`},
		{"jsonb not null", row1(t, "json", " null "), `23502 null value in column "c" violates not-null constraint`},
		{"bigint", row1(t, "integer", "1"), `42804 column "c" is of type bigint but expression is of type integer`},
		{"text", row1(t, "json", "1"), `42804 column "c" is of type text but expression is of type json`},
		{"bytea", row1(t, "text", `\x00`), `42804 column "c" is of type bytea but expression is of type text`},
		{"text", row1(t, "text", "a\x00b"), `22021 invalid byte sequence for encoding "UTF8": 0x00`},
		{"text", row1(t, "text", "a\xffb"), `22021 invalid byte sequence for encoding "UTF8": 0xff`},
		{"varchar(3)", row1(t, "text", "abcd"), `22001 value too long for type character varying(3)`},
		{"char(3)", row1(t, "varchar", "abcd"), `22001 value too long for type character(3)`},
		{"numeric(3,1)", row1(t, "numeric(5,2)", "99.95"), `22003 numeric field overflow`},
		{"json", row1(t, "json", "[1,]"), `22P02 invalid input syntax for type json`},
		{"jsonb", row1(t, "json", `"\u0000"`), `22P05 unsupported Unicode escape sequence`},
		{"date", row1(t, "date", int32(maxDate+1)), `22008 date out of range`},
		{"date", row1(t, "date", int32(math.MinInt32)), `22008 date out of range`},
		{"time", row1(t, "time", int64(microsPerDay+1)), `22008 time out of range`},
		{"time", row1(t, "time", int64(-1)), `22008 time out of range`},
		{"timestamp", row1(t, "timestamp", int64(minTimestamp-1)), `22008 timestamp out of range`},
		{"timestamptz", row1(t, "timestamptz", int64(math.MinInt64)), `22008 timestamp with time zone out of range`},
		{"interval", row1(t, "interval", IntervalValue{Micros: math.MinInt64}), `22008 interval out of range`},
		{"text", row1(t, "text", strings.Repeat("x", MaxLine-7)), fmt.Sprintf("54000 row is too big: %d bytes, at most %d", MaxLine+1, MaxLine)},
	} {
		dst := []byte("before")
		got, err := NewRowWriter(schemaOf(t, "c", c.column), nil).AppendRow(dst, c.batch, 0)
		e, ok := errors.AsType[*InputError](err)
		require.True(t, ok, "%s: %v", c.column, err)
		require.Equal(t, c.want, e.Code+" "+e.Error(), c.column)
		require.Equal(t, "before", string(got))
	}
	_, err := NewRowWriter(schemaOf(t, "a", "integer", "b", "integer not null"), []int{0}).AppendRow(nil, row1(t, "integer", "1"), 0)
	require.EqualError(t, err, `null value in column "b" violates not-null constraint`)
}

// TestWriteConverts is what the writer makes of values of a near type.
func TestWriteConverts(t *testing.T) {
	for _, c := range []struct {
		column string
		batch  *Batch
		want   string
	}{
		{"varchar(3)", row1(t, "text", "abc   "), `"abc"`},
		{"char(3)", row1(t, "text", "a"), `"a  "`},
		{"char(3)", row1(t, "char(5)", "a    "), `"a  "`},
		{"text", row1(t, "char(3)", "a  "), `"a  "`},
		{"numeric(5,1)", row1(t, "numeric(5,2)", "1.25"), `1.3`},
		{"numeric(5,1)", row1(t, "numeric(5,2)", "-1.25"), `-1.3`},
		{"numeric(38,30)", row1(t, "numeric(5,2)", "1.25"), `"1.250000000000000000000000000000"`},
		{"json", row1(t, "json", ` {"b": 1.50, "a": [ ]} `), `{"b":1.50,"a":[]}`},
		{"jsonb", row1(t, "json", ` {"b": 1.50, "a": [ ]} `), `{"a":[],"b":1.50}`},
		{"json", row1(t, "jsonb", `{"a":1}`), `{"a":1}`},
		{"jsonb", row1(t, "json", "null"), `null`},
	} {
		row, err := NewRowWriter(schemaOf(t, "c", c.column), nil).AppendRow(nil, c.batch, 0)
		require.NoError(t, err, c.column)
		require.Equal(t, `{"c":`+c.want+"}\n", string(row))
	}
}
