package columnar

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of PostgreSQL's type modifiers, and of what 128 bits hold.
const (
	MaxPrecision = 38       // of numeric(p,s)
	MaxLength    = 10485760 // of varchar(n) and char(n), in characters
)

// The object identifiers of the types in PostgreSQL's catalog.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidJSON        = 114
	oidFloat4      = 700
	oidFloat8      = 701
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTime        = 1083
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidInterval    = 1186
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
)

// kindFacts is what is fixed for all types of a kind.
type kindFacts struct {
	name   string // of Kind.String
	sql    string // PostgreSQL's format_type without modifiers
	input  string // as PostgreSQL names the type in input errors
	duckDB string
	oid    uint32
	size   int16 // pg_type.typlen
}

var kinds = [...]kindFacts{
	Bool:        {"Bool", "boolean", "boolean", "BOOLEAN", oidBool, 1},
	Int16:       {"Int16", "smallint", "smallint", "SMALLINT", oidInt2, 2},
	Int32:       {"Int32", "integer", "integer", "INTEGER", oidInt4, 4},
	Int64:       {"Int64", "bigint", "bigint", "BIGINT", oidInt8, 8},
	Float32:     {"Float32", "real", "real", "FLOAT", oidFloat4, 4},
	Float64:     {"Float64", "double precision", "double precision", "DOUBLE", oidFloat8, 8},
	Decimal:     {"Decimal", "numeric", "numeric", "DECIMAL", oidNumeric, -1},
	Text:        {"Text", "text", "text", "VARCHAR", oidText, -1},
	Varchar:     {"Varchar", "character varying", "character varying", "VARCHAR", oidVarchar, -1},
	Char:        {"Char", "character", "character", "VARCHAR", oidBpchar, -1},
	Bytea:       {"Bytea", "bytea", "bytea", "BLOB", oidBytea, -1},
	Date:        {"Date", "date", "date", "DATE", oidDate, 4},
	Time:        {"Time", "time without time zone", "time", "TIME", oidTime, 8},
	Timestamp:   {"Timestamp", "timestamp without time zone", "timestamp", "TIMESTAMP", oidTimestamp, 8},
	TimestampTZ: {"TimestampTZ", "timestamp with time zone", "timestamp with time zone", "TIMESTAMP WITH TIME ZONE", oidTimestampTZ, 8},
	Interval:    {"Interval", "interval", "interval", "INTERVAL", oidInterval, 16},
	UUID:        {"UUID", "uuid", "uuid", "UUID", oidUUID, 16},
	JSON:        {"JSON", "json", "json", "JSON", oidJSON, -1},
	JSONB:       {"JSONB", "jsonb", "json", "JSON", oidJSONB, -1},
	Array:       {"Array", "array", "array", "", 0, -1},
}

// Valid tells whether k is one of the kinds.
func (k Kind) Valid() bool { return k >= Bool && int(k) < len(kinds) }

// String is the kind's name as in this package.
func (k Kind) String() string {
	if !k.Valid() {
		return "Kind(" + strconv.Itoa(int(k)) + ")"
	}
	return kinds[k].name
}

// isString tells whether values of the kind are held in Vector.Str.
func (k Kind) isString() bool {
	switch k {
	case Text, Varchar, Char, Bytea, JSON, JSONB, Array:
		return true
	default:
		return false
	}
}

// isCharacters tells whether values of the kind are plain text.
func (k Kind) isCharacters() bool { return k == Text || k == Varchar || k == Char }

// Validate tells whether the type is one that a column may have.
func (t Type) Validate() error {
	switch {
	case t.Kind == Array:
		return t.validateArray()
	case !t.Kind.Valid():
		return fmt.Errorf("%v is not a kind of column", t.Kind)
	case t.Kind == Decimal && (t.Precision < 1 || t.Precision > MaxPrecision || t.Scale > t.Precision):
		return fmt.Errorf("numeric(%d,%d) has no such precision or scale", t.Precision, t.Scale)
	case t.Kind != Decimal && (t.Precision != 0 || t.Scale != 0):
		return fmt.Errorf("%s has no precision", t.SQL())
	case (t.Kind == Varchar || t.Kind == Char) && (t.Length < 0 || t.Length > MaxLength):
		return fmt.Errorf("length %d is out of range for %v", t.Length, t.Kind)
	case t.Element != 0:
		return fmt.Errorf("%v has no elements", t.Kind)
	case t.Kind != Varchar && t.Kind != Char && t.Length != 0:
		return fmt.Errorf("%s has no length", t.SQL())
	}
	return nil
}

// SQL is the type as PostgreSQL's format_type spells it, modifiers included.
// TypeFromSQL reads it back.
func (t Type) SQL() string {
	if !t.Kind.Valid() {
		return t.Kind.String()
	}
	switch {
	case t.Kind == Array:
		return t.ElementType().SQL() + "[]"
	case t.Kind == Decimal:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case t.Kind == Char && t.Length == 0:
		return "bpchar"
	case t.Length > 0:
		return kinds[t.Kind].sql + "(" + strconv.Itoa(int(t.Length)) + ")"
	default:
		return kinds[t.Kind].sql
	}
}

// String is SQL.
func (t Type) String() string { return t.SQL() }

// inputName is how PostgreSQL names the type when it refuses an input.
func (t Type) inputName() string { return kinds[t.Kind].input }

// OID is the type's identifier in PostgreSQL's catalog.
func (t Type) OID() uint32 {
	if t.Kind == Array {
		return arrayOIDs[t.Element]
	}
	return kinds[t.Kind].oid
}

// TypeSize is PostgreSQL's typlen: the bytes of a value, or -1 when they vary.
func (t Type) TypeSize() int16 { return kinds[t.Kind].size }

// TypMod is PostgreSQL's atttypmod: the modifiers in one number, -1 for none.
func (t Type) TypMod() int32 {
	switch {
	case t.Kind == Array:
		return t.ElementType().TypMod()
	case t.Kind == Decimal:
		return (int32(t.Precision)<<16 | int32(t.Scale)) + 4
	case t.Length > 0:
		return t.Length + 4
	default:
		return -1
	}
}

// DuckDB is the DuckDB type that holds the column's values. Char is a VARCHAR
// whose values come padded, JSONB a JSON whose values come normalised.
func (t Type) DuckDB() string {
	switch t.Kind {
	case Decimal:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision, t.Scale)
	case Array:
		return t.ElementType().DuckDB() + "[]"
	default:
		return kinds[t.Kind].duckDB
	}
}

// TypeFromOID is the type of a PostgreSQL type identifier and atttypmod, as
// clients give them. A numeric without modifiers and all types that a column
// can't have are refused with a *TypeError.
func TypeFromOID(oid uint32, typmod int32) (Type, error) {
	for k := Bool; k.Valid(); k++ {
		if arrayOIDs[k] == oid && oid != 0 {
			element, err := TypeFromOID(kinds[k].oid, typmod)
			return ArrayOf(element), err
		}
		if kinds[k].oid != oid || oid == 0 {
			continue
		}
		t := Type{Kind: k}
		switch {
		case k == Decimal && typmod < 4:
			return Type{}, errNumericUnconstrained()
		case k == Decimal:
			return typeFromMods(t, "numeric", []int32{(typmod - 4) >> 16 & 0xFFFF, (typmod - 4) & 0x7FF})
		case (k == Varchar || k == Char) && typmod > 4:
			return typeFromMods(t, kinds[k].sql, []int32{typmod - 4})
		}
		return t, nil
	}
	return Type{}, &TypeError{Code: codeNotSupported, Name: strconv.FormatUint(uint64(oid), 10), Message: "type with OID " + strconv.FormatUint(uint64(oid), 10) + " is not supported"}
}

func errNumericUnconstrained() error {
	return &TypeError{
		Code: codeNotSupported, Name: "numeric",
		Message: "numeric without a precision is not supported",
		Hint:    "Give a precision of at most 38 and a scale, as numeric(18,4).",
	}
}

// sqlNames maps the names that the grammar gives, and those that people write.
var sqlNames = map[string]Kind{
	"bool": Bool, "boolean": Bool,
	"int2": Int16, "smallint": Int16,
	"int4": Int32, "int": Int32, "integer": Int32,
	"int8": Int64, "bigint": Int64,
	"float4": Float32, "real": Float32,
	"float8": Float64, "double precision": Float64, "float": Float64,
	"numeric": Decimal, "decimal": Decimal, "dec": Decimal,
	"text":    Text,
	"varchar": Varchar, "character varying": Varchar, "char varying": Varchar,
	"bpchar": Char, "char": Char, "character": Char,
	"bytea": Bytea,
	"date":  Date,
	"time":  Time, "time without time zone": Time,
	"timestamp": Timestamp, "timestamp without time zone": Timestamp,
	"timestamptz": TimestampTZ, "timestamp with time zone": TimestampTZ,
	"interval": Interval, "uuid": UUID, "json": JSON, "jsonb": JSONB,
}

// refusedNames are types that PostgreSQL has and a column can't have, with what
// to use in their place.
var refusedNames = map[string]string{
	"timetz": "Use time, or timestamptz.", "time with time zone": "Use time, or timestamptz.",
	"money":  "Use numeric(18,2).",
	"serial": "A table has no sequences: use bigint.", "bigserial": "A table has no sequences: use bigint.",
	"smallserial": "A table has no sequences: use bigint.", "serial4": "A table has no sequences: use bigint.",
	"serial8": "A table has no sequences: use bigint.", "serial2": "A table has no sequences: use bigint.",
	"name": "Use text.", "xml": "Use text.", "citext": "Use text.", "cstring": "Use text.", "hstore": "Use jsonb.",
	"inet": "Use text.", "cidr": "Use text.", "macaddr": "Use text.", "macaddr8": "Use text.",
	"bit": "Use bytea, or bigint.", "varbit": "Use bytea.", "bit varying": "Use bytea.",
	"oid": "Use bigint.", "xid": "Use bigint.", "xid8": "Use bigint.", "cid": "Use bigint.", "tid": "Use text.", "pg_lsn": "Use bigint.",
	"regclass": "Use text.", "regtype": "Use text.", "regproc": "Use text.", "regnamespace": "Use text.", "regrole": "Use text.",
	"point": "Use jsonb.", "line": "Use jsonb.", "lseg": "Use jsonb.", "box": "Use jsonb.", "path": "Use jsonb.",
	"polygon": "Use jsonb.", "circle": "Use jsonb.",
	"tsvector": "Use text.", "tsquery": "Use text.", "jsonpath": "Use text.", "refcursor": "Use text.",
	"int4range": "Use two columns.", "int8range": "Use two columns.", "numrange": "Use two columns.",
	"tsrange": "Use two columns.", "tstzrange": "Use two columns.", "daterange": "Use two columns.",
	"record": "Use jsonb.", "void": "", "unknown": "Use text.", "any": "", "anyelement": "",
}

// TypeFromSQL maps a SQL type to a column's type. The name is as PostgreSQL's
// grammar gives it ("pg_catalog.int4"), as people write it ("double precision",
// "timestamp with time zone") or as Type.SQL prints it, without its modifiers or
// with them in parentheses; mods are the modifiers as the grammar gives them.
// A type that a column can't have is refused with a *TypeError.
func TypeFromSQL(name string, mods []int32) (Type, error) {
	if len(name) > maxTypeName {
		return Type{}, &TypeError{
			Code: codeUndefinedObject, Name: strings.ToValidUTF8(name[:maxTypeName], ""),
			Message: fmt.Sprintf("a type's name has %d bytes at the most, not %d", maxTypeName, len(name)),
		}
	}
	base, inline, err := splitModifiers(name)
	if err != nil {
		return Type{}, err
	}
	if inline != nil {
		mods = inline
	}
	base, inCatalog := strings.CutPrefix(base, "pg_catalog.")
	array := false
	for element, ok := elementName(base); ok; element, ok = elementName(base) {
		base, inCatalog = strings.CutPrefix(element, "pg_catalog.")
		name, array = base, true
	}
	t, err := scalarFromSQL(name, base, inCatalog, mods)
	if array {
		return ArrayOf(t), err
	}
	return t, err
}

// maxTypeName is how many bytes the name of a type may have, with its modifiers.
const maxTypeName = 256

// scalarFromSQL maps a SQL type that is no array, with its name as it was given.
func scalarFromSQL(name, base string, inCatalog bool, mods []int32) (Type, error) {
	if hint, refused := refusedNames[base]; refused || (inCatalog && base == "char") {
		return Type{}, &TypeError{Code: codeNotSupported, Name: name, Message: "type " + base + " is not supported", Hint: hint}
	}
	kind, ok := sqlNames[base]
	if !ok {
		return Type{}, &TypeError{Code: codeUndefinedObject, Name: name, Message: `type "` + name + `" does not exist`}
	}
	if kind == Char && base != "bpchar" && len(mods) == 0 {
		mods = []int32{1}
	}
	return typeFromMods(Type{Kind: kind}, base, mods)
}

// splitModifiers takes "numeric(10, 2)" and "timestamp(6) with time zone" apart.
func splitModifiers(name string) (string, []int32, error) {
	base := strings.Join(strings.Fields(strings.ToLower(name)), " ")
	before, rest, found := strings.Cut(base, "(")
	if !found {
		return base, nil, nil
	}
	list, after, closed := strings.Cut(rest, ")")
	if !closed {
		return "", nil, &TypeError{Code: codeUndefinedObject, Name: name, Message: `type "` + name + `" does not exist`}
	}
	mods := []int32{}
	for m := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(m), 10, 32)
		if err != nil {
			return "", nil, &TypeError{Code: codeInvalidParameter, Name: name, Message: "type modifiers must be integers: " + name}
		}
		mods = append(mods, int32(n))
	}
	return strings.TrimSpace(before) + strings.TrimRight(after, " "), mods, nil
}

// typeFromMods applies modifiers to a type that has none yet.
func typeFromMods(t Type, name string, mods []int32) (Type, error) {
	switch t.Kind {
	case Decimal:
		return decimalType(name, mods)
	case Varchar, Char:
		if len(mods) > 0 {
			return lengthType(t, name, mods)
		}
	case Float64:
		if name == "float" && len(mods) > 0 {
			return floatType(name, mods)
		}
	case Time, Timestamp, TimestampTZ:
		if len(mods) == 1 && mods[0] == 6 {
			return t, nil
		}
	case Interval:
		return intervalType(name, mods)
	default:
	}
	if len(mods) > 0 {
		hint := ""
		if t.Kind == Time || t.Kind == Timestamp || t.Kind == TimestampTZ {
			hint = "Leave the precision out: microseconds are kept."
		}
		return Type{}, &TypeError{Code: codeNotSupported, Name: name, Message: fmt.Sprintf("type modifier %d of %s is not supported", mods[0], t.SQL()), Hint: hint}
	}
	return t, nil
}

// refuseModifiers says in PostgreSQL's words what is wrong with modifiers.
func refuseModifiers(name, format string, args ...any) (Type, error) {
	return Type{}, &TypeError{Code: codeInvalidParameter, Name: name, Message: fmt.Sprintf(format, args...)}
}

// lengthType is varchar(n) or char(n).
func lengthType(t Type, name string, mods []int32) (Type, error) {
	switch {
	case len(mods) > 1:
		return refuseModifiers(name, "invalid type modifier: %s takes one length", name)
	case mods[0] < 1:
		return refuseModifiers(name, "length for type %s must be at least 1", name)
	case mods[0] > MaxLength:
		return refuseModifiers(name, "length for type %s cannot exceed %d", name, MaxLength)
	}
	t.Length = mods[0]
	return t, nil
}

// floatType is float(n), whose n counts bits.
func floatType(name string, mods []int32) (Type, error) {
	switch {
	case len(mods) > 1 || mods[0] < 1:
		return refuseModifiers(name, "precision for type float must be at least 1 bit")
	case mods[0] > 53:
		return refuseModifiers(name, "precision for type float must be less than 54 bits")
	case mods[0] <= 24:
		return Type{Kind: Float32}, nil
	}
	return Type{Kind: Float64}, nil
}

func decimalType(name string, mods []int32) (Type, error) {
	if len(mods) == 0 {
		return Type{}, errNumericUnconstrained()
	}
	scale := int32(0)
	if len(mods) > 1 {
		scale = mods[1]
	}
	switch p := mods[0]; {
	case len(mods) > 2:
		return refuseModifiers(name, "invalid NUMERIC type modifier")
	case p < 1 || p > 1000:
		return refuseModifiers(name, "NUMERIC precision %d must be between 1 and 1000", p)
	case p > MaxPrecision:
		return Type{}, &TypeError{
			Code: codeNotSupported, Name: name,
			Message: fmt.Sprintf("NUMERIC precision %d is not supported", p),
			Hint:    "The largest precision is 38.",
		}
	case scale < 0 || scale > p:
		return refuseModifiers(name, "NUMERIC scale %d must be between 0 and precision %d", scale, p)
	default:
		return Type{Kind: Decimal, Precision: uint8(p), Scale: uint8(scale)}, nil
	}
}

// intervalFullRange is the modifier that the grammar gives for an interval of all
// fields, where a precision follows it.
const intervalFullRange = 0x7FFF

func intervalType(name string, mods []int32) (Type, error) {
	switch {
	case len(mods) == 0,
		len(mods) == 1 && mods[0] == intervalFullRange,
		len(mods) == 2 && mods[0] == intervalFullRange && mods[1] == 6,
		len(mods) == 1 && mods[0] == 6:
		return Type{Kind: Interval}, nil
	}
	return Type{}, &TypeError{
		Code: codeNotSupported, Name: name,
		Message: "interval with fields or a precision is not supported",
		Hint:    "Use interval alone.",
	}
}
