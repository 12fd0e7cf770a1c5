package columnartest

import (
	"fmt"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// Token draws the text of a JSON value for a column of the type: mostly a form that
// the type takes, in all its spellings, now and then something else or what isn't JSON.
func Token(t *rapid.T, typ columnar.Type) string {
	switch rapid.IntRange(0, 19).Draw(t, "token") {
	case 0:
		return "null"
	case 1:
		return rapid.SampledFrom([]string{
			`true`, `false`, `0`, `1`, `-1`, `1.5`, `"x"`, `""`, `[]`, `{}`, `[1,{"a":2}]`, `"NaN"`, `-0`, `1e3`,
			`nul`, `01`, `+1`, `.5`, `1.`, `NaN`, `"\ud800"`, `"\x"`, `[1,]`, `{"a":1,}`, `'x'`, "\"\xff\"", `"`, `tru`, ``,
		}).Draw(t, "other")
	}
	switch typ.Kind {
	case columnar.Bool:
		return rapid.SampledFrom([]string{`true`, `false`, `"t"`, `"no"`, `"ON"`, `1`}).Draw(t, "boolean")
	case columnar.Int16, columnar.Int32, columnar.Int64:
		return integer(t)
	case columnar.Float32, columnar.Float64:
		return float(t)
	case columnar.Decimal:
		return decimal(t, typ)
	case columnar.Bytea:
		return rapid.StringMatching(`"\\\\x([0-9a-fA-F]{2}){0,6}( |[0-9a-g])?"`).Draw(t, "bytea")
	case columnar.Date, columnar.Time, columnar.Timestamp, columnar.TimestampTZ:
		return temporal(t, typ)
	case columnar.Interval:
		return interval(t)
	case columnar.UUID:
		return rapid.OneOf(
			rapid.StringMatching(`"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"`),
			rapid.StringMatching(`"\{?[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}\}?"`)).Draw(t, "uuid")
	case columnar.JSON, columnar.JSONB:
		return JSON(t, 3)
	default:
		return characters(t)
	}
}

func quoteSome(t *rapid.T, s string) string {
	if rapid.IntRange(0, 3).Draw(t, "quoted") == 0 {
		return `"` + s + `"`
	}
	return s
}

func integer(t *rapid.T) string {
	return quoteSome(t, rapid.OneOf(
		rapid.Map(rapid.Int16(), func(i int16) string { return strconv.Itoa(int(i)) }),
		rapid.Map(rapid.Int64(), func(i int64) string { return strconv.FormatInt(i, 10) }),
		rapid.StringMatching(`-?[0-9]{1,20}`),
		rapid.StringMatching(`-?[0-9]{1,4}(\.0|e[0-2]| )?`)).Draw(t, "integer"))
}

func float(t *rapid.T) string {
	return quoteSome(t, rapid.OneOf(
		rapid.Map(rapid.Float64(), func(f float64) string { return fmt.Sprint(f) }),
		rapid.Map(rapid.Float32(), func(f float32) string { return fmt.Sprint(f) }),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`),
		rapid.SampledFrom([]string{"NaN", "Infinity", "-Infinity", "inf", "-0", "-0.0", "0.0", "-0e0"})).Draw(t, "float"))
}

func decimal(t *rapid.T, typ columnar.Type) string {
	whole := rapid.IntRange(0, int(typ.Precision-typ.Scale)+1).Draw(t, "whole digits")
	fraction := rapid.IntRange(0, int(typ.Scale)+2).Draw(t, "fraction digits")
	digits := rapid.StringMatching(`[0-9]{42}`).Draw(t, "digits")
	s := strings.TrimLeft(digits[:whole], "0")
	if s == "" {
		s = "0"
	}
	if fraction > 0 {
		s += "." + digits[:fraction]
	}
	if rapid.Bool().Draw(t, "negative") {
		s = "-" + s
	}
	return quoteSome(t, s+rapid.SampledFrom([]string{"", "", "", "", "", "e0", "e1", "E-1"}).Draw(t, "exponent"))
}

func temporal(t *rapid.T, typ columnar.Type) string {
	date := rapid.OneOf(
		rapid.StringMatching(`(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])`),
		rapid.StringMatching(`[0-9]{4,6}-[01]?[0-9]-[0-3]?[0-9]`)).Draw(t, "date")
	clock := rapid.OneOf(
		rapid.StringMatching(`([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?`),
		rapid.StringMatching(`[0-2]?[0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{0,9})?)?`)).Draw(t, "clock")
	zone := rapid.SampledFrom([]string{"", "", "Z", "Z", "+00", "+02:00", "-05:30", "+0530", " UTC", "+16", " BC"}).Draw(t, "zone")
	s := ""
	switch typ.Kind {
	case columnar.Date:
		s = date
	case columnar.Time:
		s = clock
	default:
		s = date + rapid.SampledFrom([]string{"T", " ", "t"}).Draw(t, "separator") + clock + zone
	}
	switch rapid.IntRange(0, 9).Draw(t, "special") {
	case 0:
		s = rapid.SampledFrom([]string{"infinity", "-infinity", "epoch", date + " BC", date, clock, " " + s, s + " "}).Draw(t, "special form")
	case 1:
		s += zone
	}
	return `"` + s + `"`
}

func interval(t *rapid.T) string {
	return `"` + rapid.OneOf(
		rapid.StringMatching(`(-?[1-9][0-9]? years )?(-?[1-9] mons )?(-?[0-9]{1,3} days )?-?[0-9]{2,5}:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?`),
		rapid.StringMatching(`[+-]?[0-9]{1,3}(\.[0-9])? ?(year|mon|week|day|hour|min|sec|ms|us|s|d)s?( ago)?`),
		rapid.StringMatching(`P([0-9]Y)?([0-9]M)?([0-9]D)?(T[0-9]H)?`),
		rapid.SampledFrom([]string{"1 year", "1 mon", "1 day", "2 days", "-1 days", "00:00:00", "1 year 2 mons 3 days 04:05:06.789", "-1 mons 5 days", "1 day 1 mon"})).Draw(t, "interval") + `"`
}

func characters(t *rapid.T) string {
	part := rapid.OneOf(
		rapid.StringMatching(`[ -!#-\[\]-~]{0,6}`),
		rapid.SampledFrom([]string{"é", "日本", "😀", `\n`, `\"`, `\\`, `\/`, `\u0041`, `\u00e9`, `\ud83d\ude00`, `\u0000`, "\u2028", "\u007f", "\xff", "\t"}))
	n := rapid.IntRange(0, 4).Draw(t, "parts")
	var s strings.Builder
	for range n {
		s.WriteString(part.Draw(t, "part"))
	}
	return `"` + s.String() + `"`
}

// JSON draws JSON text of at most so many levels, in all its spellings.
func JSON(t *rapid.T, depth int) string {
	blank := rapid.SampledFrom([]string{"", "", "", " ", "\t"}).Draw(t, "blank")
	kind := rapid.IntRange(0, 7).Draw(t, "kind")
	if depth == 0 {
		kind %= 6
	}
	str := func() string {
		return rapid.SampledFrom([]string{
			`"a"`, `"b"`, `""`, `"bb"`, `"\u0061"`, `"\n\"\\"`, `"\/"`, `"\u001f"`, `"é😀"`, `"\ud83d\ude00"`, `"\u2028"`, `" , : "`, `"\u0000"`,
		}).Draw(t, "string")
	}
	switch kind {
	case 0:
		return blank + rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "word") + blank
	case 1, 2:
		return blank + str() + blank
	case 3, 4, 5:
		return blank + rapid.OneOf(
			rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?`),
			rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{0,5}[1-9])?`),
			rapid.SampledFrom([]string{"0", "-0", "1.0", "1.50", "100", "1e3", "0.000001", "0.0000001", "123456789012345678901", "0.1"})).Draw(t, "number")
	case 6:
		var parts []string
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			parts = append(parts, JSON(t, depth-1))
		}
		return "[" + blank + strings.Join(parts, ",") + "]"
	default:
		var parts []string
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			parts = append(parts, blank+str()+blank+":"+JSON(t, depth-1))
		}
		return "{" + blank + strings.Join(parts, ",") + "}"
	}
}

// Line draws a line for the schema: mostly an object with all its columns, and now and
// then with other keys, in another order, with a key twice, or cut.
func Line(t *rapid.T, schema columnar.Schema) string {
	var members []string
	blank := rapid.SampledFrom([]string{"", "", "", " "}).Draw(t, "blank")
	for _, c := range schema.Columns {
		name := c.Name
		switch rapid.IntRange(0, 30).Draw(t, "member") {
		case 0:
			continue
		case 1:
			members = append(members, `"other":`+JSON(t, 2))
		case 2:
			members = append(members, `"`+name+`":`+Token(t, c.Type))
		case 3:
			name = strings.ToUpper(name)
		case 4:
			name = fmt.Sprintf(`\u%04x`, name[0]) + name[1:]
		}
		members = append(members, `"`+name+`":`+blank+Token(t, c.Type))
	}
	if rapid.IntRange(0, 5).Draw(t, "shuffled") == 0 {
		members = rapid.Permutation(members).Draw(t, "order")
	}
	s := blank + "{" + strings.Join(members, ","+blank) + "}" + blank
	switch rapid.IntRange(0, 20).Draw(t, "end") {
	case 0:
		s = s[:rapid.IntRange(0, len(s)).Draw(t, "cut")]
	case 1:
		s += rapid.SampledFrom([]string{"\r", "x", "{}", ",", "\x0b", "\t"}).Draw(t, "behind")
	case 2:
		s = rapid.SampledFrom([]string{"", " ", "\r", "null", "[]", "1", "\x0c", "{}"}).Draw(t, "instead")
	}
	return s
}
