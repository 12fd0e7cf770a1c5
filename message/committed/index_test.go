package committed_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// rowsAt are the lines that are rows at a cut, by the model.
func rowsAt(j *journal, commits []int64, cut int64) []int64 {
	var out []int64
	for i, at := range commits {
		if at != 0 && at <= cut {
			out = append(out, j.bounds[i])
		}
	}
	return out
}

// rowsOf are the same, by an index: of all lines before the cut but acknowledgements, those that aren't in holes.
func rowsOf(j *journal, h committed.Holes, cut int64) []int64 {
	var lines, out []int64
	for i, u := range j.uuids {
		if j.bounds[i+1] <= cut && (u.Clock() == 0 || u.Flags() != message.AckTxn) {
			lines = append(lines, j.bounds[i])
		}
	}
	for from, to := range h.Rows(lines) {
		out = append(out, lines[from:to]...)
	}
	return out
}

// indexMeetsModel: at any cut, however the index came there, whatever it has forgotten, and whatever it learns
// later, its rows are the model's.
func indexMeetsModel(t *rapid.T) {
	j := drawJournal(t)
	if len(j.bounds) == 0 {
		return
	}
	commits := j.commits()
	most := rapid.IntRange(2, 20).Draw(t, "most")
	p, err := committed.ParsePointer("/_meta/uuid")
	require.NoError(t, err)
	x := committed.NewIndex(0, p.UUID, most)
	type view struct {
		cut   int64
		holes committed.Holes
	}
	var views []view
	for at := int64(0); at < j.end(); {
		at = rapid.Int64Range(at+1, j.end()).Draw(t, "cut")
		broken := errors.New("broken")
		if rapid.Bool().Draw(t, "whether it fails") {
			_ = x.Extend(context.Background(), func(_ context.Context, begin, end int64) (io.ReadCloser, error) {
				r := strings.NewReader(string(j.bytes[begin : begin+(end-begin)/2]))
				return io.NopCloser(io.MultiReader(r, iotest.ErrReader(broken))), nil
			}, at)
		}
		err := x.Extend(context.Background(), j.source, at)
		if errors.Is(err, committed.ErrTooManyHoles) {
			break
		}
		require.NoError(t, err)
		h, err := x.Holes(at)
		require.NoError(t, err)
		views = append(views, view{at, h})
		old := rapid.Int64Range(0, at).Draw(t, "old cut")
		if h, err := x.Holes(old); err == nil {
			views = append(views, view{old, h})
		} else {
			require.ErrorIs(t, err, committed.ErrCompacted)
		}
	}
	for _, v := range views {
		rows := rowsAt(j, commits, v.cut)
		require.Equal(t, rows, rowsOf(j, v.holes, v.cut), "at %d", v.cut)
		begin := rapid.Int64Range(0, v.cut).Draw(t, "begin")
		end := rapid.Int64Range(begin, v.cut).Draw(t, "end")
		var want bool
		for i, u := range j.uuids {
			isAck := u.Clock() != 0 && u.Flags() == message.AckTxn
			inRange := j.bounds[i] < end && j.bounds[i+1] > begin && begin < end && j.bounds[i+1] <= v.cut
			want = want || inRange && !isAck && !slices.Contains(rows, j.bounds[i])
		}
		if want {
			require.True(t, v.holes.Within(begin, end), "[%d, %d) at %d", begin, end, v.cut)
		}
	}
}

func TestIndexMeetsModel(t *testing.T) { rapid.Check(t, indexMeetsModel) }

func FuzzIndex(f *testing.F) { f.Fuzz(rapid.MakeFuzz(indexMeetsModel)) }

// TestIndexIsSmall: what is committed is forgotten, so that an index of any number of transactions is small; what
// never is, is bounded.
func TestIndexIsSmall(t *testing.T) {
	var content strings.Builder
	var ticker message.Ticker
	line := func(p byte, f message.Flags) {
		content.WriteString(`{"_meta":{"uuid":"` + uuid(p, ticker.Tick(), f).String() + "\"}}\n")
	}
	line(9, message.ContinueTxn) // open for ever
	for range 100_000 {
		line(1, message.ContinueTxn)
		line(2, message.ContinueTxn)
		line(1, message.AckTxn)
		line(2, message.AckTxn)
	}
	text := content.String()
	source := func(_ context.Context, begin, end int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text[begin:end])), nil
	}
	p, err := committed.ParsePointer("/_meta/uuid")
	require.NoError(t, err)
	x := committed.NewIndex(0, p.UUID, 1<<20)
	require.NoError(t, x.Extend(t.Context(), source, int64(len(text))))
	require.Less(t, x.Bytes(), int64(16<<20))
	h, err := x.Holes(int64(len(text)))
	require.NoError(t, err)
	require.True(t, h.Within(0, 10))
	require.False(t, h.Within(int64(len(text)/2), int64(len(text))))
	_, err = x.Holes(1000)
	require.ErrorIs(t, err, committed.ErrCompacted)

	var open strings.Builder
	for i := range 100 {
		for p := range byte(2) {
			open.WriteString(`{"_meta":{"uuid":"` + uuid(p, message.Clock(i+1), message.ContinueTxn).String() + "\"}}\n")
		}
	}
	text = open.String()
	x = committed.NewIndex(0, p.UUID, 64)
	for range 4 { // it doesn't get room by being asked again
		require.ErrorIs(t, x.Extend(t.Context(), source, int64(len(text))), committed.ErrTooManyHoles)
		require.Less(t, x.Bytes(), int64(64<<10))
	}
}
