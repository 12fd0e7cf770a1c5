package sqlgw

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// TestClockSearch: the cut that a search finds as of any time is the one that reading all of the journal
// gives, whatever stands between the marks; the same bytes give the points of rows.
func TestClockSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log clock.Log
		var journal []byte
		var marks []clock.Mark
		var cuts []clock.Cut
		start := time.Unix(1_700_000_000, 0).UTC()
		offset := int64(0)
		width := rapid.SampledFrom([]int{1, 30, 300}).Draw(t, "journals")
		for i := range rapid.IntRange(0, 1500).Draw(t, "marks") {
			offset += int64(i%3 + 1)
			var heads []clock.Place
			for k := range width {
				if k == 0 || (i+k)%width == 0 {
					heads = append(heads, clock.Place{Journal: fmt.Sprintf("a/t.1/part-%03d", k), Revision: 3, Offset: offset})
				}
			}
			m, ok := log.Next(start.Add(time.Duration(i)*time.Second), heads, nil, false)
			require.True(t, ok)
			line, err := m.AppendLine(nil)
			require.NoError(t, err)
			if i%700 == 350 {
				junk := bytes.Repeat([]byte("what is this?"), i)
				line = append(append(junk, '\n'), line...)
			}
			for at := 0; at < len(line); {
				n := bytes.IndexByte(line[at:], '\n') + 1
				log.Read(line[at : at+n])
				at += n
			}
			journal = append(journal, line...)
			marks, cuts = append(marks, m), append(cuts, log.Cut())
		}
		c := clockReader{open: func(_ context.Context, begin, end int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(journal[begin:end])), nil
		}}
		end := int64(len(journal))
		_, ok, err := c.cutAt(t.Context(), 0, end, start.Add(-time.Second))
		require.NoError(t, err)
		require.False(t, ok)
		if len(marks) == 0 {
			return
		}
		first, err := c.earliest(t.Context(), 0, end)
		require.NoError(t, err)
		require.Equal(t, marks[0].Time, first)
		for range 5 {
			i := rapid.IntRange(0, len(marks)-1).Draw(t, "mark")
			got, ok, err := c.cutAt(t.Context(), 0, end, marks[i].Time.Add(300*time.Millisecond))
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, cuts[i], got)
			later, err := c.firstAfter(t.Context(), 0, end, marks[i].Time)
			require.NoError(t, err)
			require.Equal(t, i < len(marks)-1, later)
		}
		points, err := c.points(t.Context(), 0, end, map[string]int64{"a/t.1/part-000": 3, "a/t.1/part-001": 4})
		require.NoError(t, err)
		require.Len(t, points, 1)
		require.Len(t, points["a/t.1/part-000"], len(marks))
	})
}

// TestClockSearchFindsALongMark: the marks of many journals are longer than what a search reads at once.
func TestClockSearchFindsALongMark(t *testing.T) {
	var log clock.Log
	var journal []byte
	start := time.Unix(1_700_000_000, 0).UTC()
	var heads []clock.Place
	for k := range 10_000 {
		heads = append(heads, clock.Place{Journal: fmt.Sprintf("a/table.1/part-%05d", k), Revision: 3, Offset: 1})
	}
	for i := range 3 {
		m, ok := log.Next(start.Add(time.Duration(i)*time.Second), heads[:len(heads)/(1+9*i)], nil, true)
		require.True(t, ok)
		line, err := m.AppendLine(nil)
		require.NoError(t, err)
		log.Read(line)
		journal = append(journal, line...)
		c := clockReader{open: func(_ context.Context, begin, end int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(journal[begin:end])), nil
		}}
		for before := range i + 1 {
			at := start.Add(time.Duration(before) * time.Second)
			full, err := c.fullBefore(t.Context(), 0, int64(len(journal)), at)
			require.NoError(t, err)
			require.Zero(t, full)
			cut, ok, err := c.cutAt(t.Context(), 0, int64(len(journal)), at)
			require.NoError(t, err)
			require.True(t, ok)
			require.Len(t, cut.Places, len(heads))
		}
	}
}

// TestShiftTime: intervals move times as they do in PostgreSQL.
func TestShiftTime(t *testing.T) {
	for _, c := range []struct {
		from string
		by   columnar.IntervalValue
		back bool
		to   string
	}{
		{"2026-03-31T10:00:00Z", columnar.IntervalValue{Months: 1}, true, "2026-02-28T10:00:00Z"},
		{"2024-01-31T10:00:00Z", columnar.IntervalValue{Months: 1, Days: 1}, false, "2024-03-01T10:00:00Z"},
		{"2026-01-15T00:00:00Z", columnar.IntervalValue{Days: 15, Micros: 1}, true, "2025-12-30T23:59:59.999999Z"},
		{"2026-12-31T23:59:59Z", columnar.IntervalValue{Micros: 1_500_000}, false, "2027-01-01T00:00:00.5Z"},
		{"2026-05-31T00:00:00Z", columnar.IntervalValue{Months: -3}, false, "2026-02-28T00:00:00Z"},
		{"2026-05-31T00:00:00Z", columnar.IntervalValue{Micros: 3_000_000 * 3600e6}, true, "1684-03-04T00:00:00Z"},
		{"2026-05-31T12:00:00Z", columnar.IntervalValue{Micros: -3_000_000*3600e6 - 1}, false, "1684-03-04T11:59:59.999999Z"},
	} {
		from, err := time.Parse(time.RFC3339Nano, c.from)
		require.NoError(t, err)
		require.Equal(t, c.to, shiftTime(from, c.by, c.back, style.UTC()).Format(time.RFC3339Nano))
	}
}
