package spool

import (
	"context"
	"crypto/sha1"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"broadsheet.dev/broadsheet/protocol"
)

// scan is what the files of one fragment hold, found without changing them.
type scan struct {
	file *file
	// cut is where the next fragment says that this one was cut: what commits have from
	// there on is void, and not looked at. -1 if it wasn't.
	cut  int64
	log  *logReader
	data vfs.File // Nil if there is none.

	running     hash.Hash // SHA-1 of [begin, end).
	saved       []byte    // State of running at some commit.
	end         int64     // End of what is whole, and not void.
	tail        int64     // End of the last commit, which may be void.
	promised    int64     // Greatest that a whole record tells.
	registers   *protocol.LabelSet
	firstAppend time.Time
	start       openingStart // Of the last opening.
	clean       bool         // The last whole record says that all was closed.
	complete    bool
	dropped     bool
	sum         [20]byte // Of a complete fragment.
	position    int64    // End of the last whole record before that of being dropped.

	bad *badness // Why the scan ended before the end of the log; nil if it didn't.
	// Greatest promises found beyond the bad place: fsynced ones, and others.
	durable, written int64
	repaired         bool // The bad place is a record with one bit flipped.
	flipped          bool // A commit is bad that was whole once.
}

// badness is the first thing in a spool's files that isn't whole.
type badness struct {
	file     string
	position int64
	reason   string
}

// scanFile reads the records of a log, and verifies the data that they speak of. An
// error is the file system's, or damage that no crash can have left. What matters of
// the next fragment is where it says that this one ends; it is nil for the open one.
func (j *Journal) scanFile(ctx context.Context, f *file, next *header) (*scan, error) {
	log, err := j.dir.fs.Open(f.log.name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.log.name, err)
	}
	defer log.Close() //nolint:errcheck // it was only read
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", f.log.name, err)
	}
	s := &scan{
		file: f, running: sha1.New(), cut: -1, end: f.begin, tail: f.begin, promised: f.begin, registers: f.header.registers,
		start: f.start, position: f.size,
		log: &logReader{r: log, name: f.log.name, salt: f.salt, size: info.Size(), position: f.size},
	}
	if next != nil {
		if next.cut {
			s.cut = next.previous
		}
		if err := s.findDropped(); err != nil || s.dropped {
			return s, err
		}
	}
	s.data, err = j.dir.fs.Open(f.content.name)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w", f.content.name, err)
	}
	if s.data != nil {
		defer s.data.Close() //nolint:errcheck // it was only read
	}
	buf := j.dir.buffers.get(chunkSize)
	defer j.dir.buffers.put(buf)
	if err := s.readRecords(ctx, buf.b); err != nil {
		return nil, err
	}
	s.log.r = nil
	return s, nil
}

// findDropped looks for the record that the fragment was dropped. If there is one,
// nothing else in the log matters, and the data may be gone.
func (s *scan) findDropped() error {
	l := *s.log
	for {
		r, found, err := l.find()
		if err != nil || !found {
			return err
		}
		if r.kind == recordDropped {
			s.dropped, s.complete, s.end, s.promised, s.position = true, true, r.end, r.end, l.position-recordHead
			s.start.opening = r.opening
			return nil
		}
	}
}

// readRecords reads up to the first that isn't whole, and then on for proof of what
// was promised.
func (s *scan) readRecords(ctx context.Context, buf []byte) error {
	for s.bad == nil && s.position < s.log.size {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		r, length, err := s.log.decode()
		if err != nil {
			return err
		}
		if length == 0 {
			s.bad = &badness{s.log.name, s.position, "there is no whole record"}
			break
		}
		if reason := s.contradiction(&r); reason != "" {
			return corrupt(s.log.name, s.position, "%s record: %s", r.kind, reason)
		}
		if err := s.apply(&r, buf); err != nil {
			return err
		}
		if s.bad == nil {
			s.position += length
			s.log.position = s.position
		}
	}
	return s.findProof()
}

// contradiction says why a whole record can't follow those before, if so.
func (s *scan) contradiction(r *record) string {
	switch {
	case s.complete:
		return "the fragment is complete"
	case r.kind == recordOpening && r.opening <= s.start.opening, r.kind != recordOpening && r.opening != s.start.opening:
		return fmt.Sprintf("opening %d after %d", r.opening, s.start.opening)
	case r.kind == recordCommit && (r.begin != s.tail || r.end <= r.begin):
		return fmt.Sprintf("range [%d, %d) at offset %d", r.begin, r.end, s.tail)
	case r.kind == recordCut && (r.end != s.cut || r.end != s.end), r.kind == recordComplete && s.tail != s.end:
		return fmt.Sprintf("end %d, and the next fragment says %d", r.end, s.cut)
	case r.kind == recordMark && r.end > s.tail, r.kind.tellsEnd() && r.end != s.tail:
		return fmt.Sprintf("end %d at offset %d", r.end, s.tail)
	case r.promised > r.end:
		return fmt.Sprintf("promised up to %d, above its end %d", r.promised, r.end)
	case r.kind == recordDropped:
		return "the fragment isn't complete"
	default:
		return ""
	}
}

// tellsEnd tells whether a record's end is that of the last commit before it.
func (t recordType) tellsEnd() bool {
	return t != recordCommit && t != recordMark && t != recordCut
}

// apply takes a record in, or sets s.bad if its data isn't whole.
func (s *scan) apply(r *record, buf []byte) error {
	switch r.kind {
	case recordCommit:
		if s.cut >= 0 && r.end > s.cut {
			s.tail = r.end
			break
		}
		if err := s.verify(r, buf); err != nil || s.bad != nil {
			return err
		}
		s.end, s.tail = r.end, r.end
		if s.firstAppend.IsZero() {
			s.firstAppend = time.Unix(0, r.nanos)
		}
		if r.registers != nil {
			s.registers = r.registers
		}
		if s.file.version == 1 {
			s.start.suspect = false // Whoever appended knew of it. Now Align tells.
		}
	case recordOpening:
		s.start = r.start
	case recordComplete, recordCut:
		s.running.Sum(s.sum[:0])
		if s.sum != r.sum && s.end > s.file.begin {
			return corrupt(s.file.content.name, 0, "it doesn't have the SHA-1 sum in its log")
		}
		s.sum, s.complete = r.sum, true
	case recordMark, recordClean, recordDropped:
	}
	s.clean = r.kind == recordClean
	s.promised = max(s.promised, r.promised)
	return nil
}

// verify reads the data of a commit and sums it up.
func (s *scan) verify(r *record, buf []byte) error {
	bad := func(reason string) error {
		s.bad = &badness{s.file.content.name, r.begin - s.file.begin, reason}
		return nil
	}
	if s.data == nil {
		return bad("there is no such file")
	}
	var err error
	if s.saved, err = s.running.(encoding.BinaryAppender).AppendBinary(s.saved[:0]); err != nil {
		return fmt.Errorf("save the sum of %s: %w", s.file.content.name, err)
	}
	var crc uint32
	for at := r.begin; at < r.end; {
		p := buf[:min(int64(len(buf)), r.end-at)]
		n, err := s.data.ReadAt(p, at-s.file.begin)
		if n < len(p) {
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read %s: %w", s.file.content.name, err)
			}
			_ = bad("the file ends too early")
			break
		}
		crc = crc32.Update(crc, castagnoli, p)
		_, _ = s.running.Write(p)
		at += int64(n)
	}
	if s.bad == nil && crc != r.dataCRC {
		_ = bad(fmt.Sprintf("bytes [%d, %d) don't have the checksum in the log", r.begin-s.file.begin, r.end-s.file.begin))
		s.flipped = s.dataFlipped(r, crc)
	}
	if s.bad == nil {
		return nil
	}
	return s.running.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.saved)
}

// dataFlipped tells whether data with the checksum crc differs in one bit from what
// was written. A zero byte that had one bit isn't counted: it may be what the file
// system shows of a byte that never came to the disk.
func (s *scan) dataFlipped(r *record, crc uint32) bool {
	at := flippedBit(r.end-r.begin, crc, r.dataCRC)
	if at < 0 {
		return false
	}
	b := make([]byte, 1)
	_, err := s.data.ReadAt(b, r.end-1-at/8-s.file.begin)
	return err == nil && b[0] != 0
}

// findProof looks beyond the bad place for whole records which tell what was
// promised. The first may be the one whose data is bad.
func (s *scan) findProof() error {
	s.durable, s.written = s.promised, s.promised
	if s.bad == nil {
		return nil
	}
	if err := s.repairRecord(); err != nil {
		return err
	}
	for {
		r, found, err := s.log.find()
		if err != nil || !found {
			return err
		}
		s.prove(&r)
	}
}

// repairRecord takes a record that isn't whole for proof if it lacks one bit only.
func (s *scan) repairRecord() error {
	if s.bad.file != s.log.name {
		return nil
	}
	b, err := s.log.peek(maxRecord)
	if err != nil {
		return err
	}
	r, ok := repair(s.log.salt, s.position, b)
	if !ok {
		return nil
	}
	s.repaired = true // Whole once, so what follows it isn't the rest of a torn write.
	s.prove(&r)
	return nil
}

// prove takes in what a record beyond the bad place tells.
func (s *scan) prove(r *record) {
	if r.durable {
		s.durable = max(s.durable, r.promised)
	} else {
		s.written = max(s.written, r.promised)
	}
	switch {
	case r.kind == recordCommit && s.repaired:
		s.flipped = true
	case r.opening <= s.start.opening:
	case r.kind == recordOpening:
		s.start = r.start // Though it is cut, its number isn't given twice.
	default:
		// The record of its opening was durable before it, and is gone.
		s.flipped = true
	}
}

// lost is damage if bytes beyond the whole ones are known to have been promised.
func (s *scan) lost(promised int64) error {
	if promised <= s.end && !s.flipped {
		return nil
	}
	b := s.bad
	if b == nil {
		b = &badness{s.log.name, s.position, "it ends too early"}
	}
	e := &CorruptError{File: b.file, Position: b.position, Kept: s.end, Promised: promised, Reason: b.reason}
	if promised <= s.end {
		e.Promised = -1
		e.Reason += ", and that isn't a torn write"
	}
	return e
}
