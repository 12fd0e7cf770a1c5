package sqlgw

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// tailText tails a text that then fails, and returns the values and offsets of its rows.
func tailText(t *testing.T, r io.Reader) ([]int64, []int64) {
	t.Helper()
	end := errors.New("end of the test's text")
	var got, offsets []int64
	err := tail(t.Context(), io.MultiReader(r, iotest.ErrReader(end)), "j", 100, testSchema(), func(b *columnar.Batch) error {
		got, offsets = append(got, b.Cols[0].I64...), append(offsets, b.Offsets...)
		return nil
	})
	require.ErrorIs(t, err, end)
	return got, offsets
}

func TestTailHandsOverWholeLines(t *testing.T) {
	text := "{\"a\":1}\n\nbad\n{\"a\":2}\n{\"a\":3"
	for name, r := range map[string]io.Reader{
		"at once":      strings.NewReader(text),
		"byte by byte": iotest.OneByteReader(strings.NewReader(text)),
		"by halves":    iotest.HalfReader(strings.NewReader(text)),
	} {
		got, offsets := tailText(t, r)
		require.Equal(t, []int64{1, 2}, got, name)
		require.Equal(t, []int64{100, 113}, offsets, name)
	}
}

func TestTailSkipsLinesThatAreTooLong(t *testing.T) {
	long := strings.Repeat("x", maxTailLine+tailChunk+10)
	got, offsets := tailText(t, strings.NewReader("{\"a\":1}\n"+long+"\n{\"a\":2}\n"))
	require.Equal(t, []int64{1, 2}, got)
	require.Equal(t, []int64{100, 100 + 8 + int64(len(long)) + 1}, offsets)
}

func TestTailGrowsForALongLine(t *testing.T) {
	long := `{"b":"` + strings.Repeat("x", 2*tailChunk) + `","a":5}`
	got, _ := tailText(t, strings.NewReader(long+"\n"+long+"\n"))
	require.Equal(t, []int64{5, 5}, got)
}

// TestTailAll: rows of several journals arrive, each journal's in order, and idle is called
// before waiting; the end of the context ends it all.
func TestTailAll(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(ctx context.Context, journal string, _, _ int64) (io.ReadCloser, error) {
		text := map[string]string{"x": "{\"a\":1}\n{\"a\":2}\n", "y": "{\"a\":10}\n"}[journal]
		return io.NopCloser(io.MultiReader(strings.NewReader(text), blockingReader{ctx})), nil
	}
	got := map[string][]int64{}
	rows, idle := 0, 0
	err := sendAll(ctx, startTails(ctx, open, []position{{"x", 0}, {"y", 0}}, testSchema()),
		func(b *columnar.Batch) error {
			got[b.Journal] = append(got[b.Journal], b.Cols[0].I64...)
			rows += b.Len
			return nil
		},
		func() error {
			idle++
			if rows == 3 {
				cancel()
			}
			return nil
		})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, map[string][]int64{"x": {1, 2}, "y": {10}}, got)
	require.Positive(t, idle)
}

func TestTailAllEndsWithAJournalsError(t *testing.T) {
	open := func(ctx context.Context, journal string, _, _ int64) (io.ReadCloser, error) {
		if journal == "y" {
			return nil, errors.New("journal y is gone")
		}
		return io.NopCloser(blockingReader{ctx}), nil
	}
	err := sendAll(t.Context(), startTails(t.Context(), open, []position{{"x", 0}, {"y", 0}}, testSchema()),
		func(*columnar.Batch) error { return nil }, func() error { return nil })
	require.ErrorContains(t, err, "journal y is gone")
}

// blockingReader waits for its context.
type blockingReader struct{ ctx context.Context }

func (r blockingReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}
