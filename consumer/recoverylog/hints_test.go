package recoverylog

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
)

// page is the part of the format's page that is in a block of a kind, one for each.
func page(t *testing.T, kind string) []string {
	t.Helper()
	b, err := os.ReadFile("../../docs/format/recovery-log.md")
	require.NoError(t, err)
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		out = append(out, strings.TrimSpace(m[1]))
	}
	require.NotEmpty(t, out)
	return out
}

// pageOps are the operations that the page has the bytes of.
func pageOps() ([]*RecordedOp, []string) {
	ops := []*RecordedOp{
		{Author: 0x01020304, Create: &RecordedOp_Create{Path: "/CURRENT.dbtmp"}},
		{Author: 0x01020304, Write: &RecordedOp_Write{Fnode: 1, Offset: 0, Length: 16}},
		{Author: 0x01020304, Link: &RecordedOp_Link{Fnode: 1, Path: "/CURRENT"}},
		{Author: 0x01020304, Unlink: &RecordedOp_Link{Fnode: 1, Path: "/CURRENT.dbtmp"}},
		{Author: 0x01020304, Property: &Property{Path: "/IDENTITY", Content: "a8b9"}},
		{Author: 0xcafef00d},
	}
	return ops, []string{1: "MANIFEST-000001\n", 5: ""}
}

// TestGoldenLog: the bytes of the format's page are those of its operations, and are read as them.
func TestGoldenLog(t *testing.T) {
	ops, contents := pageOps()
	fsm, err := NewFSM(&FSMHints{Log: "recovery/shard-1"})
	require.NoError(t, err)
	var (
		log    []byte
		frames []string
	)
	for i, op := range ops {
		op.SeqNo, op.Checksum = fsm.Next()
		payload, err := proto.Marshal(op)
		require.NoError(t, err)
		begin := len(log)
		log, err = message.Fixed.AppendFrame(log, payload)
		require.NoError(t, err)
		log = append(log, contents[i]...)
		frames = append(frames, hex.EncodeToString(log[begin:]))
		read := proto.CloneOf(op)
		read.FirstOffset, read.LastOffset = int64(begin), int64(len(log))
		require.NoError(t, fsm.Apply(read, payload))
	}
	var want []string
	for line := range strings.Lines(page(t, "hex")[0]) {
		text, _, _ := strings.Cut(line, "#")
		if text = strings.Join(strings.Fields(text), ""); text != "" {
			want = append(want, text)
		}
	}
	require.Equal(t, strings.Join(frames, "\n"), strings.Join(want, "\n"))

	hints, err := EncodeHints(fsm.BuildHints())
	require.NoError(t, err)
	require.Equal(t, string(hints), page(t, "json")[0])
	require.Equal(t, map[string]int64{"/CURRENT": 1}, fsm.Links())
}

// TestGoldenHints: what Gazette writes is decoded, and encoded to the same bytes.
func TestGoldenHints(t *testing.T) {
	for _, text := range page(t, "json") {
		x, err := DecodeHints([]byte(text))
		require.NoError(t, err)
		again, err := EncodeHints(x)
		require.NoError(t, err)
		require.Equal(t, text, string(again))

		binary, err := proto.Marshal(x)
		require.NoError(t, err)
		fromBinary, err := DecodeHints(binary)
		require.NoError(t, err)
		require.True(t, proto.Equal(x, fromBinary))
	}
}

// TestHintsAreRefused: each by the field that is wrong.
func TestHintsAreRefused(t *testing.T) {
	good := func() *FSMHints {
		return &FSMHints{
			Log: "recovery/log",
			LiveNodes: []*FnodeSegments{
				{Fnode: 3, Segments: []*Segment{{Author: 7, FirstSeqNo: 3, FirstOffset: 10, FirstChecksum: 5, LastSeqNo: 6, LastOffset: 50}}},
				{Fnode: 5, Segments: []*Segment{
					{Author: 7, FirstSeqNo: 5, FirstOffset: 30, FirstChecksum: 6, LastSeqNo: 8, LastOffset: 70},
					{Author: 8, FirstSeqNo: 10, FirstOffset: 80, FirstChecksum: 9, LastSeqNo: 12},
				}},
			},
			Properties: []*Property{{Path: "/IDENTITY", Content: "x"}},
		}
	}
	require.NoError(t, good().Validate())
	second := func(x *FSMHints) *Segment { return x.GetLiveNodes()[1].GetSegments()[1] }
	for name, c := range map[string]struct {
		change func(*FSMHints)
		want   string
	}{
		"no log":          {func(x *FSMHints) { x.Log = "" }, "Log: invalid length"},
		"log":             {func(x *FSMHints) { x.Log = "/a/b/c" }, "Log: "},
		"no author":       {func(x *FSMHints) { second(x).Author = 0 }, "LiveNodes[1].Segments[1].Author: is zero"},
		"first seq_no":    {func(x *FSMHints) { second(x).FirstSeqNo = 0 }, "LiveNodes[1].Segments[1].FirstSeqNo: invalid number (0; expected > 0)"},
		"last seq_no":     {func(x *FSMHints) { second(x).LastSeqNo = 9 }, "LiveNodes[1].Segments[1].LastSeqNo: invalid number (9; expected >= 10)"},
		"first offset":    {func(x *FSMHints) { second(x).FirstOffset = -1 }, "LiveNodes[1].Segments[1].FirstOffset: invalid offset"},
		"last offset":     {func(x *FSMHints) { second(x).LastOffset = 80 }, "LiveNodes[1].Segments[1].LastOffset: invalid offset (80; expected > 80)"},
		"segment's log":   {func(x *FSMHints) { second(x).Log = "!" }, "LiveNodes[1].Segments[1].Log: "},
		"order":           {func(x *FSMHints) { second(x).FirstSeqNo = 8 }, "LiveNodes[1].Segments[1].FirstSeqNo: invalid order"},
		"first checksum":  {func(x *FSMHints) { x.LiveNodes[0].Fnode = 1; x.LiveNodes[0].Segments[0].FirstSeqNo = 1 }, "FirstChecksum: invalid checksum of the first operation"},
		"no segments":     {func(x *FSMHints) { x.LiveNodes[0].Segments = nil }, "LiveNodes[0].Segments: has none"},
		"no file":         {func(x *FSMHints) { x.LiveNodes[0].Fnode = 0 }, "LiveNodes[0].Fnode: invalid number"},
		"order of files":  {func(x *FSMHints) { x.LiveNodes[1].Fnode = 3 }, "LiveNodes[1].Fnode: invalid order (3; expected > 3)"},
		"not its create":  {func(x *FSMHints) { x.LiveNodes[0].Fnode = 2 }, "LiveNodes[0].Segments[0].FirstSeqNo: invalid number (3; expected that of the file, 2)"},
		"other author":    {func(x *FSMHints) { x.LiveNodes[0].Segments[0].Author = 9 }, "LiveNodes: file 5: segment from operation 5: overlaps one of another author"},
		"other log":       {func(x *FSMHints) { x.LiveNodes[0].Segments[0].Log = "recovery/old" }, "and overlaps one in recovery/old from operation 3"},
		"offsets descend": {func(x *FSMHints) { second(x).FirstOffset = 5 }, "begins at offset 5, before that of operation 3 at 10"},
		"property's path": {func(x *FSMHints) { x.Properties[0].Path = "IDENTITY" }, `Properties[0].Path: path "IDENTITY" doesn't begin with a slash`},
		"property twice":  {func(x *FSMHints) { x.Properties = append(x.Properties, x.GetProperties()[0]) }, "Properties[1].Path: /IDENTITY is twice"},
	} {
		t.Run(name, func(t *testing.T) {
			x := good()
			c.change(x)
			require.ErrorContains(t, x.Validate(), c.want)
			_, err := EncodeHints(x)
			require.Error(t, err)
			binary, err := proto.Marshal(x)
			require.NoError(t, err)
			_, err = DecodeHints(binary)
			require.Error(t, err)
		})
	}
	for _, text := range []string{"", "{", `{"log":"recovery/log"} {}`, `{"log":"recovery/log","live_nodes":[{"fnode":"1"}]}`, "\xff"} {
		_, err := DecodeHints([]byte(text))
		require.Error(t, err, text)
	}
}

// TestSegmentsModel: the set of segments of operations, added in any order, covers what each of them does, and no two overlap.
func TestSegmentsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// A history: each operation has an author, who never comes back, and a place.
		var history []segment
		author, offset := uint32(1), int64(0)
		for i := range int64(rapid.IntRange(1, 40).Draw(t, "operations")) {
			if rapid.IntRange(0, 5).Draw(t, "next author") == 0 {
				author++
			}
			history = append(history, segment{author: author, firstSeqNo: i + 1, lastSeqNo: i + 1, firstOffset: offset, lastOffset: offset + 10, firstSum: uint32(i), log: "l"})
			offset += 10
		}
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) segment {
			from := rapid.IntRange(0, len(history)-1).Draw(t, "from")
			to := from
			for to+1 < len(history) && history[to+1].author == history[from].author && rapid.Bool().Draw(t, "longer") {
				to++
			}
			s := history[from]
			s.lastSeqNo, s.lastOffset = history[to].lastSeqNo, history[to].lastOffset
			return s
		}), 1, 12).Draw(t, "parts")
		var set segmentSet
		for _, s := range parts {
			require.NoError(t, set.add(s))
		}
		in := func(seqNo int64, set []segment) bool {
			for _, s := range set {
				if s.firstSeqNo <= seqNo && seqNo <= s.lastSeqNo {
					return true
				}
			}
			return false
		}
		for _, op := range history {
			require.Equal(t, in(op.firstSeqNo, parts), in(op.firstSeqNo, set), "operation %d", op.firstSeqNo)
		}
		for i, s := range set {
			first, last := history[s.firstSeqNo-1], history[s.lastSeqNo-1]
			require.Equal(t, first.author, s.author)
			require.Equal(t, segment{author: first.author, firstSeqNo: s.firstSeqNo, lastSeqNo: s.lastSeqNo, firstOffset: first.firstOffset, lastOffset: last.lastOffset, firstSum: first.firstSum, log: "l"}, s)
			if i > 0 {
				require.Greater(t, s.firstSeqNo, set[i-1].lastSeqNo)
			}
		}
	})
}

// FuzzDecodeHints: any bytes are refused, or are hints that are encoded and decoded to the same.
func FuzzDecodeHints(f *testing.F) {
	f.Add([]byte(`{"log":"recovery/log","live_nodes":[{"fnode":1,"segments":[{"author":2,"first_seq_no":1,"last_seq_no":4}]}],"properties":[{"path":"/IDENTITY","content":"x"}]}`))
	f.Add([]byte("\x0a\x0crecovery/log"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := DecodeHints(b)
		if err != nil {
			return
		}
		_, err = NewFSM(x)
		require.NoError(t, err)
		text, err := EncodeHints(x)
		require.NoError(t, err)
		again, err := DecodeHints(text)
		require.NoError(t, err)
		require.True(t, proto.Equal(x, again))
	})
}
