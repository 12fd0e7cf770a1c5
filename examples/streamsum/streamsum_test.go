package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/examples/exampletest"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// newFleet has journals of both types of messages.
func newFleet(t *testing.T) *exampletest.Fleet {
	t.Helper()
	f := exampletest.New(t)
	for n := range 3 {
		f.Journal(fmt.Sprintf("streams/chunks-%d", n), message.JSONLines, protocol.LabelMessageType, chunks)
	}
	for n := range 2 {
		f.Journal(fmt.Sprintf("streams/sums-%d", n), message.JSONLines, protocol.LabelMessageType, sums)
	}
	return f
}

// TestStreamSum: while streams are published, processes that add them up are killed, and so is one that has all of them: all sums are right.
func TestStreamSum(t *testing.T) {
	f := newFleet(t)
	hosts := []*exampletest.Member{f.Host("consume"), f.Host("consume")}
	f.Shard(hosts[0], "summer-0", []string{"streams/chunks-0", "streams/chunks-1"})
	f.Shard(hosts[0], "summer-1", []string{"streams/chunks-2"})
	summed := func() int {
		n := 0
		for i := range 2 {
			n += len(exampletest.Committed(f, fmt.Sprintf("streams/sums-%d", i), func() *Sum { return new(Sum) }))
		}
		return n
	}
	const streams = 300
	for _, dies := range hosts {
		before := summed()
		producer := f.Program("produce", "--streams", strconv.Itoa(streams/len(hosts)))
		exampletest.Until(t, "sums are published", func() bool { return summed() > before })
		dies.Again()
		dies.Ready()
		producer.Await()
	}
	out, err := f.Run("verify", "--streams", strconv.Itoa(streams))
	require.NoError(t, err, out)
	require.Equal(t, streams, summed())
	for _, h := range hosts {
		h.Stop()
	}
}

// stream of three chunks, and its sum.
func stream(name string) ([]Chunk, []Sum) {
	out, sum := []Chunk{}, Sum{Stream: name}
	for seq, data := range []string{"some", "bytes", "more"} {
		sum.Chunks, sum.Sum = seq+1, crc32.Update(sum.Sum, crc32.IEEETable, []byte(data))
		out = append(out, Chunk{Stream: name, Seq: seq, Data: []byte(data), Sum: sum.Sum, Last: seq == 2})
	}
	return out, []Sum{sum}
}

// lines of JSON. Without UUIDs each stands for itself, so that a doubled one is there twice.
func lines[M any](t *testing.T, of []M) string {
	t.Helper()
	var text strings.Builder
	for _, m := range of {
		require.NoError(t, json.NewEncoder(&text).Encode(m))
	}
	return text.String()
}

// TestVerify: verify fails on whatever is dropped, doubled or changed, of what was published and of what was added up.
func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(in []Chunk, out []Sum) ([]Chunk, []Sum)
		said  string
	}{
		"a dropped chunk":   {func(in []Chunk, out []Sum) ([]Chunk, []Sum) { return slices.Delete(in, 1, 2), out }, "chunk 2, where 1 was to come"},
		"a doubled chunk":   {func(in []Chunk, out []Sum) ([]Chunk, []Sum) { return append(in[:2:2], in[1:]...), out }, "chunk 1, where 2 was to come"},
		"a changed chunk":   {func(in []Chunk, out []Sum) ([]Chunk, []Sum) { in[1].Data[0]++; return in, out }, "chunk 1, where 1 was to come"},
		"the last one gone": {func(in []Chunk, out []Sum) ([]Chunk, []Sum) { return in[:2], out }, "were published as 2"},
		"a stream unheard":  {func(_ []Chunk, out []Sum) ([]Chunk, []Sum) { return nil, out }, "were published as 0"},
		"a doubled sum":     {func(in []Chunk, out []Sum) ([]Chunk, []Sum) { return in, append(out, out...) }, "its sum was doubled"},
		"a changed sum":     {func(in []Chunk, out []Sum) ([]Chunk, []Sum) { out[0].Sum++; return in, out }, "were published as 3"},
		"a sum too early":   {func(in []Chunk, out []Sum) ([]Chunk, []Sum) { out[0].Chunks--; return in, out }, "2 chunks of the sum"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			in, out := stream("right")
			f.Append("streams/chunks-0", lines(t, in))
			f.Append("streams/sums-1", lines(t, out))
			said, err := f.Run("verify", "--streams", "1")
			require.NoError(t, err, said)
			in, out = c.spoil(stream("wrong"))
			f.Append("streams/sums-0", lines(t, out))
			f.Append("streams/chunks-0", lines(t, in))
			said, err = f.Run("verify", "--streams", "1")
			require.Error(t, err)
			require.Contains(t, said, c.said)
		})
	}
}

// TestMissing: what may yet come is waited for, and is what is told last.
func TestMissing(t *testing.T) {
	in, out := stream("a")
	v := verifier{published: map[string]Sum{}, summed: map[string]Sum{}}
	require.ErrorIs(t, v.judge(1), errMissing)
	require.NoError(t, v.take(message.Envelope{Message: &in[0]}))
	require.ErrorIs(t, v.judge(0), errMissing)
	require.NoError(t, v.take(message.Envelope{Message: &in[1]}))
	require.NoError(t, v.take(message.Envelope{Message: &in[2]}))
	require.NoError(t, v.take(message.Envelope{Message: &out[0]}))
	require.NoError(t, v.judge(1))
	require.ErrorIs(t, v.judge(2), errMissing)
}

// TestReadme: what README.md says works.
func TestReadme(t *testing.T) {
	exampletest.New(t).Readme("stream-sum")
}
