package shards_test

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"broadsheet.dev/broadsheet/protocol"
)

// words stand for text in scenarios; so does $X<n>, for n times "x".
var words = strings.NewReplacer(
	"$HEADER", `{ route { primary: -1 } etcd { cluster_id: 1 member_id: 2 revision: 3 raft_term: 4 } }`,
	"$SPEC", `{ id: "a-shard" max_txn_duration { seconds: 1 } }`,
	"$LOGGED", `{ id: "a-shard" max_txn_duration { seconds: 1 } recovery_log_prefix: "logs/of" hint_prefix: "/hints" }`,
	"$MAX", `max_txn_duration { seconds: 1 }`,
)

var (
	times = regexp.MustCompile(`\$X(\d+)`)
	long  = regexp.MustCompile(`x{10,}`)
)

func expand(text string) string {
	return times.ReplaceAllStringFunc(words.Replace(text), func(s string) string {
		n, err := strconv.Atoi(s[2:])
		if err != nil {
			panic(err)
		}
		return strings.Repeat("x", n)
	})
}

type validator interface{ Validate() error }

// newMessage returns an empty message of the type that the command's first argument names.
func newMessage(t *testing.T, d *datadriven.TestData) proto.Message {
	t.Helper()
	typ, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("consumer." + d.CmdArgs[0].Key))
	require.NoError(t, err)
	return typ.New().Interface()
}

// TestValidate runs:
//
//	validate <message>    texts of messages, one a line -> "ok", or the error
//	encode <message>      text of the message -> its bytes, a line per field
func TestValidate(t *testing.T) {
	datadriven.RunTest(t, "testdata/validate", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		var out strings.Builder
		if d.Cmd == "encode" {
			encode(t, d, &out)
			return out.String()
		}
		require.Equal(t, "validate", d.Cmd)
		for line := range strings.SplitSeq(d.Input, "\n") {
			m := newMessage(t, d)
			require.NoError(t, prototext.Unmarshal([]byte(expand(line)), m), line)
			err := m.(validator).Validate()
			if err == nil {
				out.WriteString("ok\n")
				continue
			}
			var v *protocol.ValidationError
			require.ErrorAs(t, err, &v)
			out.WriteString(long.ReplaceAllString(err.Error(), "xxx...") + "\n")
		}
		return out.String()
	})
}

func encode(t *testing.T, d *datadriven.TestData, out *strings.Builder) {
	t.Helper()
	m := newMessage(t, d)
	require.NoError(t, prototext.Unmarshal([]byte(expand(d.Input)), m))
	require.NoError(t, m.(validator).Validate())
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	require.NoError(t, err)
	for len(b) != 0 {
		_, _, n := protowire.ConsumeField(b)
		require.Positive(t, n)
		fmt.Fprintf(out, "%s\n", hex.EncodeToString(b[:n]))
		b = b[n:]
	}
}

// TestEveryMessageValidates proves that no message lacks a Validate method, and that each survives being empty or
// absent.
func TestEveryMessageValidates(t *testing.T) {
	protoregistry.GlobalTypes.RangeMessages(func(typ protoreflect.MessageType) bool {
		name := typ.Descriptor().FullName()
		if !strings.HasPrefix(string(name), "consumer.") {
			return true
		}
		for _, m := range []protoreflect.Message{typ.New(), typ.Zero()} {
			v, ok := m.Interface().(validator)
			if !ok {
				t.Errorf("%s has no Validate", name)
				continue
			}
			_ = v.Validate()
		}
		return true
	})
}
