package formats

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// shopFiles describe the messages of these tests, as protoc would.
const shopFiles = `
file {
  name: "unused.proto" package: "other" syntax: "proto3"
  message_type { name: "Unused" field { name: "a" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL } }
}
file {
  name: "money.proto" package: "shop" syntax: "proto3"
  message_type {
    name: "Money"
    field { name: "units" number: 1 type: TYPE_INT64 label: LABEL_OPTIONAL }
    field { name: "currency" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  }
}
file {
  name: "shop.proto" package: "shop" syntax: "proto3"
  dependency: "money.proto" dependency: "google/protobuf/timestamp.proto" dependency: "google/protobuf/duration.proto"
  dependency: "google/protobuf/wrappers.proto" dependency: "google/protobuf/struct.proto"
  enum_type { name: "State" value { name: "NEW" number: 0 } value { name: "PAID" number: 1 } value { name: "LOST" number: -3 } }
  message_type {
    name: "Order"
    field { name: "id" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL }
    field { name: "item" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "state" number: 3 type: TYPE_ENUM type_name: ".shop.State" label: LABEL_OPTIONAL }
    field { name: "price" number: 4 type: TYPE_MESSAGE type_name: ".shop.Money" label: LABEL_OPTIONAL }
    field { name: "at" number: 5 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL }
    field { name: "took" number: 6 type: TYPE_MESSAGE type_name: ".google.protobuf.Duration" label: LABEL_OPTIONAL }
    field { name: "tags" number: 7 type: TYPE_STRING label: LABEL_REPEATED }
    field { name: "counts" number: 8 type: TYPE_SINT32 label: LABEL_REPEATED }
    field { name: "parts" number: 9 type: TYPE_MESSAGE type_name: ".shop.Order" label: LABEL_REPEATED }
    field { name: "attributes" number: 10 type: TYPE_MESSAGE type_name: ".shop.Order.AttributesEntry" label: LABEL_REPEATED }
    field { name: "blob" number: 11 type: TYPE_BYTES label: LABEL_OPTIONAL }
    field { name: "note" number: 12 type: TYPE_MESSAGE type_name: ".google.protobuf.StringValue" label: LABEL_OPTIONAL }
    field { name: "ratio" number: 13 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
    field { name: "extra" number: 14 type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" label: LABEL_OPTIONAL }
    field { name: "cash" number: 15 type: TYPE_INT32 label: LABEL_OPTIONAL oneof_index: 0 }
    field { name: "card" number: 16 type: TYPE_MESSAGE type_name: ".shop.Order" label: LABEL_OPTIONAL oneof_index: 0 }
    field { name: "maybe" number: 17 type: TYPE_INT32 label: LABEL_OPTIONAL oneof_index: 1 proto3_optional: true }
    field { name: "big" number: 18 type: TYPE_UINT64 label: LABEL_OPTIONAL }
    field { name: "small" number: 19 type: TYPE_FLOAT label: LABEL_REPEATED }
    field { name: "states" number: 20 type: TYPE_ENUM type_name: ".shop.State" label: LABEL_REPEATED }
    field { name: "yes" number: 21 type: TYPE_BOOL label: LABEL_OPTIONAL }
    field { name: "any_of" number: 22 type: TYPE_MESSAGE type_name: ".google.protobuf.Value" label: LABEL_OPTIONAL }
    field { name: "by_number" number: 23 type: TYPE_MESSAGE type_name: ".shop.Order.ByNumberEntry" label: LABEL_REPEATED }
    field { name: "fixed" number: 24 type: TYPE_SFIXED64 label: LABEL_REPEATED }
    oneof_decl { name: "paid_by" } oneof_decl { name: "_maybe" }
    nested_type {
      name: "AttributesEntry" options { map_entry: true }
      field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
      field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".shop.Money" label: LABEL_OPTIONAL }
    }
    nested_type {
      name: "ByNumberEntry" options { map_entry: true }
      field { name: "key" number: 1 type: TYPE_SINT64 label: LABEL_OPTIONAL }
      field { name: "value" number: 2 type: TYPE_ENUM type_name: ".shop.State" label: LABEL_OPTIONAL }
    }
  }
}
file {
  name: "old.proto" package: "old" syntax: "proto2"
  enum_type { name: "Closed" value { name: "ONE" number: 1 } value { name: "TWO" number: 2 } }
  message_type {
    name: "Row"
    field { name: "n" number: 1 type: TYPE_INT64 label: LABEL_REQUIRED }
    field { name: "e" number: 2 type: TYPE_ENUM type_name: ".old.Closed" label: LABEL_OPTIONAL default_value: "TWO" }
    field { name: "es" number: 3 type: TYPE_ENUM type_name: ".old.Closed" label: LABEL_REPEATED }
    field { name: "g" number: 4 type: TYPE_GROUP type_name: ".old.Row.G" label: LABEL_OPTIONAL }
    nested_type { name: "G" field { name: "s" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } field { name: "inner" number: 2 type: TYPE_MESSAGE type_name: ".old.Row" label: LABEL_OPTIONAL } }
  }
}`

func descriptorSet(t require.TestingT) []byte {
	set := &descriptorpb.FileDescriptorSet{}
	require.NoError(t, prototext.Unmarshal([]byte(shopFiles), set))
	b, err := proto.Marshal(set)
	require.NoError(t, err)
	return b
}

func protoSpec(t require.TestingT, message string) Spec {
	s, err := Parse(map[string]string{"format": Protobuf, "message": message, "descriptor": base64.StdEncoding.EncodeToString(descriptorSet(t))})
	require.NoError(t, err)
	return s
}

func messageType(t require.TestingT, name string) protoreflect.MessageDescriptor {
	m, err := messageOf(protoSpec(t, name))
	require.NoError(t, err)
	return m
}

// named gives columns names and types as CREATE TABLE does.
func named(t require.TestingT, declared string) []columnar.Column {
	var out []columnar.Column
	for d := range strings.SplitSeq(declared, ", ") {
		name, typ, _ := strings.Cut(d, " ")
		c := columns(t, typ)[0]
		c.Name = name
		out = append(out, c)
	}
	return out
}

// encoded is a message from its text form.
// The fields of dynamic messages are in any order, which changes from run to run, unless they are asked to be in theirs.
func encoded(t require.TestingT, m protoreflect.MessageDescriptor, text string) []byte {
	x := dynamicpb.NewMessage(m)
	require.NoError(t, prototext.Unmarshal([]byte(text), x))
	b, err := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(x)
	require.NoError(t, err)
	return b
}

func frames(t require.TestingT, messages ...[]byte) string {
	var out []byte
	for _, m := range messages {
		var err error
		out, err = columnar.AppendFrame(out, m)
		require.NoError(t, err)
	}
	return string(out)
}

func TestMessages(t *testing.T) {
	order := messageType(t, "shop.Order")
	for _, c := range []struct{ declared, text, want string }{
		{"id int, item text, state text, yes boolean", `id: 7 item: "tea" state: PAID yes: true`, "7|tea|PAID|t"},
		{"id bigint, item varchar(3), state int, yes text", ``, "0||0|false"},
		{"id numeric(9,1), item uuid, state varchar(9)", `id: -1 item: "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11" state: LOST`, "-1.0|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|LOST"},
		{"item int[]", ``, "column"},
		{"price jsonb, at timestamptz, took interval, note text, maybe int, cash int", ``, "NULL|NULL|NULL|NULL|NULL|NULL"},
		{
			"price jsonb, at timestamp, took interval, note text, maybe int, cash int", `price {units: 9007199254740993 currency: "EUR\""} at {seconds: 1 nanos: 5000} took {seconds: -90 nanos: -500000000} note {} maybe: 0 cash: 0`,
			`{"units": 9007199254740993, "currency": "EUR\""}|1970-01-01 00:00:01.000005|-00:01:30.5||0|0`,
		},
		{"tags text[], counts bigint[], small real[], states text[], fixed bigint[], parts json", ``, "{}|{}|{}|{}|{}|[]"},
		{
			"tags text[], counts int[], small real[], states text[], fixed bigint[]", `tags: ["a", "", "b,c"] counts: [1, -2] small: [1.5, nan] states: [PAID, LOST] fixed: [-1]`,
			`{a,"","b,c"}|{1,-2}|{1.5,NaN}|{PAID,LOST}|{-1}`,
		},
		{
			"attributes jsonb, by_number json, blob bytea, big numeric(20,0), ratio double", `attributes {key: "b" value {units: 2}} attributes {key: "a" value {units: 1}} by_number {key: -5 value: PAID} blob: "\x00\xff" big: 18446744073709551615 ratio: 1e-300`,
			`{"a": {"units": 1}, "b": {"units": 2}}|{"-5":"PAID"}|\x00ff|18446744073709551615|1e-300`,
		},
		{"attributes json", ``, "{}"},
		{"extra jsonb, any_of json", `extra {fields {key: "a" value {list_value {values {number_value: 1.5} values {null_value: NULL_VALUE} values {}}}}} any_of {bool_value: true}`, `{"a": [1.5, null, null]}|true`},
		{"parts json, blob json, ratio json, state json", `parts {id: 1 parts {tags: "x"}} parts {} blob: "abc" ratio: inf state: PAID`, `[{"id":1,"parts":[{"tags":["x"]}]},{}]|"YWJj"|"Infinity"|"PAID"`},
		{"parts json[]", `parts {id: 1} parts {}`, `{"{\"id\":1}","{}"}`},
		{"item int", `item: "x"`, `!column "item": invalid input syntax for type integer: "x"`},
		{"item text", `item: "\000"`, `!column "item": invalid byte sequence for encoding "UTF8": 0x00`},
		{"id smallint", `id: 40000`, `!column "id": value "40000" is out of range for type smallint`},
		{"at timestamptz", `at {seconds: 253402300800}`, `!column "at": no Timestamp has 253402300800 seconds and 0 nanos`},
		{"took interval", `took {seconds: 1 nanos: -1}`, `!column "took": no Duration has 1 seconds and -1 nanos`},
		{"big bigint", `big: 18446744073709551615`, `!column "big": value "18446744073709551615" is out of range for type bigint`},
	} {
		declared := strings.ReplaceAll(c.declared, "double", "float8")
		if c.want == "column" {
			require.Error(t, protoSpec(t, "shop.Order").Check(named(t, declared)), c.declared)
			continue
		}
		schema := schemaOf(t, protoSpec(t, "shop.Order"), named(t, declared))
		require.Equal(t, []string{c.want}, read(t, schema, frames(t, encoded(t, order, c.text))), c.text)
	}
}

func TestProto2(t *testing.T) {
	row := messageType(t, "old.Row")
	schema := schemaOf(t, protoSpec(t, "old.Row"), named(t, "n bigint, e text, es text[], g jsonb"))
	require.Equal(t, []string{"1|ONE|{TWO}|{\"s\": \"x\", \"inner\": {\"n\": 2}}", "NULL|NULL|{}|NULL"},
		read(t, schema, frames(t, encoded(t, row, `n: 1 e: ONE es: TWO G {s: "x" inner {n: 2}}`), nil)))
	// A number that a closed enum doesn't have isn't there, alone or packed.
	b := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 9)
	b = protowire.AppendBytes(protowire.AppendTag(b, 3, protowire.BytesType), []byte{9, 1, 9})
	require.Equal(t, []string{"NULL|NULL|{ONE}|NULL"}, read(t, schema, frames(t, b)))
}

// TestFieldsThatComeAgain: as protobuf merges them.
func TestFieldsThatComeAgain(t *testing.T) {
	order := messageType(t, "shop.Order")
	schema := schemaOf(t, protoSpec(t, "shop.Order"), named(t, "id int, price json, cash int, card json, attributes json"))
	join := func(texts ...string) string {
		var all []byte
		for _, x := range texts {
			all = append(all, encoded(t, order, x)...)
		}
		return frames(t, all)
	}
	require.Equal(t, []string{`2|{"units":1,"currency":"b"}|NULL|NULL|{}`}, read(t, schema, join(`id: 1 price {units: 1 currency: "a"}`, `id: 2 price {currency: "b"}`)))
	require.Equal(t, []string{`0|NULL|NULL|{"item":"x"}|{}`}, read(t, schema, join(`card {id: 1}`, `cash: 1`, `card {item: "x"}`)))
	require.Equal(t, []string{`0|NULL|NULL|{"id":1,"item":"x"}|{}`}, read(t, schema, join(`cash: 1`, `card {id: 1}`, `card {item: "x"}`)))
	require.Equal(t, []string{`0|NULL|1|NULL|{"a":{}}`}, read(t, schema, join(`card {id: 1} attributes {key: "a" value {units: 1}}`, `cash: 1 attributes {key: "a"}`)))
}

// TestBadMessages: what is no message is a reject, and so is garbage around it; what comes after it isn't lost.
func TestBadMessages(t *testing.T) {
	order := messageType(t, "shop.Order")
	schema := schemaOf(t, protoSpec(t, "shop.Order"), named(t, "id int, item text, price json, card json, counts int[], parts json"))
	good := encoded(t, order, "id: 5")
	const want = "5||NULL|NULL|{}|[]"
	nested := []byte{}
	for range maxDepth + 1 {
		nested = protowire.AppendBytes(protowire.AppendTag(nil, 16, protowire.BytesType), nested)
	}
	for name, c := range map[string]struct {
		message []byte
		reason  string
	}{
		"cut":            {[]byte{8}, "unexpected EOF"},
		"reserved":       {[]byte{7}, "invalid field number"},
		"long":           {[]byte{0x12, 0x7f, 'x'}, "unexpected EOF"},
		"end of a group": {[]byte{0x0c}, "mismatching end group marker"},
		"inside":         {protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), []byte{8}), "not a message shop.Money"},
		"deep":           {nested, "more than 100 messages in one another"},
		"packed":         {protowire.AppendBytes(protowire.AppendTag(nil, 8, protowire.BytesType), []byte{0x80}), "the packed field counts is cut"},
		"not UTF-8":      {protowire.AppendBytes(protowire.AppendTag(nil, 9, protowire.BytesType), []byte{0x12, 1, 0xff}), "the field item has invalid UTF-8"},
	} {
		got := read(t, schema, frames(t, good, c.message, good)+"junk"+frames(t, good))
		require.Len(t, got, 5, name)
		require.Equal(t, []string{want, want, want}, got[:3], name)
		require.ErrorContains(t, fmt.Errorf("%s", got[3]), c.reason, name)
		require.Equal(t, "!no frame begins here", got[4])
	}
}

// TestHostileMessages: short messages that say much are rejects, and little of them is held.
func TestHostileMessages(t *testing.T) {
	schema := func(declared string) columnar.Schema {
		return schemaOf(t, protoSpec(t, "shop.Order"), named(t, declared))
	}
	repeat := func(field protowire.Number, content []byte, n int) []byte {
		return bytes.Repeat(protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), content), n)
	}
	const large = "what the message says is larger than 16 MiB"
	for _, c := range []struct {
		declared string
		message  []byte
		want     string
	}{
		{"parts json", repeat(9, nil, 2<<20), "!" + large},
		{"id int", repeat(9, nil, 2<<20), "!" + large},
		{"states json", repeat(20, bytes.Repeat([]byte{1}, 4<<20), 1), `!column "states": ` + large},
		{"states text[]", repeat(20, bytes.Repeat([]byte{1}, 12<<20), 1), `!column "states": ` + large},
		{"item text", repeat(99, nil, 5<<20), ""},
	} {
		got := read(t, schema(c.declared), frames(t, c.message))
		require.Equal(t, []string{c.want}, got, c.declared)
	}
}

func TestColumnsOfMessages(t *testing.T) {
	spec := protoSpec(t, "shop.Order")
	for declared, why := range map[string]string{
		"missing int":    "no field of this name",
		"price text":     "a field of the type shop.Money can't be text",
		"attributes int": "a map is json or jsonb",
		"tags text":      "a repeated field is an array",
		"id int[]":       "isn't repeated",
		"id boolean":     "a field of the type int32 can't be boolean",
		"state date":     "enum shop.State",
		"blob text":      "can't be text",
		"at date":        "Timestamp can't be date",
		"ratio real":     "double can't be real",
		"counts text[]":  "",
		"item date":      "",
	} {
		err := spec.Check(named(t, declared))
		if why == "" {
			require.NoError(t, err, declared)
			continue
		}
		require.ErrorContains(t, err, why, declared)
	}
	for _, name := range []string{"Order", "shop.State", "shop.Order.AttributesEntry", "shop.Order.id"} {
		_, err := Parse(map[string]string{"format": Protobuf, "message": name, "descriptor": `\x` + hex.EncodeToString(descriptorSet(t))})
		var e *OptionError
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, "message", e.Option)
	}
	set := &descriptorpb.FileDescriptorSet{}
	require.NoError(t, proto.Unmarshal(spec.Descriptor, set))
	var kept []string
	for _, f := range set.GetFile() {
		kept = append(kept, f.GetName())
	}
	require.NotContains(t, kept, "unused.proto")
	require.Contains(t, kept, "google/protobuf/timestamp.proto")
	_, err := columnarWriter(t, spec)
	require.ErrorIs(t, err, ErrNotWritten)
}

func columnarWriter(t *testing.T, s Spec) (columnar.RecordEncoder, error) {
	f, err := s.Open()
	require.NoError(t, err)
	return f.NewEncoder(named(t, "id int"))
}

// TestMessagesAsProtojson: what any message says as JSON is what protojson says of it, but that 64-bit integers are numbers.
func TestMessagesAsProtojson(t *testing.T) {
	order := messageType(t, "shop.Order")
	column := columns(t, "json")[0]
	column.Name = "card"
	schema := schemaOf(t, protoSpec(t, "shop.Order"), []columnar.Column{column})
	rapid.Check(t, func(t *rapid.T) {
		x := dynamicpb.NewMessage(order)
		fill(t, x, 3)
		inner, err := proto.Marshal(x)
		require.NoError(t, err)
		want, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(x)
		require.NoError(t, err)
		got := read(t, schema, frames(t, protowire.AppendBytes(protowire.AppendTag(nil, 16, protowire.BytesType), inner)))
		require.Len(t, got, 1)
		require.Equal(t, plain(t, want), plain(t, []byte(got[0])), "%s\n%s", want, got[0])
	})
}

// plain is JSON with numbers as texts: those of protojson are some of them.
func plain(t require.TestingT, b []byte) any {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), "%s", b)
	return numbersAsText(v)
}

func numbersAsText(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbersAsText(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbersAsText(v[i])
		}
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return r.RatString()
		}
	}
	return v
}

// fill gives a message some fields.
func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	switch m.Descriptor().FullName() {
	case "google.protobuf.Timestamp":
		m.Set(fields.ByNumber(1), protoreflect.ValueOfInt64(rapid.Int64Range(minSeconds, maxSeconds).Draw(t, "seconds")))
		m.Set(fields.ByNumber(2), protoreflect.ValueOfInt32(rapid.SampledFrom([]int32{0, 5, 500000000}).Draw(t, "nanos")))
		return
	case "google.protobuf.Duration":
		m.Set(fields.ByNumber(1), protoreflect.ValueOfInt64(rapid.Int64Range(0, maxDuration).Draw(t, "seconds")))
		return
	case "google.protobuf.Value":
		f := fields.Get(rapid.IntRange(1, fields.Len()-3).Draw(t, "member"))
		m.Set(f, scalarOf(t, f))
		return
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if rapid.IntRange(0, 3).Draw(t, "there") != 0 || depth == 0 && f.Message() != nil {
			continue
		}
		switch {
		case f.IsMap():
			entries := m.Mutable(f).Map()
			for range rapid.IntRange(0, 2).Draw(t, "entries") {
				key := scalarOf(t, f.MapKey()).MapKey()
				if f.MapValue().Message() != nil {
					fill(t, entries.Mutable(key).Message(), depth-1)
				} else {
					entries.Set(key, scalarOf(t, f.MapValue()))
				}
			}
		case f.IsList():
			list := m.Mutable(f).List()
			for range rapid.IntRange(0, 3).Draw(t, "elements") {
				if f.Message() != nil {
					fill(t, list.AppendMutable().Message(), depth-1)
				} else {
					list.Append(scalarOf(t, f))
				}
			}
		case f.Message() != nil:
			fill(t, m.Mutable(f).Message(), depth-1)
		default:
			m.Set(f, scalarOf(t, f))
		}
	}
}

func scalarOf(t *rapid.T, f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune("a\"\\\n<é")), rapid.Rune())).Draw(t, "string"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "bytes"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(rapid.SampledFrom([]protoreflect.EnumNumber{0, 1, -3, 77}).Draw(t, "enum"))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(rapid.SampledFrom([]float32{0, 1.5, -2e10, 3}).Draw(t, "float"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.SampledFrom([]float64{0, 1.5, -2e100, 1e-9}).Draw(t, "double"))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	default:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	}
}

// FuzzMessage: any bytes are a row or a reject, and what protobuf takes for a message isn't misframed.
func FuzzMessage(f *testing.F) {
	order := messageType(f, "shop.Order")
	f.Add(encoded(f, order, `id: 1 item: "a" price {units: 3} tags: "x" counts: [1, 2] attributes {key: "k" value {}} card {cash: 1} by_number {key: 1 value: PAID}`))
	f.Add(encoded(f, order, `extra {fields {key: "a" value {list_value {values {number_value: 1}}}}} at {seconds: 1} took {nanos: 1} note {value: "x"} any_of {}`))
	f.Add([]byte{0x0b, 0x0c, 8, 1})
	format, err := protoSpec(f, "shop.Order").Open()
	require.NoError(f, err)
	cols := named(f, "id int, item text, state text, price json, at timestamptz, took interval, tags text[], counts int[], parts json, attributes jsonb, extra json, card json, note text, any_of json, by_number json, small real[], states text[]")
	f.Fuzz(func(t *testing.T, record []byte) {
		d, err := format.NewDecoder(cols)
		require.NoError(t, err)
		out := make([]*columnar.VectorBuilder, len(cols))
		for i, c := range cols {
			out[i] = columnar.NewVectorBuilder(c.Type)
		}
		v := d.Decode(record, out)
		require.Equal(t, v, d.Decode(record, make([]*columnar.VectorBuilder, len(cols))), "it doesn't depend on what is wanted")
		if isMessage(order, record) {
			require.False(t, v.Misframed, "%s", v.Reason)
		}
		if v == (columnar.Verdict{}) {
			for i := range out {
				require.Equal(t, 1, out[i].Len())
			}
			return
		}
		require.NoError(t, columnar.CheckText([]byte(v.Reason)))
	})
}

// isMessage asks dynamicpb, which panics where an entry of a map of messages has no key.
func isMessage(m protoreflect.MessageDescriptor, record []byte) bool {
	is := false
	func() {
		defer func() { _ = recover() }()
		is = proto.Unmarshal(record, dynamicpb.NewMessage(m)) == nil
	}()
	return is
}

// FuzzDescriptor: any bytes are a descriptor of a message, whose columns can be asked for, or refused.
func FuzzDescriptor(f *testing.F) {
	f.Add(descriptorSet(f), "shop.Order")
	f.Add([]byte{0x0a, 0}, "x")
	f.Fuzz(func(t *testing.T, set []byte, name string) {
		s, err := Parse(map[string]string{"format": Protobuf, "message": name, "descriptor": base64.StdEncoding.EncodeToString(set)})
		if err != nil {
			return
		}
		format, err := s.Open()
		require.NoError(t, err, "what was taken can be opened again")
		m, err := messageOf(s)
		require.NoError(t, err)
		for i := range m.Fields().Len() {
			c := columnar.Column{Name: string(m.Fields().Get(i).Name()), Type: columnar.Type{Kind: columnar.JSON}}
			d, err := format.NewDecoder([]columnar.Column{c})
			require.NoError(t, err)
			d.Decode([]byte{8, 1, 0x12, 0}, []*columnar.VectorBuilder{nil})
		}
	})
}
