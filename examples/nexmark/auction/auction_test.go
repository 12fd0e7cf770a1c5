package auction_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/examples/nexmark/auction"
)

func TestShares(t *testing.T) {
	var n [3]int
	for i := range int64(5000) {
		n[auction.KindOf(i)]++
	}
	require.Equal(t, [3]int{100, 300, 4600}, n)
}

func TestEventsArePureFunctionsOfTheirNumber(t *testing.T) {
	a, b := auction.New(auction.Config{Seed: 1}), auction.New(auction.Config{Seed: 1})
	other := auction.New(auction.Config{Seed: 2})
	differ := false
	for _, i := range []int64{0, 1, 4, 49, 50, 12345, 1 << 40} {
		x, _ := a.AppendJSON(nil, i)
		y, _ := b.AppendJSON(nil, i)
		z, _ := other.AppendJSON(nil, i)
		require.Equal(t, string(x), string(y))
		differ = differ || !bytes.Equal(x, z)
	}
	require.True(t, differ, "the seed matters")
}

func TestEventsAreWholeAndOfTheirSize(t *testing.T) {
	g := auction.New(auction.Config{})
	fields := map[auction.Kind]int{auction.Person: 8, auction.Auction: 10, auction.Bid: 7}
	total, count := map[auction.Kind]int{}, map[auction.Kind]int{}
	people, sales, hotBids, bids := map[float64]bool{}, map[float64]bool{}, map[float64]int{}, 0
	for i := range int64(20_000) {
		text, kind := g.AppendJSON(nil, i)
		require.Equal(t, 1, bytes.Count(text, []byte("\n")))
		var m map[string]any
		require.NoError(t, json.Unmarshal(text, &m), string(text))
		require.Len(t, m, fields[kind])
		_, err := time.Parse(time.RFC3339, m["date_time"].(string))
		require.NoError(t, err)
		total[kind], count[kind] = total[kind]+len(text), count[kind]+1
		switch kind {
		case auction.Person:
			require.False(t, people[m["id"].(float64)], "ids are unique")
			people[m["id"].(float64)] = true
		case auction.Auction:
			require.False(t, sales[m["id"].(float64)], "ids are unique")
			sales[m["id"].(float64)] = true
		case auction.Bid:
			bids++
			hotBids[m["auction"].(float64)]++
		}
	}
	require.Len(t, people, 400)
	require.Len(t, sales, 1200)
	top := 0
	for _, n := range hotBids {
		top = max(top, n)
	}
	require.Greater(t, top, bids/40, "bids crowd on hot auctions")
	for kind, want := range map[auction.Kind]int{auction.Person: 200, auction.Auction: 500, auction.Bid: 150} {
		require.InDelta(t, want, total[kind]/count[kind], float64(want)/2, kind)
	}
}

func TestDisorderPermutesTimes(t *testing.T) {
	at := func(g *auction.Generator, n int64) string {
		text, _ := g.AppendJSON(nil, n)
		var m struct {
			At string `json:"date_time"`
		}
		require.NoError(t, json.Unmarshal(text, &m))
		return m.At
	}
	ordered, mixed := auction.New(auction.Config{}), auction.New(auction.Config{Disorder: 100})
	want, got, moved := map[string]bool{}, map[string]bool{}, false
	for i := range int64(100) {
		want[at(ordered, i)], got[at(mixed, i)] = true, true
		moved = moved || at(ordered, i) != at(mixed, i)
	}
	require.Equal(t, want, got)
	require.True(t, moved)
}

func BenchmarkEvents(b *testing.B) {
	g := auction.New(auction.Config{})
	var buf []byte
	n := int64(0)
	for b.Loop() {
		buf, _ = g.AppendJSON(buf[:0], n)
		n++
	}
}
