package fragments_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments"
)

// bytesAt is local content: the byte at an offset is the offset's low byte.
type bytesAt struct{}

func (bytesAt) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = byte(off + int64(i))
	}
	return len(p), nil
}

func parseEntries(t *testing.T, d *datadriven.TestData, local bool) []fragments.Entry {
	t.Helper()
	var out []fragments.Entry
	for line := range strings.Lines(d.Input) {
		e := parseEntry(t, line)
		if local {
			e.Local = bytesAt{}
		}
		out = append(out, e)
	}
	return out
}

func justFragments(entries []fragments.Entry) []fragments.Fragment {
	out := make([]fragments.Fragment, len(entries))
	for i, e := range entries {
		out[i] = e.Fragment
	}
	return out
}

// TestIndex runs the scenarios of testdata/index.
func TestIndex(t *testing.T) {
	datadriven.Walk(t, "testdata/index", func(t *testing.T, path string) {
		t.Helper()
		x := fragments.NewIndex()
		var changed <-chan struct{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			switch d.Cmd {
			case "stored":
				x.SetStored(justFragments(parseEntries(t, d, false)))
			case "persisted":
				for _, e := range parseEntries(t, d, false) {
					x.AddStored(e.Fragment)
				}
			case "local":
				x.SetLocal(parseEntries(t, d, true))
			case "watch":
				changed = x.Changed()
				return ""
			case "changed?":
				return fmt.Sprintln(isClosed(changed))
			case "listed?":
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				return fmt.Sprintln(x.AwaitStored(ctx))
			case "query":
				return queryAll(t, x, d)
			case "cover":
				return coverText(x, parseEntry(t, d.Input))
			case "covered":
				return fmt.Sprintln(x.Covered(parseEntry(t, d.Input).Fragment))
			case "entries":
				return formatEntries(x.Entries())
			default:
				d.Fatalf(t, "unknown command")
			}
			begin, end, newest := x.Bounds()
			age := "none"
			if newest != 0 {
				age = fmt.Sprintf("%dh ago", (now.Unix()-newest)/3600)
			}
			return fmt.Sprintf("bounds [%d, %d), newest %s\n", begin, end, age)
		})
	})
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func queryAll(t *testing.T, x *fragments.Index, d *datadriven.TestData) string {
	t.Helper()
	var out strings.Builder
	for _, arg := range d.CmdArgs {
		hit, err := x.Query(parseInt(t, arg.Key))
		if err != nil {
			fmt.Fprintf(&out, "%s: error: %v\n", arg.Key, err)
			continue
		}
		fmt.Fprintf(&out, "%s: %s", arg.Key, hit.Outcome)
		if hit.Outcome == fragments.Wait {
			fmt.Fprintf(&out, " for %d\n", hit.Offset)
			continue
		}
		fmt.Fprintf(&out, " %s", formatEntry(hit.Entry))
		if hit.First {
			out.WriteString(", the first")
		}
		if hit.MayJump(now) {
			out.WriteString(", may jump")
		}
		out.WriteString("\n")
	}
	return out.String()
}

func coverText(x *fragments.Index, e fragments.Entry) string {
	entries, err := x.Cover(e.Begin, e.End)
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	return formatEntries(entries)
}

// TestIndexModel holds every answer of the index against a model that looks at each
// byte of all entries, stored and local.
func TestIndexModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored, local := drawEntries(t, "s"), drawEntries(t, "l")
		for i := range stored {
			stored[i].Store, stored[i].ModTime = "file:///", 1
		}
		x := fragments.NewIndex()
		x.SetStored(justFragments(stored))
		x.SetLocal(local)

		// The stored win where spans are equal: they are as if added last.
		all := append(append([]fragments.Entry(nil), local...), stored...)
		merged := fragments.NewCoverSet(all)
		require.Equal(t, formatEntries(merged), formatEntries(x.Entries()))

		for at := range int64(40) {
			hit, err := x.Query(at)
			require.NoError(t, err)
			i, ok := merged.Longest(at)
			switch {
			case ok:
				require.Equal(t, fragments.Found, hit.Outcome)
				require.Equal(t, merged[i], hit.Entry)
			case i < len(merged):
				require.Equal(t, fragments.Hole, hit.Outcome)
				require.Equal(t, merged[i].Begin, hit.Entry.Begin)
			default:
				require.Equal(t, fragments.Wait, hit.Outcome)
			}
			require.Equal(t, i == 0 && hit.Outcome != fragments.Wait, hit.First)
		}
		begin := rapid.Int64Range(0, 30).Draw(t, "cover begin")
		requireCover(t, x, all, begin, begin+rapid.Int64Range(0, 30).Draw(t, "cover length"))
		requireCovered(t, x, stored, begin, begin+5)
	})
}

// requireCover checks Cover(begin, end) byte by byte.
func requireCover(t require.TestingT, x *fragments.Index, all []fragments.Entry, begin, end int64) {
	gap := int64(-1)
	for at := begin; at < end && gap < 0; at++ {
		if _, ok := modelLongest(all, at); !ok {
			gap = at
		}
	}
	entries, err := x.Cover(begin, end)
	if gap >= 0 {
		var missing *fragments.GapError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, gap, missing.Begin)
		for at := missing.Begin; at < missing.End; at++ {
			_, ok := modelLongest(all, at)
			require.False(t, ok, "byte %d of the gap is covered", at)
		}
		_, ok := modelLongest(all, missing.End)
		require.True(t, missing.End == end || ok)
		return
	}
	require.NoError(t, err)
	at := begin
	for i, e := range entries {
		require.LessOrEqual(t, e.Begin, at)
		require.Greater(t, e.End, at)
		if i > 1 {
			require.Greater(t, e.Begin, entries[i-2].End-1, "entry %d is needless", i-1)
		}
		at = e.End
	}
	require.GreaterOrEqual(t, at, end)
}

// requireCovered checks that Covered looks at stored fragments only.
func requireCovered(t require.TestingT, x *fragments.Index, stored []fragments.Entry, begin, end int64) {
	want := true
	for at := begin; at < end; at++ {
		_, ok := modelLongest(stored, at)
		want = want && ok
	}
	require.Equal(t, want, x.Covered(fragments.Fragment{Begin: begin, End: end}))
}

// TestIndexBlockingReaders has readers that wait for what is above the watermark:
// each is woken by the change that it waits for, and none sees a byte above it.
func TestIndexBlockingReaders(t *testing.T) {
	const readers, end = 8, 500
	x := fragments.NewIndex()
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			for at := int64(0); at < end; {
				hit, err := x.Query(at)
				if err != nil || hit.Outcome == fragments.Hole {
					t.Errorf("query of %d: %v %v", at, hit, err)
					return
				}
				if hit.Outcome == fragments.Wait {
					<-hit.Changed
					continue
				}
				at = hit.Entry.End
			}
		})
	}
	for watermark := int64(1); watermark <= end; watermark++ {
		e := fragments.Entry{Local: bytesAt{}}
		e.End = watermark
		x.SetLocal([]fragments.Entry{e})
		hit, err := x.Query(-1)
		require.NoError(t, err)
		require.Equal(t, watermark, hit.End)
	}
	group.Wait()
}

// TestIndexAwaitStored waits for the first listing, even if it is empty.
func TestIndexAwaitStored(t *testing.T) {
	x := fragments.NewIndex()
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	require.ErrorIs(t, x.AwaitStored(ctx), gone)

	done := make(chan error, 1)
	go func() { done <- x.AwaitStored(t.Context()) }()
	x.SetLocal([]fragments.Entry{{}})
	require.Empty(t, done)
	x.SetStored(nil)
	require.NoError(t, <-done)
	x.SetStored(nil)
	require.NoError(t, x.AwaitStored(ctx))
}

// TestMayJumpAge pins the age at which a hole may be jumped.
func TestMayJumpAge(t *testing.T) {
	hit := fragments.Hit{Outcome: fragments.Hole}
	hit.Entry.Store, hit.Entry.ModTime = "file:///", now.Unix()
	require.False(t, hit.MayJump(now.Add(6*time.Hour)))
	require.True(t, hit.MayJump(now.Add(6*time.Hour+time.Second)))
	hit.Entry.Store = ""
	require.False(t, hit.MayJump(now.Add(7*time.Hour)), "only stored fragments are jumped to")
}
