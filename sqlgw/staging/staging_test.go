package staging

import (
	"bytes"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAsModel: whatever is done to a stage, it has what a map of strings has, and so have its
// snapshots, for ever.
func TestAsModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		budget := NewBudget(1 << 20)
		s, err := New(Config{Dir: dir, Memory: rapid.Int64Range(0, 300).Draw(t, "memory"), Limit: 1 << 16, Budget: budget})
		require.NoError(t, err)
		model := map[string]string{}
		type point struct {
			mark Mark
			was  map[string]string
		}
		type taken struct {
			snapshot *Snapshot
			want     string
		}
		var points []point
		var snapshots []taken
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			journal := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "journal")
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				points = append(points, point{s.Mark(), maps.Clone(model)})
			case 1:
				if len(points) > 0 {
					i := rapid.IntRange(0, len(points)-1).Draw(t, "point")
					s.Rollback(points[i].mark)
					model = maps.Clone(points[i].was)
					points = points[:i+1]
				}
			case 2:
				if x := s.Snapshot(journal); x != nil {
					snapshots = append(snapshots, taken{x, model[journal]})
				} else {
					require.Empty(t, model[journal])
				}
			default:
				text := strings.Repeat(rapid.StringMatching("[a-z]{1,9}").Draw(t, "text"), rapid.IntRange(1, 9).Draw(t, "times"))
				require.NoError(t, s.Append(journal, []byte(text)))
				model[journal] += text
			}
			require.Equal(t, slices.Sorted(maps.Keys(model)), append([]string(nil), s.Journals()...))
		}
		for journal, want := range model {
			x := s.Snapshot(journal)
			snapshots = append(snapshots, taken{x, want})
		}
		s.Close()
		s.Close()
		require.Zero(t, budget.Used())
		for _, x := range snapshots {
			got, err := io.ReadAll(x.snapshot.Open())
			require.NoError(t, err)
			require.Equal(t, x.want, string(got))
			require.NoError(t, iotest.TestReader(x.snapshot.Open(), []byte(x.want)))
			x.snapshot.Close()
			x.snapshot.Close()
			if f := x.snapshot.file; f != nil {
				require.GreaterOrEqual(t, f.refs.Load(), int32(0))
			}
		}
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

// TestFileIsClosed once the stage and its snapshots are, not before.
func TestFileIsClosed(t *testing.T) {
	s, err := New(Config{Dir: t.TempDir(), Limit: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, s.Append("j", []byte("content")))
	x := s.Snapshot("j")
	file := x.file.file
	s.Close()
	got, err := io.ReadAll(x.Open())
	require.NoError(t, err)
	require.Equal(t, "content", string(got))
	x.Close()
	require.ErrorIs(t, file.Close(), os.ErrClosed)
}

// TestLimits: what is beyond them is refused, and leaves the stage as it was.
func TestLimits(t *testing.T) {
	budget := NewBudget(1000)
	mine, err := New(Config{Dir: t.TempDir(), Limit: 600, Budget: budget})
	require.NoError(t, err)
	other, err := New(Config{Dir: t.TempDir(), Limit: 600, Budget: budget, Memory: 600})
	require.NoError(t, err)
	require.NoError(t, mine.Append("j", make([]byte, 500)))
	require.ErrorIs(t, mine.Append("j", make([]byte, 100)), ErrFull)
	require.ErrorIs(t, other.Append("k", make([]byte, 400)), ErrBudget)
	require.True(t, other.Empty())
	mark := mine.Mark()
	mine.Rollback(Mark{})
	require.ErrorIs(t, mine.Append("j", make([]byte, 100)), ErrFull, "what was rolled back still takes room")
	mine.Rollback(mark)
	mine.Close()
	require.Zero(t, budget.Used())
	require.NoError(t, other.Append("k", make([]byte, 400)))
	require.Equal(t, bytes.Repeat([]byte{0}, 400), must(t, other.Snapshot("k")))
	other.Close()
	_, err = New(Config{})
	require.Error(t, err)
}

func must(t *testing.T, s *Snapshot) []byte {
	t.Helper()
	defer s.Close()
	b, err := io.ReadAll(s.Open())
	require.NoError(t, err)
	return b
}

// TestExtentsAreBounded: many small pieces take memory, wherever their content is.
func TestExtentsAreBounded(t *testing.T) {
	for name, memory := range map[string]int64{"in memory": 1 << 20, "in the file": 1 << 10} {
		t.Run(name, func(t *testing.T) {
			s, err := New(Config{Dir: t.TempDir(), Memory: memory, Limit: 1 << 30})
			require.NoError(t, err)
			defer s.Close()
			mark := s.Mark()
			for i := range maxExtents {
				if i == maxExtents/2 {
					mark = s.Mark()
				}
				s.Mark()
				require.NoError(t, s.Append("j", []byte{byte(i)}))
			}
			require.NoError(t, s.Append("j", []byte{1}), "the last one grows")
			require.ErrorIs(t, s.Append("k", []byte{1}), ErrFull)
			s.Mark()
			require.ErrorIs(t, s.Append("j", []byte{1}), ErrFull)
			s.Rollback(mark)
			require.NoError(t, s.Append("k", []byte{1}))
			require.Len(t, s.order, maxExtents/2+1)
		})
	}
}

// TestRollbackLetsGoOfMemory: of each journal's extents, though it keeps some.
func TestRollbackLetsGoOfMemory(t *testing.T) {
	s, err := New(Config{Memory: 1 << 20, Limit: 1 << 20})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Append("j", []byte{1}))
	mark := s.Mark()
	require.NoError(t, s.Append("j", make([]byte, 1000)))
	s.Rollback(mark)
	list := s.journals["j"]
	for _, e := range list[len(list):cap(list)] {
		require.Nil(t, e.memory)
	}
	require.Equal(t, int64(1), s.memory)
}
