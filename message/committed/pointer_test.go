package committed_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

const sample = "3b4a5968-1d2c-11ee-9c00-010203040506"

func TestPointers(t *testing.T) {
	for _, c := range []struct {
		pointer, line string
		found         bool
	}{
		{"/_meta/uuid", `{"_meta":{"uuid":"` + sample + `"},"a":1}`, true},
		{"/_meta/uuid", ` { "a" : [1,{"_meta":2}] , "_meta" : { "x" : "\"}" , "uuid" : "` + sample + `" } }` + "\r", true},
		{"/_meta/uuid", `{"_\u006deta":{"uuid":"` + strings.ToUpper(sample) + `"}}`, true},
		{"/uuid", `{"uuid":"\u0033` + sample[1:] + `"}`, true},
		{"/uuid", `{"a":"\\","b":"\\\"","uuid":"` + sample + `","torn`, true},
		{"/a~1b/~0/1", `{"a/b":{"~":[[],"` + sample + `"]}}`, true},
		{"/0", `{"0":"` + sample + `"}`, true},
		{"/", `{"":"` + sample + `"}`, true},
		{"/0", `["` + sample + `"]`, true},
		{"/01", `[1,"` + sample + `"]`, false},
		{"/1", `["` + sample + `"]`, false},
		{"/0", `[]`, false},
		{"/-1", `["` + sample + `"]`, false},
		{"/uuid", `{"uuid":"3b4a5968-1d2c-41ee-9c00-010203040506"}`, false}, // a random one
		{"/uuid", `{"uuid":"` + sample + ` "}`, false},
		{"/uuid", `{"uuid":12,"uuid":"` + sample + `"}`, false}, // the first counts
		{"/uuid", `{"x":{"uuid":"` + sample + `"}}`, false},
		{"/x/uuid", `{"x":"uuid"}`, false},
		{"/uuid", `{"uuid":"` + sample, false},
		{"/uuid", `{"uuid`, false},
		{"/uuid", `{"a":[1,2`, false},
		{"/uuid", `{"a":1}}`, false},
		{"/uuid", `{"a":],"uuid":"` + sample + `"}`, false},
		{"/uuid", `{"a":,"uuid":"` + sample + `"}`, false},
		{"/uuid", `{"a\x":1,"uuid":"` + sample + `"}`, false},
		{"/uuid", `{"uuid":"\x` + sample[2:] + `"}`, false},
		{"/uuid", ``, false},
		{"/uuid", `{}`, false},
	} {
		p, err := committed.ParsePointer(c.pointer)
		require.NoError(t, err)
		u := p.UUID([]byte(c.line))
		require.Equal(t, c.found, !u.IsZero(), "%s in %s", c.pointer, c.line)
		if c.found {
			require.Equal(t, sample, u.String())
		}
	}
	for text, want := range map[string]string{"": "must begin with a slash", "uuid": "must begin with a slash", "/a~2": "a tilde must be", "/a~": "a tilde must be"} {
		_, err := committed.ParsePointer(text)
		require.ErrorContains(t, err, want)
	}
}

func TestCSV(t *testing.T) {
	for line, found := range map[string]bool{
		sample: true, sample + ",a": true, `"` + sample + `",a`: true, sample + "\r": true,
		"": false, ",a": false, "a," + sample: false, `"` + sample: false, sample[1:] + ",": false,
	} {
		require.Equal(t, found, !committed.CSV([]byte(line)).IsZero(), line)
	}
}

// reference finds the same by encoding/json, if the line is JSON.
func reference(line []byte, keys []string) message.UUID {
	d := json.NewDecoder(bytes.NewReader(line))
	for _, key := range keys {
		open, err := d.Token()
		if err != nil || open != json.Delim('{') && open != json.Delim('[') {
			return message.UUID{}
		}
		for i := 0; ; i++ {
			if !d.More() {
				return message.UUID{}
			}
			at := any(strconv.Itoa(i))
			if open == json.Delim('{') {
				if at, err = d.Token(); err != nil {
					return message.UUID{}
				}
			}
			if at == key {
				break
			}
			var skipped json.RawMessage
			if d.Decode(&skipped) != nil {
				return message.UUID{}
			}
		}
	}
	var text any
	if d.Decode(&text) != nil {
		return message.UUID{}
	}
	s, _ := text.(string)
	u, err := message.ParseUUID(s)
	if err != nil {
		return message.UUID{}
	}
	return u
}

func checkPointer(t require.TestingT, line []byte, keys ...string) {
	p, err := committed.ParsePointer("/" + strings.Join(keys, "/"))
	require.NoError(t, err)
	if got := p.UUID(line); json.Valid(line) {
		require.Equal(t, reference(line, keys), got, "%s", line)
	}
}

// TestPointersMeetReference on generated JSON.
func TestPointersMeetReference(t *testing.T) {
	keys := []string{"a", "b", "0", "1", `"`, `\`, "é"}
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			switch rapid.IntRange(0, 3+depth).Draw(t, "kind") {
			case 0:
				return sample
			case 1:
				return rapid.Float64Range(-10, 10).Draw(t, "number")
			case 2:
				return rapid.String().Draw(t, "text")
			case 3:
				return nil
			case 4, 5:
				return rapid.MapOfN(rapid.SampledFrom(keys), value(depth-1), 0, 4).Draw(t, "object")
			default:
				return rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "array")
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		line, err := json.Marshal(value(4).Draw(t, "value"))
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "spaced") {
			var out bytes.Buffer
			require.NoError(t, json.Indent(&out, line, " ", "\t"))
			line = out.Bytes()
		}
		checkPointer(t, line, rapid.SliceOfN(rapid.SampledFrom(keys), 1, 3).Draw(t, "keys")...)
	})
}

func FuzzPointer(f *testing.F) {
	f.Add([]byte(`{"_meta":{"uuid":"` + sample + `"},"a":[1,"\"",{}]}`))
	f.Add([]byte(`{"a":"\\\"","_meta":[],"_meta":{"uuid":"\u0033` + sample[1:] + `"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		checkPointer(t, line, "_meta", "uuid")
		checkPointer(t, line, "0")
		committed.CSV(line)
	})
}
