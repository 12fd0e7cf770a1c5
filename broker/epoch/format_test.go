package epoch_test

import (
	"encoding/hex"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/protocol"
)

// documented is the list whose bytes docs/format/epochs.md shows, of a journal of create revision 300.
func documented() epoch.List {
	a := epoch.Member{Broker: epoch.Broker{Zone: "zone-1", Suffix: "broker-1"}, Disk: epoch.Disk{0xd1, 15: 1}}
	b := epoch.Member{Broker: epoch.Broker{Zone: "zone-2", Suffix: "broker-2"}, Disk: epoch.Disk{0xd2, 15: 2}}
	return epoch.List{
		{Number: 3, Members: []epoch.Member{a, b}, Start: 1000, Registers: protocol.MustLabelSet("author", "7"), Pruned: 1200},
		{Number: 4, Start: 2000, Registers: protocol.MustLabelSet("author", "7")},
		{
			Number: 5, Members: []epoch.Member{b}, Start: 1000 + epoch.Span, Reset: true,
			Registers: protocol.MustLabelSet(epoch.ResetLabel, "5"),
		},
	}
}

// TestFormatDocument: the table of docs/format/epochs.md is the format.
func TestFormatDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/format/epochs.md")
	require.NoError(t, err)
	want, err := documented().Encode(300)
	require.NoError(t, err)
	row := regexp.MustCompile("^\\| *(\\d+) *\\| *(\\d+) *\\| *`([0-9a-f ]*)` *\\|")
	var got []byte
	for line := range strings.SplitSeq(string(doc), "\n") {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		offset, _ := strconv.Atoi(m[1])
		size, _ := strconv.Atoi(m[2])
		b, err := hex.DecodeString(strings.ReplaceAll(m[3], " ", ""))
		require.NoError(t, err, line)
		require.Len(t, got, offset, line)
		require.Len(t, b, size, line)
		got = append(got, b...)
	}
	require.Equal(t, hex.Dump(want), hex.Dump(got))
}

// TestDecodeDocumented: what is encoded is read back.
func TestDecodeDocumented(t *testing.T) {
	b, err := documented().Encode(300)
	require.NoError(t, err)
	l, revision, err := epoch.Decode(b)
	require.NoError(t, err)
	require.EqualValues(t, 300, revision)
	again, err := l.Encode(revision)
	require.NoError(t, err)
	require.Equal(t, b, again)
	require.Equal(t, documented()[0].Members, l[0].Members)
	require.EqualValues(t, 1200, l[0].Pruned)
	require.True(t, l[1].Closed())
	require.True(t, l[2].Reset)
	require.Equal(t, "5", l[2].Registers.ValueOf(epoch.ResetLabel))
}

// TestDecodeRefuses what isn't a list, by what is wrong with it.
func TestDecodeRefuses(t *testing.T) {
	encode := func(change func(*protocol.EpochList)) []byte {
		p := documented().Proto(300)
		change(p)
		b, err := proto.Marshal(p)
		require.NoError(t, err)
		return b
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "epochs: Version: invalid Version (0; this release knows 1)"},
		{"no protobuf", []byte{0xff}, "decode epochs: "},
		{"later version", encode(func(p *protocol.EpochList) { p.Version = 2 }), "invalid Version (2; this release knows 1)"},
		{"no revision", encode(func(p *protocol.EpochList) { p.CreateRevision = 0 }), "invalid CreateRevision (0; expected >= 1)"},
		{"gap", encode(func(p *protocol.EpochList) { p.Epochs[2].Number = 6 }), "Epochs[2].Number: invalid Number (6; expected 5)"},
		{"no number", encode(func(p *protocol.EpochList) { p.Epochs[0].Number = 0 }), "Epochs[0].Number: invalid Number (0; expected >= 1)"},
		{"start goes back", encode(func(p *protocol.EpochList) { p.Epochs[1].Start = 999 }), "Epochs[1].Start: invalid Start (999; expected >= 1000)"},
		{"pruned below its start", encode(func(p *protocol.EpochList) { p.Epochs[0].Pruned = 1000 }), "Epochs[0].Pruned: invalid Pruned (1000; expected 0 or > 1000)"},
		{"start below 0", encode(func(p *protocol.EpochList) { p.Epochs[0].Start = -1 }), "Epochs[0].Start: invalid Start (-1; expected >= 0)"},
		{"disk is cut", encode(func(p *protocol.EpochList) { p.Epochs[0].Members[0].Disk = []byte{1} }), "Epochs[0].Members[0].Disk: invalid length (1; expected 16)"},
		{"member twice", encode(func(p *protocol.EpochList) { p.Epochs[0].Members[1].Id = p.GetEpochs()[0].GetMembers()[0].GetId() }), "Epochs[0].Members[1]: isn't unique and in ascending order (zone-1/broker-1)"},
		{"no id", encode(func(p *protocol.EpochList) { p.Epochs[0].Members[0].Id = nil }), "Epochs[0].Members[0].Id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := epoch.Decode(tc.b)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// TestUnknownFieldsAreRead: a later release may add fields to this version.
func TestUnknownFieldsAreRead(t *testing.T) {
	b, err := documented().Encode(300)
	require.NoError(t, err)
	b = protowire.AppendTag(b, 99, protowire.VarintType)
	b = protowire.AppendVarint(b, 1)
	l, _, err := epoch.Decode(b)
	require.NoError(t, err)
	require.Len(t, l, 3)
}

// FuzzDecode: whatever is decoded is a list by whose rules one can live, and is encoded again.
func FuzzDecode(f *testing.F) {
	b, err := documented().Encode(300)
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte{})
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		l, revision, err := epoch.Decode(b)
		if err != nil {
			return
		}
		encoded, err := l.Encode(revision)
		require.NoError(t, err)
		again, _, err := epoch.Decode(encoded)
		require.NoError(t, err)
		require.Len(t, again, len(l))
		last, ok := l.Last()
		require.Equal(t, len(l) > 0, ok)
		require.Equal(t, last.Number+1, l.Next())
		for _, e := range l {
			if keep, ok := l.Keep(e.Number, e.Start); ok {
				require.GreaterOrEqual(t, keep, e.Start)
				require.LessOrEqual(t, keep, last.Start)
			}
			require.NotNil(t, e.Registers)
		}
		require.LessOrEqual(t, len(l.Retire(func(int64, int64) bool { return true })), 1)
	})
}
