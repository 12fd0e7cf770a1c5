package spool

import (
	"crypto/sha1"
	"encoding"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// chunkSize is how many bytes of a body are read and written at once.
const chunkSize = 128 << 10

// Commit is an append that is written. Wait for Durable before acknowledging it.
type Commit struct {
	// Begin and End offsets of the append; equal if it was empty.
	Begin, End int64
	// Sum is the SHA-1 of the append's bytes.
	Sum [20]byte

	journal *Journal
}

// Append writes size bytes of body at the journal's end, and sets registers unless
// they are nil; it then keeps them, so they mustn't be changed. It is all or nothing:
// after an error, of body or of a file, the journal is as before (or has failed, if
// not even that was possible: see Failed). A body that ends early is
// io.ErrUnexpectedEOF; more of it than size isn't read.
//
// An empty append writes nothing, and can't set registers.
func (j *Journal) Append(body io.Reader, size int64, registers *protocol.LabelSet) (*Commit, error) {
	if err := j.usable(); err != nil {
		return nil, err
	}
	// Only the appender changes these, and that is the caller.
	begin, open, old := j.end, j.open, j.registers
	if registers != nil && protocol.LabelSetsEqual(registers, old) {
		registers = nil
	}
	switch {
	case size < 0 || begin+size < begin:
		return nil, fmt.Errorf("append of %d bytes at offset %d: out of range", size, begin)
	case size == 0 && registers != nil:
		return nil, errors.New("append of 0 bytes can't change registers")
	case size == 0:
		return &Commit{Begin: begin, End: begin, Sum: sha1.Sum(nil), journal: j}, nil
	}
	c := &Commit{Begin: begin, End: begin + size, journal: j}
	crc, err := j.writeBody(open, body, c)
	if err == nil {
		err = j.commit(open, c, crc, registers)
	}
	if err != nil {
		return nil, j.failIf(errors.Join(err, j.rollBack(open, size)))
	}
	j.dir.metrics.commits.Inc()
	j.dir.metrics.commitBytes.Add(float64(size))
	return c, nil
}

// writeBody writes the body to the data file and sums it up.
func (j *Journal) writeBody(open *file, body io.Reader, c *Commit) (uint32, error) {
	var err error
	if j.saved, err = j.running.(encoding.BinaryAppender).AppendBinary(j.saved[:0]); err != nil {
		return 0, fmt.Errorf("save the sum of %s: %w", open.content.name, err)
	}
	j.single.Reset()
	buf := j.dir.buffers.get(min(c.End-c.Begin, chunkSize))
	defer j.dir.buffers.put(buf)
	var crc uint32
	for at := c.Begin; at < c.End; {
		p := buf.b[:min(int64(len(buf.b)), c.End-at)]
		if _, err := io.ReadFull(body, p); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, fmt.Errorf("read the append's body: %w", err)
		}
		// Summed up first, as a file may change what it is given to write.
		_, _ = j.running.Write(p)
		_, _ = j.single.Write(p)
		crc = crc32.Update(crc, castagnoli, p)
		if _, err := open.content.file.WriteAt(p, at-open.begin); err != nil {
			return 0, fmt.Errorf("write %s: %w", open.content.name, err)
		}
		at += int64(len(p))
	}
	j.single.Sum(c.Sum[:0])
	return crc, nil
}

// commit writes the record, by which the append counts.
func (j *Journal) commit(open *file, c *Commit, crc uint32, registers *protocol.LabelSet) error {
	r := j.newRecord(recordCommit)
	r.begin, r.end, r.dataCRC, r.registers = c.Begin, c.End, crc, registers
	r.durable = j.dir.mode == Synced
	if j.dir.mode == Replicated {
		r.watermark = c.End // To write is to acknowledge.
	}
	if err := open.log.append(&r); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if open.firstAppend.IsZero() {
		open.firstAppend = time.Unix(0, r.nanos)
	}
	if registers != nil {
		j.registers = registers
	}
	j.end = c.End
	j.running.Sum(j.sum[:0])
	if j.dir.mode == Replicated {
		j.advance(c.End)
	}
	return nil
}

// rollBack forgets an append that has no record.
func (j *Journal) rollBack(open *file, size int64) error {
	j.dir.metrics.rollbacks.Inc()
	j.dir.metrics.rollbackBytes.Add(float64(size))
	// What the data file has beyond the last record means nothing, and the next append
	// overwrites it: if it can't be cut that only takes room.
	_ = clearFrom(open.content.file, j.end-open.begin)
	if err := j.running.(encoding.BinaryUnmarshaler).UnmarshalBinary(j.saved); err != nil {
		return &FailedError{File: open.content.name, Err: fmt.Errorf("restore the sum: %w", err)}
	}
	return nil
}
