package protocol_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// TestWire pins bytes on the wire and in etcd:
//
//	encode <message>   text of the message  -> its bytes, a line per field
//	decode <message>   bytes, and "strings" -> the message as JSON
//
// What is encoded is also decoded again and compared, and must be valid unless the
// argument "invalid" is given.
func TestWire(t *testing.T) {
	datadriven.Walk(t, "testdata/wire", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			switch d.Cmd {
			case "encode":
				return encodeText(t, d)
			case "decode":
				return decodeBytes(t, d)
			}
			d.Fatalf(t, "unknown command %q", d.Cmd)
			return ""
		})
	})
}

// newMessage returns an empty message of the type that the command's first
// argument names.
func newMessage(t *testing.T, d *datadriven.TestData) proto.Message {
	t.Helper()
	name := protoreflect.FullName("protocol." + d.CmdArgs[0].Key)
	typ, err := protoregistry.GlobalTypes.FindMessageByName(name)
	require.NoError(t, err)
	return typ.New().Interface()
}

type validator interface{ Validate() error }

func encodeText(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	m := newMessage(t, d)
	require.NoError(t, prototext.Unmarshal([]byte(d.Input), m))
	b, err := proto.Marshal(m)
	require.NoError(t, err)

	back := m.ProtoReflect().New().Interface()
	require.NoError(t, proto.Unmarshal(b, back))
	require.True(t, proto.Equal(m, back))
	if v, ok := m.(validator); ok && !d.HasArg("invalid") {
		require.NoError(t, v.Validate())
	}
	if len(b) == 0 {
		return "(no bytes)\n"
	}
	var out strings.Builder
	for len(b) != 0 {
		_, _, n := protowire.ConsumeField(b)
		require.Positive(t, n)
		fmt.Fprintf(&out, "%s\n", hex.EncodeToString(b[:n]))
		b = b[n:]
	}
	return out.String()
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

func decodeBytes(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	text := quoted.ReplaceAllStringFunc(d.Input, func(s string) string { return hex.EncodeToString([]byte(s[1 : len(s)-1])) })
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	require.NoError(t, err)

	m := newMessage(t, d)
	require.NoError(t, proto.Unmarshal(b, m))
	again, err := proto.Marshal(m)
	require.NoError(t, err)
	require.Equal(t, b, again, "decoded bytes are encoded again just so")
	if v, ok := m.(validator); ok && !d.HasArg("invalid") {
		require.NoError(t, v.Validate())
	}
	asJSON, err := protojson.Marshal(m)
	require.NoError(t, err)
	var out bytes.Buffer // protojson adds spaces at random
	require.NoError(t, json.Compact(&out, asJSON))
	return out.String() + "\n"
}
