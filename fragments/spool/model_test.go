package spool_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

const spoolDir = "/spools"

// testID is the journal of most tests.
func testID() spool.ID { return spool.ID{Journal: "acct/orders.1/part-000", CreateRevision: 42} }

// config of a Dir after the n-th boot of the machine.
func config(fs vfs.FS, mode spool.Mode, boot int) spool.Config {
	return spool.Config{FS: fs, Dir: spoolDir, Mode: mode, BootID: fmt.Sprintf("%032x", boot+1)}
}

func openJournal(fs vfs.FS, mode spool.Mode, boot int) (*spool.Journal, error) {
	d, err := spool.Open(context.Background(), config(fs, mode, boot))
	if err != nil {
		return nil, err
	}
	return d.Journal(context.Background(), testID(), spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
}

// write b as one commit. After an error there is nothing of it.
func write(j *spool.Journal, b []byte, registers *protocol.LabelSet) (*spool.Commit, error) {
	err := j.Write(b)
	if err == nil {
		var c *spool.Commit
		if c, err = j.Commit(registers); err == nil {
			return c, nil
		}
	}
	if undo := j.Rollback(); undo != nil && !errors.Is(err, undo) {
		err = errors.Join(err, undo)
	}
	return nil, err
}

// point is a state that the journal may have: after one append, or a skip.
type point struct {
	end       int64
	registers *protocol.LabelSet
}

// model is what a test did to a journal, and what it may expect to find.
type model struct {
	stream   []byte  // All bytes ever written or tried, by offset; skipped ones are zero.
	points   []point // In order, the first is the beginning. The last may not have happened.
	promised int64   // All below was durable, as the mode has it.
	fixed    int64   // All below was fsynced, whatever the mode.
	epoch    int64   // Cluster epoch.
	opening  int64   // Greatest number that was given out.
	dropping []fragments.Fragment

	begin int64  // Of the open fragment right after a cut.
	after *model // What the journal becomes by the cut that is under way.
}

func newModel() *model { return &model{points: []point{{registers: new(protocol.LabelSet)}}} }

func (m *model) last() point { return m.points[len(m.points)-1] }

// expect an append; it has been tried from here on.
func (m *model) expect(b []byte, registers *protocol.LabelSet) {
	if registers == nil {
		registers = m.last().registers
	}
	m.stream = append(m.stream[:m.last().end:m.last().end], b...)
	m.points = append(m.points, point{int64(len(m.stream)), registers})
}

// expectSkip to an offset.
func (m *model) expectSkip(to int64) {
	if end := m.last().end; to > end {
		m.stream = append(m.stream[:end:end], make([]byte, to-end)...)
		m.points = append(m.points, point{to, m.last().registers})
	}
}

// forget the last point: it was refused.
func (m *model) forget() {
	m.points = m.points[:len(m.points)-1]
	m.stream = m.stream[:m.last().end]
}

// cutAt is the model after a cut to keep, with the next fragment at start.
func (m *model) cutAt(keep, start int64) *model {
	c := m.clone()
	for c.last().end > keep {
		c.forget()
	}
	c.expectSkip(start)
	c.begin, c.promised, c.fixed = start, start, start
	return c
}

// resolved is the model that a recovered journal follows: there may have been a cut,
// which happened or didn't.
func (m *model) resolved(s spool.State) *model {
	if a := m.after; a != nil && s.Begin == a.begin && a.checkState(s) == nil {
		return a
	}
	c := m.clone()
	c.after = nil
	return c
}

// settle takes over what a recovered journal has, of what may have happened.
func (m *model) settle(s spool.State) {
	for m.last().end > s.End {
		m.forget()
	}
	m.promised, m.fixed, m.opening = s.End, s.End, s.Opening
}

// check what an opened journal has: a state that it may be in, and every byte that
// was promised and not dropped. It acknowledges all, to read it. It returns a description of the difference.
func (m *model) check(j *spool.Journal) error {
	s := j.State()
	if err := m.checkState(s); err != nil {
		return err
	}
	next := int64(-1)
	for _, c := range j.Completed() {
		if next >= 0 && c.Begin < next {
			return fmt.Errorf("completed [%d, %d) overlaps the one before", c.Begin, c.End)
		}
		if err := m.checkContent(c.Content, c.Begin, c.End); err != nil {
			return err
		}
		if c.Sum != sha1.Sum(m.stream[c.Begin:c.End]) {
			return fmt.Errorf("completed [%d, %d) has another sum", c.Begin, c.End)
		}
		next = c.End
	}
	if err := j.Acknowledge(s.End); err != nil {
		return err
	}
	s = j.State()
	open := j.Open()
	if open.Begin != s.Begin || open.End != s.Watermark {
		return fmt.Errorf("open is [%d, %d), state [%d, %d)", open.Begin, open.End, s.Begin, s.Watermark)
	}
	if err := m.checkContent(open.Local, open.Begin, open.End); err != nil {
		return err
	}
	if s.End > s.Begin && s.Sum != sha1.Sum(m.stream[s.Begin:s.End]) || s.End == s.Begin && s.Sum != [20]byte{} {
		return errors.New("open fragment has another sum")
	}
	return m.checkCovered(j)
}

// checkState of a journal that was just opened.
func (m *model) checkState(s spool.State) error {
	i := slices.IndexFunc(m.points, func(p point) bool { return p.end == s.End })
	switch {
	case i < 0:
		return fmt.Errorf("end %d is inside an append", s.End)
	case s.End < m.promised:
		return fmt.Errorf("end %d is below the promised %d", s.End, m.promised)
	case s.Watermark != s.Begin || s.Durable != s.End:
		return fmt.Errorf("watermark %d of [%d, %d), durable up to %d", s.Watermark, s.Begin, s.End, s.Durable)
	case !protocol.LabelSetsEqual(s.Registers, m.points[i].registers):
		return fmt.Errorf("registers %v at %d, not %v", s.Registers, s.End, m.points[i].registers)
	case s.Epoch != m.epoch:
		return fmt.Errorf("cluster epoch %d, not %d", s.Epoch, m.epoch)
	case s.Opening <= m.opening:
		return fmt.Errorf("opening %d after %d", s.Opening, m.opening)
	}
	return nil
}

func (m *model) checkContent(c fragments.Content, begin, end int64) error {
	got := make([]byte, end-begin)
	if n, err := c.ReadAt(got, begin); n < len(got) || err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read [%d, %d): %d bytes, %w", begin, end, n, err)
	}
	if !bytes.Equal(got, m.stream[begin:end]) {
		return fmt.Errorf("[%d, %d) has other bytes", begin, end)
	}
	return nil
}

// checkCovered that every byte of each append up to the end is somewhere, unless a
// drop of it was begun.
func (m *model) checkCovered(j *spool.Journal) error {
	s := j.State()
	have := append([]fragments.Fragment{j.Open().Fragment}, m.dropping...)
	for _, c := range j.Completed() {
		have = append(have, c.Fragment)
	}
	for i, p := range m.points {
		if i == 0 || p.end > s.End || bytes.Count(m.stream[m.points[i-1].end:p.end], []byte{0}) == int(p.end-m.points[i-1].end) {
			continue // Not there yet, or skipped.
		}
		begin := m.points[i-1].end
		if !slices.ContainsFunc(have, func(f fragments.Fragment) bool { return f.Begin <= begin && p.end <= f.End }) {
			return fmt.Errorf("nothing holds [%d, %d)", begin, p.end)
		}
	}
	return nil
}
