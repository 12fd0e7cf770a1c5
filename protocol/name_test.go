package protocol_test

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"broadsheet.dev/broadsheet/protocol"
)

func TestSplitMeta(t *testing.T) {
	for _, c := range []struct{ journal, name, meta string }{
		{"a/journal", "a/journal", ""},
		{"a/journal;m", "a/journal", "m"},
		{"a/journal;m;n", "a/journal", "m;n"},
		{"a/journal;", "a/journal", ""},
		{"", "", ""},
	} {
		name, meta := protocol.SplitMeta(c.journal)
		require.Equal(t, c.name, name)
		require.Equal(t, c.meta, meta)
	}
}

// FuzzJournalName proves what everything that takes a journal's name relies on: a
// valid one is text, stays below a directory, and has no separator of etcd keys.
func FuzzJournalName(f *testing.F) {
	for _, s := range []string{"a/journal", "a/journal;meta", "../../x", "a#b/c", "a\xff/bc", "名前/ⅷ", "....", "a//b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if protocol.ValidateJournal(s) != nil {
			return
		}
		name, meta := protocol.SplitMeta(s)
		require.NoError(t, protocol.ValidateJournalName(name))
		require.NotContains(t, name, ";")
		require.Equal(t, meta == "", protocol.ValidateJournalName(s) == nil)
		for _, part := range []string{name, meta} {
			require.True(t, utf8.ValidString(part))
			require.True(t, strings.HasPrefix(path.Join("/root", part), "/root"))
			require.NotContains(t, strings.Split(part, "/"), "..")
			require.Equal(t, -1, strings.IndexFunc(part, func(r rune) bool { return r <= '#' }))
		}
	})
}

// FuzzValidate decodes every message of the protocol from arbitrary bytes: none may
// panic, and a valid one is still valid after being encoded again.
func FuzzValidate(f *testing.F) {
	var types []protoreflect.MessageType
	protoregistry.GlobalTypes.RangeMessages(func(typ protoreflect.MessageType) bool {
		if _, ok := typ.New().Interface().(validator); ok && typ.Descriptor().ParentFile().Package() == "protocol" {
			types = append(types, typ)
		}
		return true
	})
	for _, m := range []proto.Message{
		&protocol.AppendRequest{Journal: "a/journal", UnionRegisters: protocol.MustLabelSet("aa", "1")},
		&protocol.AppendResponse{Header: validHeader()},
		&protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{{Delete: "a/journal", ExpectModRevision: 1}}},
	} {
		b, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, typ := range types {
			m := typ.New().Interface()
			if proto.Unmarshal(b, m) != nil || m.(validator).Validate() != nil {
				continue
			}
			again, err := proto.Marshal(m)
			require.NoError(t, err)
			back := typ.New().Interface()
			require.NoError(t, proto.Unmarshal(again, back))
			require.NoError(t, back.(validator).Validate())
		}
	})
}
