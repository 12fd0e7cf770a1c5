package sqlgw

import (
	"math"
	"strconv"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// assignable refuses constants that PostgreSQL doesn't assign to a column of this type.
func assignable(col catalog.Column, l parse.Literal) error {
	from := ""
	switch k := col.Type.Kind; {
	case l.Kind == parse.Number && !isNumber(k) && !isText(k):
		from = numberType(l.Text)
	case l.Kind == parse.Bool && k != columnar.Bool && !isText(k):
		from = "boolean"
	default:
		return nil
	}
	e := mismatch(col, from)
	e.Position, e.Column = l.Position, ""
	return e
}

// numberType is the type of a constant.
func numberType(text string) string {
	if _, err := strconv.ParseInt(text, 10, 32); err == nil {
		return "integer"
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "bigint"
	}
	return "numeric"
}

func mismatch(col catalog.Column, from string) *pgwire.Error {
	e := sqlError("42804", "column %q is of type %s but expression is of type %s", col.Name, col.Type.SQL(), from)
	e.Hint, e.Column = "You will need to rewrite or cast the expression.", col.Name
	return e
}

func isInteger(k columnar.Kind) bool {
	return k == columnar.Int16 || k == columnar.Int32 || k == columnar.Int64
}

func isFloat(k columnar.Kind) bool { return k == columnar.Float32 || k == columnar.Float64 }

func isNumber(k columnar.Kind) bool { return isInteger(k) || isFloat(k) || k == columnar.Decimal }

func isText(k columnar.Kind) bool {
	return k == columnar.Text || k == columnar.Varchar || k == columnar.Char
}

// numberText is what the input function of a type is given of a number that isn't a string:
// an integer takes it rounded as numeric is, half away from zero.
func numberText(to columnar.Kind, text string) (string, error) {
	if !strings.ContainsAny(text, ".eE") || !isInteger(to) {
		return text, nil
	}
	v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Decimal, Precision: 38})
	if err := columnar.ParseText(v.Type(), text, v); err != nil {
		return "", err
	}
	vector := v.Vector()
	return string(columnar.AppendText(nil, &vector, 0)), nil
}

// castBatch gives a batch the types of the columns that it is for, as an assignment does.
func castBatch(b *columnar.Batch, t catalog.Table, cols []int, as *style.Style) (*columnar.Batch, error) {
	out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(cols))}
	for i, c := range cols {
		if b.Cols[i].Type == t.Columns[c].Type {
			out.Cols[i] = b.Cols[i]
			continue
		}
		v := columnar.NewVectorBuilder(t.Columns[c].Type)
		for row := range b.Len {
			if err := assign(t.Columns[c], &b.Cols[i], row, v, as); err != nil {
				return nil, err
			}
		}
		out.Cols[i] = v.Vector()
	}
	return out, nil
}

// assign appends a value of another column's type to v, which has the type of col, as
// PostgreSQL assigns it: texts are written and read in the session's style, and what has a time zone by its.
func assign(col catalog.Column, from *columnar.Vector, row int, v *columnar.VectorBuilder, as *style.Style) error {
	if err := castable(from.Type, col); err != nil {
		return err
	}
	switch {
	case from.IsNull(row):
		v.AppendNull()
		return nil
	case from.Type == col.Type:
		v.AppendFrom(from, row)
		return nil
	}
	writing, reading := as, as
	if !isText(from.Type.Kind) {
		reading = as.Clock()
	}
	if !isText(col.Type.Kind) {
		writing = as.Clock()
	}
	text, err := assignText(from, row, col.Type.Kind, writing)
	if err == nil {
		err = reading.Read(col.Type, text, v, time.Now())
	}
	if e, ok := inputError(err, "").(*pgwire.Error); ok { //nolint:errorlint // just made, and not wrapped
		e.Column = col.Name
		return e
	}
	return err
}

// assignText is the text of a value that the input function of another type takes for what
// PostgreSQL's cast makes of it.
func assignText(from *columnar.Vector, row int, to columnar.Kind, as *style.Style) (string, error) {
	text := string(as.Append(nil, from, row))
	switch k := from.Type.Kind; {
	case k == columnar.Bool && isText(to):
		return strconv.FormatBool(text == "t"), nil
	case k == columnar.Char && (to == columnar.Text || to == columnar.Varchar):
		return strings.TrimRight(text, " "), nil
	case k == columnar.Char && to == columnar.Char:
		return text, nil
	case isFloat(k) && (isInteger(to) || to == columnar.Decimal):
		return floatText(text, k, to)
	case isNumber(k):
		return numberText(to, text)
	default:
		return text, nil
	}
}

// floatText is a float as an integer takes it, rounded half to even, or as a numeric does:
// with as many digits as all floats of its size have.
func floatText(text string, from, to columnar.Kind) (string, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", err
	}
	if isInteger(to) {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return "", sqlError("22003", "%s out of range", columnar.Type{Kind: to}.SQL())
		}
		return strconv.FormatFloat(math.RoundToEven(f), 'f', 0, 64), nil
	}
	digits := 15
	if from == columnar.Float32 {
		digits = 6
	}
	return strconv.FormatFloat(f, 'g', digits, 64), nil
}

// castable tells whether PostgreSQL assigns a value of one type to a column of another. Texts
// go to any type, as constants do: the engine doesn't tell them apart.
func castable(from columnar.Type, col catalog.Column) error {
	to := col.Type.Kind
	same := from.Kind == to || isText(from.Kind) || isText(to) || (isNumber(from.Kind) && isNumber(to))
	times := map[columnar.Kind]int{columnar.Date: 1, columnar.Timestamp: 1, columnar.TimestampTZ: 1}
	docs := map[columnar.Kind]int{columnar.JSON: 1, columnar.JSONB: 1}
	if same || times[from.Kind]*times[to] == 1 || docs[from.Kind]*docs[to] == 1 {
		return nil
	}
	return mismatch(col, from.SQL())
}
