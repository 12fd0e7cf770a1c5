package parse

import (
	"errors"
	"strconv"
	"strings"
	"time"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// duckDBType is a type of PostgreSQL that DuckDB has too.
type duckDBType struct {
	typ        columnar.Type
	dimensions int
	// unbounded is numeric without modifiers, which DuckDB hasn't.
	unbounded bool
}

// unboundedScale is the number of decimals that numeric without modifiers gets where its value
// doesn't tell. It leaves 28 digits before the point.
const unboundedScale = 10

// duckType finds the type of a cast. Its errors have no position.
func duckType(t typeName) (duckDBType, *Error) {
	d := duckDBType{dimensions: t.dimensions}
	switch (typeName{schema: t.schema, name: t.name}).full() {
	case "numeric":
		if len(t.mods) == 0 {
			d.typ = columnar.Type{Kind: columnar.Decimal, Precision: columnar.MaxPrecision, Scale: unboundedScale}
			d.unbounded = true
			return d, nil
		}
	case "name":
		d.typ = columnar.Type{Kind: columnar.Text}
		return d, nil
	case "interval":
		d.typ = columnar.Type{Kind: columnar.Interval}
		if len(t.mods) > 1 || len(t.mods) == 1 && t.mods[0] != intervalFull {
			return d, refuse("a precision or field of an interval")
		}
		return d, nil
	}
	t.dimensions = 0
	typ, err := t.columnType()
	if err != nil {
		return d, err
	}
	if typ.Kind == columnar.Array { // by its name, as _int4
		typ = typ.ElementType()
		d.dimensions = 1
	}
	d.typ = typ
	return d, nil
}

// columnType is the type as a column has it. A name that was quoted isn't taken apart: there
// is no type "varchar(3)".
func (t typeName) columnType() (columnar.Type, *Error) {
	if t.err != "" {
		return columnar.Type{}, refuse(t.err)
	}
	if strings.ContainsAny(t.name, " ()[].") || t.name != strings.ToLower(t.name) {
		return columnar.Type{}, errorf(CodeUndefinedObject, "type %q does not exist", t.name)
	}
	typ, err := columnar.TypeFromSQL(t.full(), t.mods)
	if refused, ok := errors.AsType[*columnar.TypeError](err); ok {
		return typ, &Error{Code: refused.Code, Message: refused.Message, Hint: refused.Hint}
	}
	if err != nil {
		return typ, errorf(CodeUndefinedObject, "%v", err)
	}
	if t.dimensions > 1 {
		return typ, refuseAll("arrays of more than one dimension")
	}
	if t.dimensions > 0 {
		return columnar.ArrayOf(typ), nil
	}
	return typ, nil
}

// names of the type as the grammar prints it and DuckDB reads it.
func (d duckDBType) names() []*pg.Node {
	switch d.typ.Kind {
	case columnar.Bool:
		return strNodes("bool")
	case columnar.Int16:
		return strNodes("int2")
	case columnar.Int32:
		return strNodes("int4")
	case columnar.Int64:
		return strNodes("int8")
	case columnar.Float32:
		return strNodes("float4")
	case columnar.Float64:
		return strNodes("float8")
	case columnar.Decimal:
		return strNodes("pg_catalog", "numeric")
	case columnar.Bytea:
		return strNodes("blob")
	case columnar.Date:
		return strNodes("date")
	case columnar.Time:
		return strNodes("pg_catalog", "time")
	case columnar.Timestamp:
		return strNodes("pg_catalog", "timestamp")
	case columnar.TimestampTZ:
		return strNodes("timestamptz")
	case columnar.Interval:
		return strNodes("pg_catalog", "interval")
	case columnar.UUID:
		return strNodes("uuid")
	case columnar.JSON, columnar.JSONB:
		return strNodes("json")
	default:
		return strNodes("text")
	}
}

// isText tells whether values of the type are one text each.
func (d duckDBType) isText() bool {
	return d.dimensions == 0 && (d.typ.Kind == columnar.Text || d.typ.Kind == columnar.Varchar || d.typ.Kind == columnar.Char)
}

// cast makes a cast to the type. A length cuts, which DuckDB's types don't.
func (d duckDBType) cast(arg *pg.Node) *pg.Node {
	t := &pg.TypeName{Names: d.names(), Typemod: -1}
	if d.typ.Kind == columnar.Decimal {
		t.Typmods = []*pg.Node{intConst(int32(d.typ.Precision)), intConst(int32(d.typ.Scale))}
	}
	for range d.dimensions {
		t.ArrayBounds = append(t.ArrayBounds, &pg.Node{Node: &pg.Node_Integer{Integer: &pg.Integer{Ival: -1}}})
	}
	made := &pg.Node{Node: &pg.Node_TypeCast{TypeCast: &pg.TypeCast{Arg: arg, TypeName: t}}}
	if d.isText() && arg.GetAConst() == nil && arg.GetParamRef() == nil {
		made = callNode("bs_text", arg)
	}
	if d.typ.Length == 0 || d.dimensions > 0 {
		return made
	}
	made = callNode("left", made, intConst(d.typ.Length))
	if d.typ.Kind == columnar.Char { // blanks at the end count in no comparison, length and concatenation
		made = callNode("rtrim", made, textConst(" "))
	}
	return made
}

// cast handles x::type, CAST and type 'text'. A constant is read as PostgreSQL's input function
// of the type reads it, and given to DuckDB in the form that it reads.
func (b *binder) cast(n *pg.Node, c *pg.TypeCast, sc *scope) error {
	if p := c.GetArg().GetParamRef(); p != nil && !b.binds() {
		b.noteParam(p, c.GetTypeName())
	}
	throughText(c.GetArg().GetTypeCast())
	through := ""
	if b.binds() {
		through = throughName(c)
		castElements(c)
	}
	param := c.GetArg().GetParamRef()
	isParam := param != nil
	named := namesOfCast(c.GetArg())
	if err := b.expr(c.GetArg(), sc); err != nil {
		return err
	}
	if b.resolving {
		b.keepTime(c)
	}
	if !b.binds() {
		return nil
	}
	t := typeOf(c.GetTypeName())
	if p := param; p != nil && t.err == "" && t.schema == "" {
		name := t.name
		if t.dimensions > 0 {
			name = arrayOf(name)
		}
		if b.toldParams[int(p.GetNumber())] == "" {
			b.toldParams[int(p.GetNumber())] = name
		}
	}
	if done, err := b.dialectCast(n, c, castOf{typ: t, param: isParam, through: b.throughOf(through, c.GetArg())}); done || err != nil {
		return err
	}
	if t.name == "interval" && len(t.mods) == 1 {
		oneFieldInterval(c, &t)
	}
	d, refused := duckType(t)
	if refused != nil {
		return b.src.at(refused, c.GetTypeName().GetLocation())
	}
	if d.dimensions > 1 {
		return b.src.at(refuseAll("arrays of more than one dimension"), c.GetTypeName().GetLocation())
	}
	if d.isText() && !named {
		if err := b.printed(c.GetArg(), c.GetTypeName().GetLocation()); err != nil {
			return err
		}
	}
	if text, ok := stringConst(c.GetArg()); ok && d.dimensions > 0 {
		if err := b.listed(text); err != nil {
			return err
		}
	}
	made, err := b.castValue(c.GetArg(), d)
	if err != nil {
		return b.src.at(b.src.at(err, c.GetArg().GetAConst().GetLocation()), c.GetTypeName().GetLocation())
	}
	n.Node = made.GetNode()
	return nil
}

func (b *binder) castValue(arg *pg.Node, d duckDBType) (*pg.Node, *Error) {
	text, isText := stringConst(arg)
	switch {
	case isText && d.dimensions > 0:
		return arrayConst(text, d, b.binding.Style)
	case isText:
		return inputConst(text, d, b.binding.Style)
	case d.typ.Kind == columnar.Float64 || d.typ.Kind == columnar.Float32:
		if number, ok := arg.GetAConst().GetVal().(*pg.A_Const_Fval); ok { // DuckDB's would be infinite
			return inputConst(number.Fval.GetFval(), d, nil)
		}
	case d.unbounded:
		d.typ.Scale = constScale(arg)
	case d.dimensions > 0 && d.typ.Length > 0 && arg.GetAArrayExpr() == nil && !arg.GetAConst().GetIsnull(): // whose elements nothing would cut
		return nil, refuse("a cast of this expression to an array of " + d.typ.SQL()).hinted("Leave the length out.")
	case arg.GetAConst().GetIsnull(), arg.GetParamRef() != nil, d.dimensions > 0:
	case b.readsTime(arg, d):
		return callNode("bs_read_"+pgName(d.typ.Kind), arg), nil
	case d.typ.Kind == columnar.Bytea:
		return b.castToBytea(arg, d)
	case d.typ.Kind == columnar.Time && b.told[arg] == timestampTZ: // which DuckDB hasn't
		return d.cast(castTo(arg, "pg_catalog", "timestamp")), nil
	case d.typ.Kind == columnar.JSONB:
		return callNode("bs_jsonb", d.cast(arg)), nil
	}
	return d.cast(arg), nil
}

// castElements casts each element of an array that is written in brackets, as PostgreSQL does: only so
// are values that print as names their names.
func castElements(c *pg.TypeCast) {
	array := c.GetArg().GetAArrayExpr()
	if array == nil || len(c.GetTypeName().GetArrayBounds()) != 1 {
		return
	}
	element := proto.CloneOf(c.GetTypeName())
	element.ArrayBounds = nil
	for i, e := range array.GetElements() {
		array.Elements[i] = &pg.Node{Node: &pg.Node_TypeCast{TypeCast: &pg.TypeCast{Arg: e, TypeName: proto.CloneOf(element)}}}
	}
}

// throughName drops a cast to a type like regclass on the way to an OID, and returns that type: it would only be
// a name in between.
func throughName(c *pg.TypeCast) string {
	inner := c.GetArg().GetTypeCast()
	if inner == nil || typeOf(c.GetTypeName()).name != "oid" || !namesOfCast(c.GetArg()) || inner.GetArg().GetParamRef() != nil {
		return ""
	}
	c.Arg = inner.GetArg()
	return typeOf(inner.GetTypeName()).name
}

// throughOf is the type that names are looked up by on the way to an OID; "" of what is a number already.
func (b *binder) throughOf(typ string, arg *pg.Node) string {
	switch told := b.told[arg]; {
	case told == "oid", told == "int2", told == "int4", told == "int8", strings.HasPrefix(told, "reg"):
		return ""
	}
	return typ
}

// throughText drops a cast to text on the way from a parameter to a type like regclass: $1::text::regtype is as
// good as $1::regtype, whose value is looked up when it is bound.
func throughText(c *pg.TypeCast) {
	text := c.GetArg().GetTypeCast()
	if text == nil || text.GetArg().GetParamRef() == nil || typeOf(text.GetTypeName()).name != "text" || !strings.HasPrefix(typeOf(c.GetTypeName()).name, "reg") {
		return
	}
	c.Arg = text.GetArg()
}

// namesOfCast tells whether a value, if it is of a type like regclass, is a name already: it is
// where it was cast, and not from a constant.
func namesOfCast(arg *pg.Node) bool {
	cast := arg.GetTypeCast()
	if cast == nil || !strings.HasPrefix(typeOf(cast.GetTypeName()).name, "reg") {
		return false
	}
	_, constant := stringConst(cast.GetArg())
	return !constant
}

// castToBytea: a text is read, not taken for the bytes.
func (b *binder) castToBytea(arg *pg.Node, d duckDBType) (*pg.Node, *Error) {
	known := b.told[arg]
	if inner := arg.GetTypeCast(); inner.GetArg().GetParamRef() != nil { // a parameter with its type
		known = typeOf(inner.GetTypeName()).name
	}
	switch known {
	case "bytea", "blob":
		return d.cast(arg), nil
	case "text", "varchar", "bpchar", "name":
		return callNode("bs_bytea", arg), nil
	}
	return nil, refuse("a cast of this expression to bytea").hinted("Cast it to text first.")
}

// printed replaces a value, whose text PostgreSQL prints in another way than its kin, by that text.
func (b *binder) printed(arg *pg.Node, location int32) error {
	t := b.told[arg]
	switch {
	case arg.GetAConst() != nil:
	case t == "int2vector" || t == "oidvector":
		inner := &pg.Node{Node: arg.GetNode()}
		arg.Node = callNode("array_to_string", inner, textConst(" ")).GetNode()
	case t == "jsonb":
		inner := &pg.Node{Node: arg.GetNode()}
		arg.Node = callNode("bs_jsonb_text", inner).GetNode()
	case strings.HasPrefix(t, "reg") && b.binding.Dialect != nil:
		inner := &pg.Node{Node: arg.GetNode()}
		tpl, err := b.binding.Dialect.Cast(Cast{Name: t, Value: Literal{Kind: Expression}})
		_, err = b.filled(arg, tpl, err, []*pg.Node{inner}, location)
		return err
	}
	return nil
}

// constScale is the number of decimals of a numeric constant.
func constScale(arg *pg.Node) uint8 {
	switch v := arg.GetAConst().GetVal().(type) {
	case *pg.A_Const_Ival:
		return 0
	case *pg.A_Const_Fval:
		return decimals(v.Fval.GetFval())
	}
	return unboundedScale
}

// decimals of a number as it was written, the default if it has an exponent or too many.
func decimals(number string) uint8 {
	_, fraction, _ := strings.Cut(strings.TrimSpace(number), ".")
	if len(fraction) > columnar.MaxPrecision/2 || strings.ContainsAny(number, "eEnN_xX") {
		return unboundedScale
	}
	return uint8(len(fraction))
}

// inputConst is a constant of a type, written as text in a style.
func inputConst(text string, d duckDBType, as *style.Style) (*pg.Node, *Error) {
	if special := specialTime(text, d); special != nil {
		return special, nil
	}
	typ := d.typ
	if d.unbounded {
		typ.Scale = decimals(text)
		d.typ = typ
	}
	if typ.Kind == columnar.Varchar || typ.Kind == columnar.Char {
		return d.cast(textConst(text)), nil // a cast cuts what an input function refuses
	}
	into := columnar.NewVectorBuilder(typ)
	if err := as.Read(typ, text, into, time.Now()); err != nil {
		if input, ok := errors.AsType[*columnar.InputError](err); ok {
			return nil, &Error{Code: input.Code, Message: input.Message, Detail: input.Detail, Hint: input.Hint}
		}
		return nil, errorf(CodeInvalidText, "%v", err)
	}
	v := into.Vector()
	switch typ.Kind {
	case columnar.Interval:
		i := v.Intervals[0]
		text = itoa(i.Months) + " months " + itoa(i.Days) + " days " + strconv.FormatInt(i.Micros, 10) + " microseconds"
	case columnar.Bytea:
		return callNode("from_hex", textConst(strings.TrimPrefix(string(columnar.AppendText(nil, &v, 0)), `\x`))), nil
	case columnar.Text:
	case columnar.Date, columnar.Timestamp, columnar.TimestampTZ:
		text = duckTime(string(columnar.AppendText(nil, &v, 0)))
	default:
		text = string(columnar.AppendText(nil, &v, 0))
	}
	return d.cast(textConst(text)), nil
}

// keepTime gives a time that is a constant of a view the form that every session reads as this one does.
func (b *binder) keepTime(c *pg.TypeCast) {
	text, ok := stringConst(c.GetArg())
	d, refused := duckType(typeOf(c.GetTypeName()))
	if !ok || refused != nil || d.dimensions > 0 || b.binding.Style == nil || specialTime(text, d) != nil {
		return
	}
	switch d.typ.Kind {
	case columnar.Date, columnar.Timestamp, columnar.TimestampTZ:
		into := columnar.NewVectorBuilder(d.typ)
		if b.binding.Style.Read(d.typ, text, into, time.Now()) == nil {
			v := into.Vector()
			c.Arg = textConst(string(columnar.AppendText(nil, &v, 0)))
		}
	default:
	}
}

// duckTime writes a date or time as DuckDB reads it: what is before Christ says so behind the date.
func duckTime(text string) string {
	text, before := strings.CutSuffix(text, " BC")
	if !before {
		return text
	}
	date, clock, hasClock := strings.Cut(text, " ")
	if hasClock {
		clock = " " + clock
	}
	return date + " (BC)" + clock
}

// specialTime is a time that is written as a word.
func specialTime(text string, d duckDBType) *pg.Node {
	switch d.typ.Kind {
	case columnar.Date, columnar.Timestamp, columnar.TimestampTZ:
	default:
		return nil
	}
	today := callNode("today")
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "now":
		return d.cast(callNode("now"))
	case "today":
		return d.cast(today)
	case "tomorrow":
		return d.cast(operatorNode("+", today, intConst(1)))
	case "yesterday":
		return d.cast(operatorNode("-", today, intConst(1)))
	case "epoch":
		if d.typ.Kind == columnar.TimestampTZ {
			return d.cast(textConst("1970-01-01 00:00:00+00"))
		}
		return d.cast(textConst("1970-01-01"))
	}
	return nil
}

// The grammar's modifiers of intervals.
const (
	intervalFull   = 0x7FFF
	intervalMonth  = 1 << 1
	intervalYear   = 1 << 2
	intervalDay    = 1 << 3
	intervalHour   = 1 << 10
	intervalMinute = 1 << 11
	intervalSecond = 1 << 12
)

// oneFieldInterval turns INTERVAL '1' DAY into INTERVAL '1 day'.
func oneFieldInterval(c *pg.TypeCast, t *typeName) {
	text, ok := stringConst(c.GetArg())
	text = strings.TrimSpace(text)
	if _, err := strconv.ParseFloat(text, 64); !ok || err != nil {
		return
	}
	unit := ""
	switch t.mods[0] {
	case intervalMonth:
		unit = " month"
	case intervalYear:
		unit = " year"
	case intervalDay:
		unit = " day"
	case intervalHour:
		unit = " hour"
	case intervalMinute:
		unit = " minute"
	case intervalSecond:
		unit = " second"
	default:
		return
	}
	c.Arg = textConst(text + unit)
	t.mods = nil
}

// listed tells of an array that is written as text.
func (b *binder) listed(text string) error {
	if !b.knows() || b.binding.Listed == nil {
		return nil
	}
	return b.binding.Listed(strings.Count(text, ",") + 1)
}

// arrayConst is an array written as text: '{1,2}'.
func arrayConst(text string, d duckDBType, as *style.Style) (*pg.Node, *Error) {
	elements, ok := columnar.SplitArray(text)
	if !ok {
		return nil, errorf(CodeInvalidText, "malformed array literal: %q", text)
	}
	element := d
	element.dimensions = 0
	array := &pg.A_ArrayExpr{}
	for _, e := range elements {
		if e == nil {
			array.Elements = append(array.Elements, nullConst())
			continue
		}
		made, err := inputConst(*e, element, as)
		if err != nil {
			return nil, err
		}
		array.Elements = append(array.Elements, made)
	}
	return d.cast(&pg.Node{Node: &pg.Node_AArrayExpr{AArrayExpr: array}}), nil
}

// parseTypeName reads the name of a type by the grammar.
func parseTypeName(name string) (*pg.TypeName, *Error) {
	text := "SELECT NULL::" + name
	node, err := source{text: text}.grammar(text)
	if q := node.GetSelectStmt(); err == nil && len(q.GetTargetList()) == 1 {
		t := q.GetTargetList()[0].GetResTarget()
		if cast := t.GetVal().GetTypeCast(); cast != nil && t.GetName() == "" && len(q.GetFromClause()) == 0 {
			return cast.GetTypeName(), nil
		}
	}
	return nil, errorf(CodeUndefinedObject, "type %q does not exist", name)
}
