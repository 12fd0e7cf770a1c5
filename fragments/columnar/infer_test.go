package columnar

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func infer(lines ...string) (*Inference, error) {
	f := NewInference(1600, 63)
	for _, line := range lines {
		if err := f.Add([]byte(line)); err != nil {
			return f, err
		}
	}
	return f, nil
}

func TestInferredTypes(t *testing.T) {
	for values, want := range map[string]string{
		`1, -7, null`: "bigint",
		`9223372036854775807, 9223372036854775808`: "numeric(38,0)",
		`1, 1.5, 1e3, 0.30000000000000004`:         "double precision",
		`1.0`:                                      "double precision",
		`1e400`:                                    "jsonb",
		`0.1234567890123456789012, 1`:              "jsonb",
		`true, false`:                              "boolean",
		`true, "true"`:                             "jsonb",
		`"yes", "1", ""`:                           "text",
		`"a\u0000b"`:                               "json",
		`"2024-02-29T12:00:00Z", "2024-02-29 12:00+02"`: "timestamp with time zone",
		`"2024-02-29T12:00:00Z", "soon"`:                "text",
		`"2023-02-29T12:00:00Z"`:                        "text",
		`"2024-02-29"`:                                  "text",
		`"2024-02-29T12:00:00 Europe/Berlin"`:           "text",
		`{"a": 1}, [1, 2]`:                              "jsonb",
		`[], 1, "x", true, null`:                        "jsonb",
		`{"a": "\u0000"}`:                               "json",
		`null, null`:                                    "jsonb",
		strings.Repeat("9", 38):                         "numeric(38,0)",
		strings.Repeat("9", 39):                         "jsonb",
	} {
		var list []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte("["+values+"]"), &list))
		var lines []string
		for _, v := range list {
			lines = append(lines, fmt.Sprintf(`{"c":%s}`, v))
		}
		f, err := infer(lines...)
		require.NoError(t, err)
		require.Equal(t, want, f.Columns()[0].Type.SQL(), values)
		require.False(t, f.Columns()[0].NotNull)
	}
}

func TestInferredColumns(t *testing.T) {
	f, err := infer(` {"b":1 , "a":"x"} `, ``, "  \r", `{}`, `{"Ä c":null,"a":null}`, `{"\u0061":"y"}`)
	require.NoError(t, err)
	require.Equal(t, int64(4), f.Rows())
	require.Equal(t, []Column{{Name: "b", Type: Type{Kind: Int64}}, {Name: "a", Type: Type{Kind: Text}}, {Name: "Ä c", Type: Type{Kind: JSONB}}}, f.Columns())

	many := make([]string, 1601)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":1`, i)
	}
	for line, want := range map[string]string{
		`hello`:                                 "not valid JSON at byte 0: expected a value",
		`{"a":1} {"a":2}`:                       "not valid JSON at byte 8: expected the end of the line",
		`{"a":1,}`:                              "not valid JSON at byte 7: expected a key",
		`{"a" 1}`:                               "not valid JSON at byte 5: expected a colon",
		`[1]`:                                   "a row is a JSON object, not an array",
		`null`:                                  "a row is a JSON object, not null",
		`{"a":1,"a":2}`:                         `key "a" appears twice in a line`,
		`{"a":1,"A":2}`:                         `keys "a" and "A" differ in case only`,
		`{"":1}`:                                "a key is empty",
		`{"a\u0000":1}`:                         "can't be a column's name",
		`{"` + strings.Repeat("k", 64) + `":1}`: "has 64 bytes, a column's name at most 63",
		`{"` + strings.Repeat("k", 1<<20) + `":1}`:                      "kkk...\" has 1048576 bytes",
		"{" + strings.Join(many, ",") + "}":                             "more than 1600 keys",
		strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000): "not valid JSON",
		`{"a":` + strings.Repeat(" ", MaxLine) + `1}`:                   "longer than",
	} {
		_, err := infer(line)
		require.ErrorContains(t, err, want, line[:min(len(line), 80)])
		require.Less(t, len(err.Error()), 300)
		var e *InputError
		require.ErrorAs(t, err, &e)
	}
}

// TestInferredRowsAreRead holds that every line of which columns are made is a row of them.
func TestInferredRowsAreRead(t *testing.T) {
	scalars := []string{
		"null", "true", "false", "0", "-0", "-1", "42", "9223372036854775807", "9223372036854775808", "1.5", "1e3", "1E400", "0.1", "-0.0", "1e-400",
		strings.Repeat("9", 38), strings.Repeat("9", 60), "0." + strings.Repeat("1", 30), `""`, `"a"`, `"\u0000"`, `"\ud83d\ude00"`, `"2024-02-29T12:00:00Z"`,
		`"2024-02-30T12:00:00Z"`, `"0000-01-01T00:00"`, `"2024-02-29 24:00:00.123456789+15:59"`, `"9999-12-31T23:59:60Z"`, `"infinity"`, `[]`, `{}`, `[1,[2]]`, `{"b":{"c":null}}`, `{"a":"\u0000"}`, `{"a":1,"a":2}`, `[1e999999]`,
	}
	value := rapid.OneOf(
		rapid.SampledFrom(scalars), rapid.Custom(func(t *rapid.T) string { return strconv.FormatInt(rapid.Int64().Draw(t, "int"), 10) }),
		rapid.Custom(func(t *rapid.T) string { b, _ := json.Marshal(rapid.Float64().Draw(t, "float")); return string(b) }),
		rapid.Custom(func(t *rapid.T) string { b, _ := json.Marshal(rapid.String().Draw(t, "text")); return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		kinds := rapid.SliceOfN(rapid.SliceOfN(value, 1, 3), 1, 4).Draw(t, "values") // of each column
		for range rapid.IntRange(1, 8).Draw(t, "rows") {
			var pairs []string
			for i, values := range kinds {
				if rapid.Bool().Draw(t, "has") {
					pairs = append(pairs, fmt.Sprintf(`"c%d": %s`, i, rapid.SampledFrom(values).Draw(t, "value")))
				}
			}
			lines = append(lines, "{"+strings.Join(pairs, ", ")+"}")
		}
		f, err := infer(lines...)
		require.NoError(t, err)
		schema := Schema{Columns: f.Columns()}
		if len(schema.Columns) == 0 {
			return
		}
		require.NoError(t, schema.Validate())
		b, rejects, err := NewScanner(strings.NewReader(strings.Join(lines, "\n")+"\n"), ScanOptions{End: -1, Schema: schema}).Next()
		require.NoError(t, err)
		require.Empty(t, rejects)
		require.Equal(t, len(lines), b.Len)
	})
}

func FuzzInference(f *testing.F) {
	f.Add([]byte(`{"a":1}` + "\n" + `{"a":"x","b":[1]}`))
	f.Add([]byte(`{"a":1,"A":2}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		x, err := infer(strings.Split(string(content), "\n")...)
		schema := Schema{Columns: x.Columns()}
		if err != nil || len(schema.Columns) == 0 {
			return
		}
		b, rejects, err := NewScanner(strings.NewReader(string(content)+"\n"), ScanOptions{End: -1, Schema: schema}).Next()
		require.NoError(t, err)
		require.Empty(t, rejects)
		require.LessOrEqual(t, int64(b.Len), x.Rows())
	})
}
