package sqlgw

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"broadsheet.dev/broadsheet/sqlgw/clock"
)

// clockReader reads ranges of the clock journal.
type clockReader struct {
	open func(ctx context.Context, begin, end int64) (io.ReadCloser, error)
}

// errEnough ends a reading.
var errEnough = errors.New("that is enough")

// lines hands over each whole line of [begin, end) with its offset, until one of them is enough. With inside, begin
// may be within a line, which is left out. Lines are valid until the next one.
func (c clockReader) lines(ctx context.Context, begin, end int64, inside bool, each func(offset int64, line []byte) error) error {
	if begin >= end {
		return nil
	}
	r, err := c.open(ctx, begin, end)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	in := bufio.NewReaderSize(r, 64<<10)
	for at := begin; at < end; {
		line, err := in.ReadBytes('\n')
		if err != nil && (!errors.Is(err, io.EOF) || at+int64(len(line)) < end) {
			return fmt.Errorf("journal %s at %d: %w", clockJournal, at+int64(len(line)), err)
		}
		if err == nil && !inside {
			if err := each(at, line); errors.Is(err, errEnough) {
				return nil
			} else if err != nil {
				return err
			}
		}
		inside = false
		at += int64(len(line))
	}
	return nil
}

// searchWindow is about how much of the journal is read at once by a search.
const searchWindow = 64 << 10

// fullBefore finds the last full mark in [begin, end) whose time is t or earlier: its offset, or -1.
func (c clockReader) fullBefore(ctx context.Context, begin, end int64, t time.Time) (int64, error) {
	low, high := begin, end
	for high-low > 2*searchWindow {
		middle := low + (high-low)/2
		at, err := c.firstMark(ctx, middle, high)
		if err != nil {
			return 0, err
		}
		if at.offset < 0 || at.time.After(t) {
			high = middle
		} else {
			low = at.offset
		}
	}
	// The last line that begins before high may be of any length; behind it is a mark that is later.
	for step := int64(searchWindow); ; step *= 2 {
		found := int64(-1)
		err := c.lines(ctx, low, end, low > begin, func(offset int64, line []byte) error {
			m, err := clock.ParseMark(line)
			if err == nil && m.Time.After(t) {
				return errEnough
			}
			if err == nil && m.Full {
				found = offset
			}
			return nil
		})
		if err != nil || found >= 0 || low == begin {
			return found, err
		}
		low = max(begin, low-step)
	}
}

// foundMark is where a mark is, and its time; a negative offset is none.
type foundMark struct {
	offset int64
	time   time.Time
}

// firstMark finds the first mark that begins in [begin, end), begin being anywhere in a line.
func (c clockReader) firstMark(ctx context.Context, begin, end int64) (foundMark, error) {
	found := foundMark{offset: -1}
	err := c.lines(ctx, begin, end, true, func(offset int64, line []byte) error {
		m, err := clock.ParseMark(line)
		if err != nil {
			return nil //nolint:nilerr // what isn't a mark is passed over
		}
		found = foundMark{offset, m.Time}
		return errEnough
	})
	return found, err
}

// cutAt is the cut of the last mark of [begin, end) at or before t; false if there is none.
func (c clockReader) cutAt(ctx context.Context, begin, end int64, t time.Time) (clock.Cut, bool, error) {
	full, err := c.fullBefore(ctx, begin, end, t)
	if err != nil || full < 0 {
		return clock.Cut{}, false, err
	}
	log := clock.NewLog(full)
	err = c.lines(ctx, full, end, false, func(_ int64, line []byte) error {
		if m, err := clock.ParseMark(line); err == nil && m.Time.After(t) {
			return errEnough
		}
		log.Read(line)
		return nil
	})
	return log.Cut(), log.Begun(), err
}

// earliest is the time of the first full mark of [begin, end).
func (c clockReader) earliest(ctx context.Context, begin, end int64) (time.Time, error) {
	var out time.Time
	err := c.lines(ctx, begin, end, false, func(_ int64, line []byte) error {
		m, err := clock.ParseMark(line)
		if err != nil || !m.Full {
			return nil //nolint:nilerr // what isn't a mark is passed over
		}
		out = m.Time
		return errEnough
	})
	return out, err
}

// maxPoints bounds the marks that are held for one statement: 24 bytes each.
const maxPoints = 4 << 20

// points are the marks of journals in [begin, end), each of the revision that is given.
func (c clockReader) points(ctx context.Context, begin, end int64, revisions map[string]int64) (map[string][]clock.Point, error) {
	out := make(map[string][]clock.Point, len(revisions))
	log, n := clock.NewLog(begin), 0
	err := c.lines(ctx, begin, end, false, func(_ int64, line []byte) error {
		m, ok := log.Read(line)
		if !ok {
			return nil
		}
		for _, p := range m.Places {
			if revisions[p.Journal] == p.Revision {
				out[p.Journal] = append(out[p.Journal], clock.Point{Offset: p.Offset, Time: m.Time})
				n++
			}
		}
		if n > maxPoints {
			return sqlError("54000", "%s of journals with more than %d marks", metaTimestamp, maxPoints)
		}
		return nil
	})
	return out, err
}

// firstAfter tells whether there is a mark later than t.
func (c clockReader) firstAfter(ctx context.Context, begin, end int64, t time.Time) (bool, error) {
	full, err := c.fullBefore(ctx, begin, end, t)
	if err != nil {
		return false, err
	}
	found := false
	err = c.lines(ctx, max(full, begin), end, false, func(_ int64, line []byte) error {
		if m, err := clock.ParseMark(line); err == nil && m.Time.After(t) {
			found = true
			return errEnough
		}
		return nil
	})
	return found, err
}
