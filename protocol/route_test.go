package protocol_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
)

func id(zone, suffix string) *protocol.ProcessSpec_ID {
	return &protocol.ProcessSpec_ID{Zone: zone, Suffix: suffix}
}

func TestRouteEquivalenceIgnoresEndpoints(t *testing.T) {
	a := &protocol.Route{Members: []*protocol.ProcessSpec_ID{id("a", "b1"), id("a", "b2")}, Primary: 1, Endpoints: []string{"http://x", "http://y"}}
	b := proto.CloneOf(a)
	b.Endpoints = nil
	require.True(t, protocol.RouteEquivalent(a, b))
	b.Primary = 0
	require.False(t, protocol.RouteEquivalent(a, b))
	b.Primary, b.Members[1] = 1, id("a", "b3")
	require.False(t, protocol.RouteEquivalent(a, b))
	require.False(t, protocol.RouteEquivalent(protocol.EmptyRoute(), nil), "an absent route has primary 0")
}

func TestRouteMembers(t *testing.T) {
	r := &protocol.Route{Members: []*protocol.ProcessSpec_ID{id("a", "b1"), id("b", "a1")}, Endpoints: []string{"", "http://y"}}
	require.Equal(t, 1, r.IndexOf(id("b", "a1")))
	require.Equal(t, -1, r.IndexOf(id("b", "b1")))
	require.Equal(t, -1, protocol.EmptyRoute().IndexOf(nil))
	require.Equal(t, "http://y", r.EndpointOf(1))
	for _, i := range []int{-1, 0, 2} {
		require.Empty(t, r.EndpointOf(i))
	}
	require.Negative(t, protocol.CompareProcessIDs(id("a", "b1"), id("b", "a1")), "zones come first")
	require.True(t, id("", "").IsZero())
	require.True(t, (*protocol.ProcessSpec_ID)(nil).IsZero())
}

func TestSumOfNothingIsNotTheZeroSum(t *testing.T) {
	sum := protocol.SumOf(nil)
	digest := sum.Digest()
	require.Equal(t, "da39a3ee5e6b4b0d3255bfef95601890afd80709", hex.EncodeToString(digest[:]))
	require.False(t, sum.IsZero())
	require.True(t, new(protocol.SHA1Sum).IsZero())
	require.True(t, (*protocol.SHA1Sum)(nil).IsZero())
	require.Equal(t, [20]byte{}, (*protocol.SHA1Sum)(nil).Digest())
}

func TestSumIsTheDigestInThreeBigEndianParts(t *testing.T) {
	var digest [20]byte
	for i := range digest {
		digest[i] = byte(i + 1)
	}
	sum := protocol.SumFromDigest(digest)
	require.Equal(t, uint64(0x0102030405060708), sum.GetPart1())
	require.Equal(t, uint64(0x090a0b0c0d0e0f10), sum.GetPart2())
	require.Equal(t, uint32(0x11121314), sum.GetPart3())
	require.Equal(t, digest, sum.Digest())
}

func TestFlagsOfAJournal(t *testing.T) {
	for flag, want := range map[protocol.JournalSpec_Flag][2]bool{
		protocol.JournalSpec_NOT_SPECIFIED: {true, true},
		protocol.JournalSpec_O_RDWR:        {true, true},
		protocol.JournalSpec_O_RDONLY:      {true, false},
		protocol.JournalSpec_O_WRONLY:      {false, true},
	} {
		spec := &protocol.JournalSpec{Flags: uint32(flag)}
		require.Equal(t, want, [2]bool{spec.Flag().MayRead(), spec.Flag().MayWrite()}, flag)
	}
}

func TestPathPostfix(t *testing.T) {
	spec := &protocol.JournalSpec{
		Name:     "a/journal",
		Labels:   protocol.MustLabelSet("region", "eu", "region", "us", "topic", "clicks"),
		Fragment: &protocol.JournalSpec_Fragment{Length: 1024, CompressionCodec: protocol.CompressionCodec_GZIP},
	}
	spool := protocol.PostfixSpool{
		Journal: "a/journal", Begin: 5, End: 9, CompressionCodec: protocol.CompressionCodec_GZIP,
		FirstAppendTime: time.Date(2026, 2, 3, 23, 30, 0, 0, time.FixedZone("west", -3600)),
		Registers:       protocol.MustLabelSet("author", "one"),
	}
	for text, want := range map[string]string{
		"": "",
		`date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}/hour={{ .Spool.FirstAppendTime.Format "15" }}`:                                                   "date=2026-02-04/hour=00",
		`{{ with .Spool.FirstAppendTime.UTC }}{{ .Year }}/{{ printf "%02d" .Month }}/{{ printf "%02d" .Day }}/{{ .Hour }}.{{ .Minute }}.{{ .Second }}{{ end }}`: "2026/02/04/0.30.0",
		`{{ .Flags }}/{{ .Suspend.Level }}/{{ .Suspend.Offset }}/{{ .Spool.CompressionCodec }}`:                                                                 "NOT_SPECIFIED/NONE/0/GZIP",
		`{{ .Spool.Begin }}-{{ .Spool.End }}`:                           "5-9",
		`author={{ .Spool.Registers.ValueOf "author" }}`:                "author=one",
		`{{ .JournalSpec.Name }}/{{ .Name }}`:                           "a/journal/a/journal",
		`topic={{ .LabelSet.ValueOf "topic" }}`:                         "topic=clicks",
		`topic={{ .ValueOf "topic" }}`:                                  "topic=clicks",
		`{{ range .Labels }}{{ .Name }}={{ .Value }}/{{ end }}x`:        "region=eu/region=us/topic=clicks/x",
		`{{ .Fragment.CompressionCodec }}-{{ .Fragment.Length }}`:       "GZIP-1024",
		`{{ if .ValueOf "missing" }}x{{ end }}`:                         "",
		`{{ .Spool.Registers.ValueOf "missing" }}{{ .MaxAppendRate }}z`: "0z",
	} {
		spec.Fragment.PathPostfixTemplate = text
		got, err := spec.PathPostfix(spool)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		`{{`:                         "unclosed action",
		`{{ .Nothing }}`:             "can't evaluate field Nothing",
		`../{{ .Name }}`:             "leads out of its root",
		`{{ index .Stores 0 }}`:      "can't evaluate field Stores",
		`{{ index .Labels 7 }}`:      "out of range",
		`{{ .Spool.Begin }} `:        "isn't allowed",
		`{{ .Spool.Registers }}/../`: "isn't allowed",
	} {
		spec.Fragment.PathPostfixTemplate = text
		_, err := spec.PathPostfix(spool)
		require.ErrorContains(t, err, want, text)
	}
}
