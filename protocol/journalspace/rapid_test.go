package journalspace

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/specyaml"
)

func requireEqual(t require.TestingT, want, got proto.Message) {
	require.True(t, proto.Equal(want, got), "want %s\ngot  %s", prototext.Format(want), prototext.Format(got))
}

// drawSpec draws from few values, so that much is in common.
func drawSpec(t *rapid.T, name string) *protocol.JournalSpec {
	set := new(protocol.LabelSet)
	for range rapid.IntRange(0, 4).Draw(t, "labels") {
		label := rapid.SampledFrom([]string{"aa", "bb", "content-type"}).Draw(t, "label")
		set.AddValue(label, rapid.SampledFrom([]string{"yes", "1", "null", "1e3", "x=y"}).Draw(t, "value"))
	}
	few := func(what string) int64 { return rapid.SampledFrom([]int64{0, 0, 1, 77}).Draw(t, what) }
	seconds := func(what string) *durationpb.Duration {
		if n := few(what); n != 0 {
			return &durationpb.Duration{Seconds: n}
		}
		return nil
	}
	s := &protocol.JournalSpec{
		Name: name, Replication: int32(few("replication")), Flags: uint32(rapid.SampledFrom([]int{0, 1, 2, 4}).Draw(t, "flags")),
		MaxAppendRate: few("rate"),
		Fragment: &protocol.JournalSpec_Fragment{
			Length: few("length"), CompressionCodec: protocol.CompressionCodec(rapid.IntRange(0, 5).Draw(t, "codec")),
			Stores:          rapid.SliceOfN(rapid.SampledFrom([]string{"s3://one/", "file:///"}), 0, 2).Draw(t, "stores"),
			RefreshInterval: seconds("refresh"), Retention: seconds("retention"), FlushInterval: seconds("flush"),
			PathPostfixTemplate: rapid.SampledFrom([]string{"", "date={{.X}}", " - odd: 'text'\n# \""}).Draw(t, "postfix"),
		},
	}
	if len(set.GetLabels()) != 0 {
		s.Labels = set
	}
	if proto.Size(s.GetFragment()) == 0 {
		s.Fragment = nil
	}
	if rapid.Bool().Draw(t, "suspended") {
		s.Suspend = &protocol.JournalSpec_Suspend{Level: protocol.JournalSpec_Suspend_FULL, Offset: few("offset")}
	}
	return s
}

func drawJournals(t *rapid.T) map[string]Journal {
	part := rapid.SampledFrom([]string{"a", "a-b", "b", "part=0", "a.b", "é", "zz", "0"})
	out := map[string]Journal{}
	for range rapid.IntRange(0, 12).Draw(t, "journals") {
		path := append([]string{"root"}, rapid.SliceOfN(part, 0, 4).Draw(t, "path")...)
		name := strings.Join(path, "/")
		if rapid.Bool().Draw(t, "elsewhere") {
			name = name[1:] // without a root in common
		}
		out[name] = Journal{Spec: drawSpec(t, name), Revision: rapid.Int64Range(-1, 99).Draw(t, "revision"), Delete: rapid.Bool().Draw(t, "delete")}
	}
	return out
}

// TestHoistAndFlattenAreInverse, over YAML: what is listed, shown, edited in no way and applied is
// what was there.
func TestHoistAndFlattenAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawJournals(t)
		var in []Journal
		for _, j := range want {
			in = append(in, j)
		}
		tree := Hoist(in)
		if len(want) == 0 {
			require.Nil(t, tree)
			return
		}
		text, err := tree.Format()
		require.NoError(t, err)
		parsed, err := Parse(text)
		require.NoError(t, err, "%s", text)
		again, err := parsed.Format()
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))

		got, err := parsed.Flatten()
		require.NoError(t, err)
		require.Len(t, got, len(want))
		last := ""
		for _, j := range got {
			name := j.Spec.GetName()
			require.Less(t, last, name)
			last = name
			requireEqual(t, want[name].Spec, j.Spec)
			require.Equal(t, want[name].Revision, j.Revision, name)
			require.Equal(t, want[name].Delete, j.Delete, name)
		}
	})
}

// TestHoistLeavesNothingInCommon: what all children of a directory say, it says for them.
func TestHoistLeavesNothingInCommon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []Journal
		for _, j := range drawJournals(t) {
			in = append(in, j)
		}
		var check func(n *Node)
		check = func(n *Node) {
			if !n.isDirectory() {
				return
			}
			require.Greater(t, len(n.Children), 1)
			require.Nil(t, n.Spec.GetSuspend())
			shared := proto.CloneOf(n.Children[0].Spec)
			for _, c := range n.Children {
				specyaml.Intersect(shared.ProtoReflect(), c.Spec.ProtoReflect())
				check(c)
			}
			shared.Name, shared.Suspend = "", nil
			specyaml.DropZeroes(shared.ProtoReflect())
			require.Zero(t, proto.Size(shared), prototext.Format(shared))
		}
		if tree := Hoist(in); tree != nil {
			check(tree)
		}
	})
}

// FuzzParse: whatever is read is written and read again the same.
func FuzzParse(f *testing.F) {
	f.Add("name: acme/\nreplication: 3\nlabels: [{name: a/b, value: c}]\nfragment: &f {length: 65536}\nchildren: [{<<: {revision: 3}, name: acme/x, fragment: *f}]")
	f.Add("children:\n- name: a/1\n  delete: true\n- name: b/2\n  suspend: {level: FULL, offset: 3}\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse([]byte(text))
		if err != nil {
			return
		}
		out, err := n.Format()
		require.NoError(t, err)
		n, err = Parse(out)
		require.NoError(t, err, "%s", out)
		again, err := n.Format()
		require.NoError(t, err)
		require.Equal(t, string(out), string(again))
		_, err = n.Changes()
		_ = err // that it returns
	})
}
