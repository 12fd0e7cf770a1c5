package duck

import (
	"fmt"
	"math"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// bind gives the parameters their values.
func (s *Stmt) bind(args *columnar.Batch) error {
	if args == nil {
		args = &columnar.Batch{Len: 1}
	}
	if args.Len != 1 || len(args.Cols) != len(s.params) {
		return &Error{
			Class: ClassBinder, SQLSTATE: "08P01", Position: -1,
			Message: fmt.Sprintf("the statement has %d parameters, not %d (of %d rows)", len(s.params), len(args.Cols), args.Len),
		}
	}
	for i := range args.Cols {
		if !s.given[i] {
			continue
		}
		if err := s.bindOne(mapping.IdxT(i+1), &args.Cols[i]); err != nil {
			return fmt.Errorf("parameter $%d: %w", i+1, err)
		}
	}
	return nil
}

func (s *Stmt) bindOne(index mapping.IdxT, v *columnar.Vector) error {
	value := mapping.CreateNullValue()
	if v.Null == nil || !v.Null[0] {
		if err := checkLen(v, 1); err != nil {
			return err
		}
		if err := checkValues(v, 0, 1); err != nil {
			return &Error{Class: ClassConversion, SQLSTATE: "22000", Position: -1, Message: err.Error(), Raw: err.Error()}
		}
		mapping.DestroyValue(&value)
		var err error
		if value, err = newValue(v); err != nil {
			return err
		}
	}
	defer mapping.DestroyValue(&value)
	if mapping.BindValue(s.native, index, value) != mapping.StateSuccess {
		return s.conn.db.scrub.newError(mapping.PrepareError(s.native))
	}
	return nil
}

// newValue makes DuckDB's value of the first of v, which isn't NULL; the caller destroys it.
func newValue(v *columnar.Vector) (mapping.Value, error) {
	switch v.Type.Kind {
	case columnar.Bool:
		return mapping.CreateBool(v.Bools[0] != 0), nil
	case columnar.Int16:
		return mapping.CreateInt16(v.I16[0]), nil
	case columnar.Int32:
		return mapping.CreateInt32(v.I32[0]), nil
	case columnar.Int64:
		return mapping.CreateInt64(v.I64[0]), nil
	case columnar.Float32:
		return mapping.CreateFloat(v.F32[0]), nil
	case columnar.Float64:
		return mapping.CreateDouble(v.F64[0]), nil
	case columnar.Decimal:
		if _, err := typeSQL(v.Type); err != nil {
			return mapping.Value{}, err
		}
		huge := mapping.NewHugeInt(v.I128[0].Lo, v.I128[0].Hi)
		return mapping.CreateDecimal(mapping.NewDecimal(v.Type.Precision, v.Type.Scale, huge)), nil
	case columnar.Text, columnar.Varchar, columnar.Char, columnar.JSON, columnar.JSONB:
		return mapping.CreateVarchar(string(v.Str.Value(0))), nil
	case columnar.Bytea:
		return mapping.CreateBlob(v.Str.Value(0)), nil
	case columnar.Date:
		return mapping.CreateDate(mapping.NewDate(v.I32[0])), nil
	case columnar.Time:
		return mapping.CreateTime(mapping.NewTime(v.I64[0])), nil
	case columnar.Timestamp:
		return mapping.CreateTimestamp(mapping.NewTimestamp(v.I64[0])), nil
	case columnar.TimestampTZ:
		return mapping.CreateTimestampTZ(mapping.NewTimestamp(v.I64[0])), nil
	case columnar.Interval:
		i := v.Intervals[0]
		return mapping.CreateInterval(mapping.NewInterval(i.Months, i.Days, i.Micros)), nil
	case columnar.UUID:
		return mapping.CreateUUID(mapping.NewUHugeInt(v.I128[0].Lo, uint64(v.I128[0].Hi))), nil
	case columnar.Array:
		return newList(v)
	default:
		return mapping.Value{}, unsupported("a value of kind %d can't be bound", v.Type.Kind)
	}
}

// checkLen tells whether the slice that v's kind names holds n values, so that
// nothing that a source or a caller got wrong is read past its end.
func checkLen(v *columnar.Vector, n int) error {
	have := 0
	switch v.Type.Kind {
	case columnar.Bool:
		have = len(v.Bools)
	case columnar.Int16:
		have = len(v.I16)
	case columnar.Int32, columnar.Date:
		have = len(v.I32)
	case columnar.Int64, columnar.Time, columnar.Timestamp, columnar.TimestampTZ:
		have = len(v.I64)
	case columnar.Float32:
		have = len(v.F32)
	case columnar.Float64:
		have = len(v.F64)
	case columnar.Decimal, columnar.UUID:
		have = len(v.I128)
	case columnar.Interval:
		have = len(v.Intervals)
	case columnar.Text, columnar.Varchar, columnar.Char, columnar.Bytea, columnar.JSON, columnar.JSONB, columnar.Array:
		have = len(v.Str.Offsets) - 1
	}
	if have != n || v.Null != nil && len(v.Null) != n {
		return fmt.Errorf("a vector of kind %d has %d values and %d null marks for %d rows", v.Type.Kind, have, len(v.Null), n)
	}
	if v.Str.Offsets != nil && uint64(v.Str.Offsets[n]) > uint64(min(len(v.Str.Bytes), math.MaxUint32)) {
		return fmt.Errorf("a vector's last offset %d is behind its %d bytes", v.Str.Offsets[n], len(v.Str.Bytes))
	}
	return nil
}
