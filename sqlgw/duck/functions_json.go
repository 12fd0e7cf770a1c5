package duck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// jsonScalars are PostgreSQL's functions of JSON:
//
//	bs_json_path(json, path)            what #> gives; a path is an array of texts, or the text of one
//	bs_json_type(json)                  jsonb_typeof
//	bs_json_length(json)                jsonb_array_length
//	bs_json_elements(json)              the elements of an array, as an array
//	bs_json_keys(json), bs_json_values(json)    of an object, in jsonb's order of keys
//	bs_jsonb_contains(json, json)       @>
//	bs_jsonb_exist(json, keys, all)     ? of one key, ?| and ?&
//	bs_jsonb_concat(json, json)         ||
//	bs_jsonb_remove(json, keys)         - of texts
//	bs_jsonb_remove_at(json, place)     - of a number
//	bs_jsonb_remove_path(json, path)    #-
//	bs_jsonb_set(json, path, json, create)
//	bs_jsonb_strip_nulls(json), bs_jsonb_pretty(json)
func jsonScalars() []scalar {
	text, js := mapping.TypeVarchar, columnar.Type{Kind: columnar.JSONB}
	ofAny, ofBool := mapping.TypeAny, mapping.TypeBoolean
	json1 := func(name string, out columnar.Type, f func(json.RawMessage) (any, error)) scalar {
		return scalar{name: name, args: []mapping.Type{text}, out: out, call: func(in []cells, row int) (any, error) {
			return f(in[0].append(nil, row))
		}}
	}
	of := func(name string, out columnar.Type, args []mapping.Type, f func(in []cells, row int) (any, error)) scalar {
		return scalar{name: name, args: args, out: out, call: f}
	}
	return []scalar{
		of("bs_json_path", columnar.Type{Kind: columnar.JSON}, []mapping.Type{text, ofAny}, jsonAtPath),
		json1("bs_json_type", columnar.Type{Kind: columnar.Text}, func(j json.RawMessage) (any, error) { return jsonTypeName(j), nil }),
		json1("bs_json_length", columnar.Type{Kind: columnar.Int32}, jsonLength),
		json1("bs_json_elements", columnar.ArrayOf(columnar.Type{Kind: columnar.JSON}), jsonElements),
		json1("bs_json_keys", columnar.ArrayOf(columnar.Type{Kind: columnar.Text}), func(j json.RawMessage) (any, error) {
			keys, _, err := jsonMembers(j)
			return arrayText(keys), err
		}),
		json1("bs_json_values", columnar.ArrayOf(columnar.Type{Kind: columnar.JSON}), func(j json.RawMessage) (any, error) {
			_, values, err := jsonMembers(j)
			return arrayText(values), err
		}),
		of("bs_jsonb_contains", columnar.Type{Kind: columnar.Bool}, []mapping.Type{text, text}, func(in []cells, row int) (any, error) {
			a, err := jsonValue(in[0].append(nil, row))
			if err != nil {
				return nil, err
			}
			b, err := jsonValue(in[1].append(nil, row))
			return jsonContains(a, b, true), err
		}),
		of("bs_jsonb_exist", columnar.Type{Kind: columnar.Bool}, []mapping.Type{text, ofAny, ofBool}, jsonExists),
		of("bs_jsonb_concat", js, []mapping.Type{text, text}, jsonConcat),
		of("bs_jsonb_remove", js, []mapping.Type{text, ofAny}, jsonRemove),
		of("bs_jsonb_remove_at", js, []mapping.Type{text, mapping.TypeBigInt}, jsonRemoveAt),
		of("bs_jsonb_remove_path", js, []mapping.Type{text, ofAny}, jsonRemovePath),
		of("bs_jsonb_set", js, []mapping.Type{text, ofAny, text, ofBool}, jsonSet),
		json1("bs_jsonb_strip_nulls", js, func(j json.RawMessage) (any, error) {
			v, err := jsonValue(j)
			return stripNulls(v), err
		}),
		json1("bs_jsonb_pretty", columnar.Type{Kind: columnar.Text}, jsonPretty),
	}
}

// jsonError is PostgreSQL's for a value that isn't of the kind that a function takes.
func jsonError(format string, args ...any) error {
	return &columnar.InputError{Code: "22023", Message: fmt.Sprintf(format, args...)}
}

// jsonValue reads JSON, whose numbers stay as they are written.
func jsonValue(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, &columnar.InputError{Code: "22P02", Message: "invalid input syntax for type json"}
	}
	return v, nil
}

// jsonText writes a value.
func jsonText(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// texts are the elements of an array of texts, or the one text that isn't one.
func texts(in cells, row int) []string {
	text := string(in.append(nil, row))
	elements, ok := columnar.SplitArray(text)
	if !ok {
		return []string{text}
	}
	var out []string
	for _, e := range elements {
		if e != nil {
			out = append(out, *e)
		}
	}
	return out
}

// arrayText is the text of an array.
func arrayText[T ~string | ~[]byte](elements []T) string {
	out := []byte{'{'}
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendInside(out, []byte(e), true, "", `\`)
	}
	return string(append(out, '}'))
}

func jsonTypeName(j json.RawMessage) string {
	switch j = bytes.TrimSpace(j); {
	case len(j) == 0:
		return ""
	case j[0] == '{':
		return "object"
	case j[0] == '[':
		return "array"
	case j[0] == '"':
		return "string"
	case j[0] == 't', j[0] == 'f':
		return "boolean"
	case j[0] == 'n':
		return "null"
	}
	return "number"
}

func jsonArray(j json.RawMessage, what string) ([]json.RawMessage, error) {
	var out []json.RawMessage
	switch jsonTypeName(j) {
	case "array":
		return out, json.Unmarshal(j, &out)
	case "object":
		return nil, jsonError("cannot %s an object", what)
	}
	return nil, jsonError("cannot %s a scalar", what)
}

func jsonLength(j json.RawMessage) (any, error) {
	switch jsonTypeName(j) {
	case "object":
		return nil, jsonError("cannot get array length of a non-array")
	case "array":
		list, err := jsonArray(j, "")
		return int64(len(list)), err
	}
	return nil, jsonError("cannot get array length of a scalar")
}

func jsonElements(j json.RawMessage) (any, error) {
	list, err := jsonArray(j, "extract elements from")
	if err != nil {
		return nil, err
	}
	return arrayText(list), nil
}

// jsonMembers are the keys and values of an object, shorter keys first.
func jsonMembers(j json.RawMessage) ([]string, []json.RawMessage, error) {
	if kind := jsonTypeName(j); kind != "object" {
		if kind != "array" {
			kind = "scalar"
		}
		return nil, nil, jsonError("cannot call jsonb_each on a%s %s", map[bool]string{true: "n"}[kind == "array"], kind)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(j, &members); err != nil {
		return nil, nil, err
	}
	keys := sortedKeys(members)
	values := make([]json.RawMessage, len(keys))
	for i, k := range keys {
		values[i] = members[k]
	}
	return keys, values, nil
}

// sortedKeys has the shorter ones first, as jsonb does.
func sortedKeys[V any](members map[string]V) []string {
	keys := make([]string, 0, len(members))
	for k := range members {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return keys
}

// jsonAtPath is what stands at a path, nil if there is nothing.
func jsonAtPath(in []cells, row int) (any, error) {
	at := json.RawMessage(in[0].append(nil, row))
	for _, step := range texts(in[1], row) {
		switch jsonTypeName(at) {
		case "object":
			var members map[string]json.RawMessage
			if err := json.Unmarshal(at, &members); err != nil {
				return nil, err
			}
			at = members[step]
		case "array":
			var list []json.RawMessage
			if err := json.Unmarshal(at, &list); err != nil {
				return nil, err
			}
			i, ok := place(step, len(list))
			if !ok {
				return nil, nil
			}
			at = list[i]
		default:
			return nil, nil
		}
		if at == nil {
			return nil, nil
		}
	}
	return []byte(at), nil
}

// place is where in an array of n elements a step leads: from its end if it is negative.
func place(step string, n int) (int, bool) {
	i, err := strconv.Atoi(step)
	if err != nil {
		return 0, false
	}
	if i < 0 {
		i += n
	}
	return i, i >= 0 && i < n
}

// jsonContains tells whether a contains b: an array also what isn't one, at the top.
func jsonContains(a, b any, top bool) bool {
	switch b := b.(type) {
	case map[string]any:
		members, ok := a.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range b {
			if has, ok := members[k]; !ok || !jsonContains(has, v, false) {
				return false
			}
		}
		return true
	case []any:
		list, ok := a.([]any)
		return ok && !slices.ContainsFunc(b, func(v any) bool {
			return !slices.ContainsFunc(list, func(has any) bool { return jsonContains(has, v, false) })
		})
	}
	if list, ok := a.([]any); ok && top {
		return slices.ContainsFunc(list, func(has any) bool { return jsonContains(has, b, false) })
	}
	return jsonSame(a, b)
}

// jsonSame compares what is neither an object nor an array.
func jsonSame(a, b any) bool {
	x, isNumber := a.(json.Number)
	y, both := b.(json.Number)
	if isNumber && both && x != y {
		return sameNumber(x, y)
	}
	switch a.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// sameNumber compares numbers by what jsonb makes of them, but for zeros at the end.
func sameNumber(x, y json.Number) bool {
	plain := func(n json.Number) string {
		b := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.JSONB})
		if columnar.ParseText(b.Type(), string(n), b) != nil {
			return string(n)
		}
		v := b.Vector()
		text := string(v.Str.Value(0))
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text
	}
	return plain(x) == plain(y)
}

func jsonExists(in []cells, row int) (any, error) {
	v, err := jsonValue(in[0].append(nil, row))
	if err != nil {
		return nil, err
	}
	has := func(key string) bool {
		switch v := v.(type) {
		case map[string]any:
			_, ok := v[key]
			return ok
		case []any:
			return slices.Contains(v, any(key))
		}
		return v == key
	}
	keys := texts(in[1], row)
	if in[2].truth[row] != 0 {
		return !slices.ContainsFunc(keys, func(k string) bool { return !has(k) }), nil
	}
	return slices.ContainsFunc(keys, has), nil
}

func jsonConcat(in []cells, row int) (any, error) {
	a, err := jsonValue(in[0].append(nil, row))
	if err != nil {
		return nil, err
	}
	b, err := jsonValue(in[1].append(nil, row))
	if err != nil {
		return nil, err
	}
	left, isObject := a.(map[string]any)
	right, both := b.(map[string]any)
	if isObject && both {
		maps.Copy(left, right)
		return left, nil
	}
	list := func(v any) []any {
		if l, ok := v.([]any); ok {
			return l
		}
		return []any{v}
	}
	return append(list(a), list(b)...), nil
}

func jsonRemove(in []cells, row int) (any, error) {
	v, err := jsonValue(in[0].append(nil, row))
	if err != nil {
		return nil, err
	}
	keys := texts(in[1], row)
	switch x := v.(type) {
	case map[string]any:
		for _, k := range keys {
			delete(x, k)
		}
		return x, nil
	case []any:
		return slices.DeleteFunc(x, func(e any) bool {
			s, ok := e.(string)
			return ok && slices.Contains(keys, s)
		}), nil
	}
	return nil, jsonError("cannot delete from scalar")
}

func jsonRemoveAt(in []cells, row int) (any, error) {
	v, err := jsonValue(in[0].append(nil, row))
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case map[string]any:
		return nil, jsonError("cannot delete from object using integer index")
	case []any:
		if i, ok := place(string(in[1].append(nil, row)), len(x)); ok {
			return slices.Delete(x, i, i+1), nil
		}
		return x, nil
	}
	return nil, jsonError("cannot delete from scalar")
}

func jsonRemovePath(in []cells, row int) (any, error) {
	v, err := jsonValue(in[0].append(nil, row))
	if err != nil {
		return nil, err
	}
	if path := texts(in[1], row); len(path) > 0 {
		return changed(v, path, func(any, bool) (any, bool) { return nil, false }), nil
	}
	return v, nil
}

func jsonSet(in []cells, row int) (any, error) {
	v, err := jsonValue(in[0].append(nil, row))
	if err != nil {
		return nil, err
	}
	value, err := jsonValue(in[2].append(nil, row))
	if err != nil {
		return nil, err
	}
	path, create := texts(in[1], row), in[3].truth[row] != 0
	if len(path) == 0 {
		return v, nil
	}
	return changed(v, path, func(_ any, there bool) (any, bool) { return value, there || create }), nil
}

// changed is a value in which what stands at a path is what f makes of it, or isn't there if f says so.
func changed(v any, path []string, f func(old any, there bool) (any, bool)) any {
	switch x := v.(type) {
	case map[string]any:
		old, there := x[path[0]]
		if len(path) > 1 {
			if there {
				x[path[0]] = changed(old, path[1:], f)
			}
			return x
		}
		if value, keep := f(old, there); keep {
			x[path[0]] = value
		} else {
			delete(x, path[0])
		}
		return x
	case []any:
		return changedList(x, path, f)
	}
	return v
}

func changedList(x []any, path []string, f func(any, bool) (any, bool)) any {
	i, there := place(path[0], len(x))
	if len(path) > 1 {
		if there {
			x[i] = changed(x[i], path[1:], f)
		}
		return x
	}
	if there {
		if value, keep := f(x[i], true); keep {
			x[i] = value
			return x
		}
		return slices.Delete(x, i, i+1)
	}
	if value, keep := f(nil, false); keep && i < 0 {
		return append([]any{value}, x...)
	} else if keep {
		return append(x, value)
	}
	return x
}

// stripNulls is a value without the members of objects that are null.
func stripNulls(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, member := range x {
			if member == nil {
				delete(x, k)
				continue
			}
			x[k] = stripNulls(member)
		}
	case []any:
		for i := range x {
			x[i] = stripNulls(x[i])
		}
	}
	return v
}

func jsonPretty(j json.RawMessage) (any, error) {
	v, err := jsonb(cells{append: func(dst []byte, _ int) []byte { return append(dst, j...) }}, 0)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, v.Str.Value(0), "", "    "); err != nil {
		return nil, err
	}
	// PostgreSQL breaks the line also where there is nothing.
	return b.String(), nil
}
