package sqlgw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryLog is a journal in memory that counts the bytes that are read of it.
type memoryLog struct {
	content []byte
	read    atomic.Int64
	fail    error
}

func (l *memoryLog) open(_ context.Context, _ string, begin, end int64) (io.ReadCloser, error) {
	if l.fail != nil {
		return nil, l.fail
	}
	l.read.Add(end - begin)
	return io.NopCloser(bytes.NewReader(l.content[begin:end])), nil
}

func (l *memoryLog) add(lines ...string) int64 {
	for _, s := range lines {
		l.content = append(l.content, s...)
		l.content = append(l.content, '\n')
	}
	return int64(len(l.content))
}

func testSchema() columnar.Schema {
	return columnar.Schema{Columns: []columnar.Column{{Name: "a", Type: columnar.Type{Kind: columnar.Int64}}}}
}

func values(batches []*columnar.Batch) []int64 {
	out := []int64{}
	for _, b := range batches {
		out = append(out, b.Cols[0].I64...)
	}
	return out
}

func TestHeadCacheParsesNothingTwice(t *testing.T) {
	var l memoryLog
	c := newHeadCache(l.open, 1<<20)
	key, schema := headKey{journal: "j"}, testSchema()
	first := l.add(`{"a":1}`, `{"a":2}`)
	got, err := c.read(t.Context(), key, schema, 0, first)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2}, values(got))

	second := l.add(`{"a":3}`)
	got, err = c.read(t.Context(), key, schema, 0, second)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3}, values(got))
	require.Equal(t, second, l.read.Load(), "only what was new is read")

	got, err = c.read(t.Context(), key, schema, first, second)
	require.NoError(t, err)
	require.Equal(t, []int64{3}, values(got))
	require.Equal(t, second, l.read.Load())
}

func TestHeadCacheLeavesLinesThatAreNotWhole(t *testing.T) {
	var l memoryLog
	c := newHeadCache(l.open, 1<<20)
	end := l.add(`{"a":1}`, `{"a":2}`)
	for _, at := range []int64{0, 1, 7, 8, 9, 15, end} {
		got, err := c.read(t.Context(), headKey{journal: "j"}, testSchema(), 0, at)
		require.NoError(t, err)
		require.Len(t, values(got), strings.Count(string(l.content[:at]), "\n"), "up to %d", at)
	}
	// Now in the other direction: the cache knows more than an earlier cut may see.
	for _, at := range []int64{end, 15, 9, 8, 7, 0} {
		got, err := c.read(t.Context(), headKey{journal: "j"}, testSchema(), 0, at)
		require.NoError(t, err)
		require.Len(t, values(got), strings.Count(string(l.content[:at]), "\n"), "back to %d", at)
	}
}

func TestHeadCacheIsBounded(t *testing.T) {
	var l memoryLog
	for i := range 1000 {
		l.add(fmt.Sprintf(`{"a":%d}`, i))
	}
	end := int64(len(l.content))
	const limit = 40 << 10
	c := newHeadCache(l.open, limit)
	for i := range 20 {
		got, err := c.read(t.Context(), headKey{journal: strconv.Itoa(i)}, testSchema(), 0, end)
		require.NoError(t, err)
		require.Len(t, values(got), 1000)
		require.LessOrEqual(t, c.bytes, int64(limit))
	}
	require.Less(t, len(c.heads), 20)
	_, err := newHeadCache(l.open, 100).read(t.Context(), headKey{}, testSchema(), 0, end)
	require.ErrorIs(t, err, errTooLarge)
}

// TestHeadCacheCountsColumns: short lines take far more memory under many columns, and that is
// what is bounded.
func TestHeadCacheCountsColumns(t *testing.T) {
	var l memoryLog
	for range 1000 {
		l.add(`{"a":1}`)
	}
	end := int64(len(l.content))
	schema := testSchema()
	for i := range 100 {
		schema.Columns = append(schema.Columns, columnar.Column{Name: "c" + strconv.Itoa(i), Type: columnar.Type{Kind: columnar.Int64}})
	}
	c := newHeadCache(l.open, 3*end)
	_, err := c.read(t.Context(), headKey{}, schema, 0, end)
	require.ErrorIs(t, err, errTooLarge)
	require.Zero(t, c.bytes)
	got, err := c.read(t.Context(), headKey{schema: 1}, testSchema(), 0, end)
	require.NoError(t, err)
	require.Len(t, values(got), 1000)
}

func TestHeadCacheForgetsIdleHeads(t *testing.T) {
	var l memoryLog
	end := l.add(`{"a":1}`)
	c := newHeadCache(l.open, 1<<20)
	_, err := c.read(t.Context(), headKey{}, testSchema(), 0, end)
	require.NoError(t, err)
	c.dropIdle(time.Now().Add(-time.Hour))
	require.Len(t, c.heads, 1)
	c.dropIdle(time.Now().Add(time.Hour))
	require.Empty(t, c.heads)
	require.Zero(t, c.bytes)
}

func TestHeadCacheKeepsWhatItHasOverAFailure(t *testing.T) {
	var l memoryLog
	c := newHeadCache(l.open, 1<<20)
	first := l.add(`{"a":1}`)
	_, err := c.read(t.Context(), headKey{}, testSchema(), 0, first)
	require.NoError(t, err)
	second := l.add(`{"a":2}`)
	l.fail = errors.New("the broker is away")
	_, err = c.read(t.Context(), headKey{}, testSchema(), 0, second)
	require.ErrorIs(t, err, l.fail)
	l.fail = nil
	got, err := c.read(t.Context(), headKey{}, testSchema(), 0, second)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2}, values(got))
	require.Equal(t, second, l.read.Load())
}

// TestHeadCacheTellsJournalsApart: one that was created at another revision isn't the one that is cached.
func TestHeadCacheTellsJournalsApart(t *testing.T) {
	var l memoryLog
	c := newHeadCache(l.open, 1<<20)
	end := l.add(`{"a":1}`)
	for revision := range int64(3) {
		l.content = []byte(fmt.Sprintf(`{"a":%d}`+"\n", revision))
		got, err := c.read(t.Context(), headKey{journal: "j", revision: revision}, testSchema(), 0, end)
		require.NoError(t, err)
		require.Equal(t, []int64{revision}, values(got))
	}
	require.Len(t, c.heads, 3, "until they are idle")
}

// TestHeadCacheIsBoundedOverSessions: many sessions that read many journals at different places get exact answers, and when
// they are done the cache holds what it says, which is within its limit.
func TestHeadCacheIsBoundedOverSessions(t *testing.T) {
	var l memoryLog
	starts := []int64{0}
	for i := range 500 {
		starts = append(starts, l.add(fmt.Sprintf(`{"a":%d}`, i)))
	}
	const limit, sessions, journals = 30 << 10, 8, 40
	c := newHeadCache(l.open, limit)
	var most atomic.Int64 // journals that were cached at a time
	var eg errgroup.Group
	for session := range sessions {
		eg.Go(func() error {
			r := rand.New(rand.NewPCG(1, uint64(session))) //nolint:gosec // not a secret
			for range 200 {
				from := r.IntN(len(starts) - 1)
				to := from + 1 + r.IntN(len(starts)-1-from)
				got, err := c.read(t.Context(), headKey{journal: strconv.Itoa(r.IntN(journals)), revision: 1}, testSchema(), starts[from], starts[to])
				if err != nil {
					return err
				}
				ids := values(got)
				if len(ids) != to-from || ids[0] != int64(from) || ids[len(ids)-1] != int64(to-1) {
					return fmt.Errorf("rows %d to %d: got %v", from, to, ids)
				}
				c.mu.Lock()
				most.Store(max(most.Load(), int64(len(c.heads))))
				c.mu.Unlock()
			}
			return nil
		})
	}
	require.NoError(t, eg.Wait())
	var held int64
	for _, h := range c.heads {
		var size int64
		for _, s := range h.segments {
			size += s.size()
		}
		require.Equal(t, size, h.bytes)
		held += size
	}
	require.Equal(t, held, c.bytes)
	require.LessOrEqual(t, c.bytes, int64(limit))
	require.NotEmpty(t, c.heads)
	require.Less(t, most.Load(), int64(journals), "nothing was dropped")
}

// TestSeenRevision: a listing of an older revision than one that was told is behind; that of another etcd isn't.
func TestSeenRevision(t *testing.T) {
	var s seenRevision
	header := func(cluster uint64, revision int64) *protocol.Header {
		return &protocol.Header{Etcd: &protocol.Header_Etcd{ClusterId: cluster, Revision: revision}}
	}
	require.False(t, s.behind(header(1, 1)))
	s.learn(header(1, 7))
	s.learn(header(1, 5))
	require.True(t, s.behind(header(1, 6)))
	require.False(t, s.behind(header(1, 7)))
	require.False(t, s.behind(header(2, 1)))
	s.learn(header(2, 3))
	require.True(t, s.behind(header(2, 2)))
}

// TestHeadCacheIsExact: whatever ranges are asked for, in whatever order, the answer is that of
// decoding the range by itself.
func TestHeadCacheIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l memoryLog
		starts := []int64{0}
		for range rapid.IntRange(1, 60).Draw(t, "lines") {
			line := rapid.SampledFrom([]string{`{"a":1}`, `{"a":22222}`, ``, `{"a":"x"}`, `torn`}).Draw(t, "line")
			starts = append(starts, l.add(line))
		}
		limit := rapid.Int64Range(100, 20_000).Draw(t, "limit")
		c := newHeadCache(l.open, limit)
		for range rapid.IntRange(1, 20).Draw(t, "reads") {
			begin := rapid.SampledFrom(starts).Draw(t, "begin")
			end := rapid.Int64Range(begin, int64(len(l.content))).Draw(t, "end")
			var want []*columnar.Batch
			require.NoError(t, decodeRange(context.Background(), l.open, testSchema(), lineRange{"j", begin, end}, func(s segment) {
				if s.batch != nil {
					want = append(want, s.batch)
				}
			}))
			got, err := c.read(context.Background(), headKey{journal: "j"}, testSchema(), begin, end)
			if errors.Is(err, errTooLarge) {
				continue
			}
			require.NoError(t, err)
			require.Equal(t, values(want), values(got), "[%d, %d)", begin, end)
		}
	})
}
