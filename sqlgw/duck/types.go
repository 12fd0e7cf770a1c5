package duck

import (
	"fmt"
	"strings"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// widestDecimal is the precision of the widest decimal of DuckDB and of columnar.
const widestDecimal = 38

// layout says how DuckDB lays out the values of a column, and as what type of
// columnar they are handed on.
//
// Invariant: typ.Kind is 0 if and only if values of the column aren't handed on.
type layout struct {
	typ      columnar.Type
	id       mapping.Type // logical
	internal mapping.Type // of a decimal's or an enum's values
	enum     []string
	child    *layout // of a list that is handed on
}

// simpleTypes are the logical types that need nothing but their id to be known.
func simpleTypes() map[mapping.Type]columnar.Type {
	return map[mapping.Type]columnar.Type{
		mapping.TypeBoolean:     {Kind: columnar.Bool},
		mapping.TypeTinyInt:     {Kind: columnar.Int16},
		mapping.TypeSmallInt:    {Kind: columnar.Int16},
		mapping.TypeInteger:     {Kind: columnar.Int32},
		mapping.TypeBigInt:      {Kind: columnar.Int64},
		mapping.TypeUTinyInt:    {Kind: columnar.Int16},
		mapping.TypeUSmallInt:   {Kind: columnar.Int32},
		mapping.TypeUInteger:    {Kind: columnar.Int64},
		mapping.TypeUBigInt:     {Kind: columnar.Decimal, Precision: 20},
		mapping.TypeHugeInt:     {Kind: columnar.Decimal, Precision: widestDecimal},
		mapping.TypeUHugeInt:    {Kind: columnar.Decimal, Precision: widestDecimal},
		mapping.TypeFloat:       {Kind: columnar.Float32},
		mapping.TypeDouble:      {Kind: columnar.Float64},
		mapping.TypeVarchar:     {Kind: columnar.Text},
		mapping.TypeSQLNull:     {Kind: columnar.Text},
		mapping.TypeBlob:        {Kind: columnar.Bytea},
		mapping.TypeDate:        {Kind: columnar.Date},
		mapping.TypeTime:        {Kind: columnar.Time},
		mapping.TypeTimestamp:   {Kind: columnar.Timestamp},
		mapping.TypeTimestampTZ: {Kind: columnar.TimestampTZ},
		mapping.TypeInterval:    {Kind: columnar.Interval},
		mapping.TypeUUID:        {Kind: columnar.UUID},
	}
}

// layoutOf describes a logical type, which stays its caller's to destroy.
func layoutOf(lt mapping.LogicalType) layout {
	l := layout{id: mapping.GetTypeId(lt)}
	switch l.id {
	case mapping.TypeDecimal:
		l.internal = mapping.DecimalInternalType(lt)
		l.typ = columnar.Type{Kind: columnar.Decimal, Precision: mapping.DecimalWidth(lt), Scale: mapping.DecimalScale(lt)}
	case mapping.TypeEnum:
		l.internal = mapping.EnumInternalType(lt)
		l.typ = columnar.Type{Kind: columnar.Text}
		for i := range mapping.EnumDictionarySize(lt) {
			l.enum = append(l.enum, mapping.EnumDictionaryValue(lt, mapping.IdxT(i)))
		}
	case mapping.TypeVarchar:
		l.typ = columnar.Type{Kind: columnar.Text}
		if mapping.LogicalTypeGetAlias(lt) == jsonAlias {
			l.typ.Kind = columnar.JSON
		}
	case mapping.TypeList:
		return listLayout(lt)
	default:
		l.typ = simpleTypes()[l.id]
	}
	return l
}

// jsonAlias is what tells DuckDB's JSON from its VARCHAR.
const jsonAlias = "JSON"

// typeName is DuckDB's spelling of a logical type that isn't handed on, for messages.
func typeName(lt mapping.LogicalType) string {
	child := func(lt mapping.LogicalType) string {
		defer mapping.DestroyLogicalType(&lt)
		return typeName(lt)
	}
	switch id := mapping.GetTypeId(lt); id {
	case mapping.TypeList:
		return child(mapping.ListTypeChildType(lt)) + "[]"
	case mapping.TypeArray:
		return fmt.Sprintf("%s[%d]", child(mapping.ArrayTypeChildType(lt)), mapping.ArrayTypeArraySize(lt))
	case mapping.TypeMap:
		return "MAP(" + child(mapping.MapTypeKeyType(lt)) + ", " + child(mapping.MapTypeValueType(lt)) + ")"
	case mapping.TypeStruct:
		fields := make([]string, mapping.StructTypeChildCount(lt))
		for i := range fields {
			fields[i] = quoteIdent(mapping.StructTypeChildName(lt, mapping.IdxT(i))) + " " + child(mapping.StructTypeChildType(lt, mapping.IdxT(i)))
		}
		return "STRUCT(" + strings.Join(fields, ", ") + ")"
	default:
		if name, ok := foreignNames()[id]; ok {
			return name
		}
		if name, err := typeSQL(layoutOf(lt).typ); err == nil {
			return name
		}
		return fmt.Sprintf("type %d", id)
	}
}

// foreignNames are the types that columnar has no type of its own for.
func foreignNames() map[mapping.Type]string {
	return map[mapping.Type]string{
		mapping.TypeTimestampS: "TIMESTAMP_S", mapping.TypeTimestampMS: "TIMESTAMP_MS", mapping.TypeTimestampNS: "TIMESTAMP_NS",
		mapping.TypeTimeTZ: "TIME WITH TIME ZONE", mapping.TypeTimeNS: "TIME_NS", mapping.TypeBit: "BIT", mapping.TypeUnion: "UNION",
		mapping.TypeBigNum: "BIGNUM", mapping.TypeGeometry: "GEOMETRY", mapping.TypeVariant: "VARIANT", mapping.TypeEnum: "ENUM",
		mapping.TypeTinyInt: "TINYINT", mapping.TypeUTinyInt: "UTINYINT", mapping.TypeUSmallInt: "USMALLINT",
		mapping.TypeUInteger: "UINTEGER", mapping.TypeUBigInt: "UBIGINT", mapping.TypeHugeInt: "HUGEINT", mapping.TypeUHugeInt: "UHUGEINT",
		mapping.TypeSQLNull: "NULL",
	}
}

// typeSQL is DuckDB's spelling of a column type.
func typeSQL(t columnar.Type) (string, error) {
	switch t.Kind {
	case columnar.Decimal:
		if t.Precision < 1 || t.Precision > widestDecimal || t.Scale > t.Precision {
			return "", fmt.Errorf("duck: numeric(%d,%d) is out of range", t.Precision, t.Scale)
		}
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision, t.Scale), nil
	case columnar.Array:
		element, err := typeSQL(t.ElementType())
		return element + "[]", err
	default:
		names := [...]string{
			columnar.Bool: "BOOLEAN", columnar.Int16: "SMALLINT", columnar.Int32: "INTEGER", columnar.Int64: "BIGINT",
			columnar.Float32: "FLOAT", columnar.Float64: "DOUBLE", columnar.Text: "VARCHAR", columnar.Varchar: "VARCHAR",
			columnar.Char: "VARCHAR", columnar.Bytea: "BLOB", columnar.Date: "DATE", columnar.Time: "TIME",
			columnar.Timestamp: "TIMESTAMP", columnar.TimestampTZ: "TIMESTAMPTZ", columnar.Interval: "INTERVAL",
			columnar.UUID: "UUID", columnar.JSON: "JSON", columnar.JSONB: "JSON",
		}
		if int(t.Kind) >= len(names) || names[t.Kind] == "" {
			return "", fmt.Errorf("duck: kind %d isn't a column type", t.Kind)
		}
		return names[t.Kind], nil
	}
}

// newLogicalType makes DuckDB's type for a column type; the caller destroys it.
func newLogicalType(t columnar.Type) (mapping.LogicalType, error) {
	if _, err := typeSQL(t); err != nil {
		return mapping.LogicalType{}, err
	}
	switch t.Kind {
	case columnar.Decimal:
		return mapping.CreateDecimalType(t.Precision, t.Scale), nil
	case columnar.JSON, columnar.JSONB:
		lt := mapping.CreateLogicalType(mapping.TypeVarchar)
		mapping.LogicalTypeSetAlias(lt, jsonAlias)
		return lt, nil
	case columnar.Varchar, columnar.Char:
		return mapping.CreateLogicalType(mapping.TypeVarchar), nil
	case columnar.Array:
		element, err := newLogicalType(t.ElementType())
		if err != nil {
			return mapping.LogicalType{}, err
		}
		defer mapping.DestroyLogicalType(&element)
		return mapping.CreateListType(element), nil
	default:
		// Of the logical types that are handed on as t, the one that is t's own.
		ids := [...]mapping.Type{
			columnar.Bool: mapping.TypeBoolean, columnar.Int16: mapping.TypeSmallInt, columnar.Int32: mapping.TypeInteger,
			columnar.Int64: mapping.TypeBigInt, columnar.Float32: mapping.TypeFloat, columnar.Float64: mapping.TypeDouble,
			columnar.Text: mapping.TypeVarchar, columnar.Bytea: mapping.TypeBlob, columnar.Date: mapping.TypeDate,
			columnar.Time: mapping.TypeTime, columnar.Timestamp: mapping.TypeTimestamp, columnar.TimestampTZ: mapping.TypeTimestampTZ,
			columnar.Interval: mapping.TypeInterval, columnar.UUID: mapping.TypeUUID,
		}
		return mapping.CreateLogicalType(ids[t.Kind]), nil
	}
}
