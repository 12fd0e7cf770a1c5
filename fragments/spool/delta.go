package spool

import (
	"encoding"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// chunkSize is how many bytes are read and written at once.
const chunkSize = 128 << 10

// delta is what was written since the last commit. It doesn't count yet.
type delta struct {
	size    int64
	crc     uint32
	saved   []byte  // State of the running sum before the delta.
	buf     *buffer // Holds the newest bytes; nil if there are none.
	held    int     // Bytes in buf.
	flushed int64   // Bytes before those, which are in the data file.
	// broken is why the delta can only be rolled back.
	broken error

	sum   [20]byte // Of the open fragment with the delta,
	known bool     // if this is set.
}

// Commit is a group of appends that is written. Wait for Durable before telling
// another replica, or a client, that it is.
type Commit struct {
	// Begin and End offsets of the group; equal if it was empty.
	Begin, End int64

	journal *Journal
	file    *file
}

// Write adds p to the delta: what is written since the last Commit, and doesn't count
// before the next. After an error it can only be rolled back.
func (j *Journal) Write(p []byte) error {
	if err := j.usable(); err != nil {
		return err
	}
	// Only the appender changes these, and that is the caller.
	d, open := &j.delta, j.open
	if d.broken != nil {
		return d.broken
	}
	if at := j.end + d.size; at+int64(len(p)) < at {
		return fmt.Errorf("write of %d bytes at offset %d: out of range", len(p), at)
	}
	if d.size == 0 {
		var err error
		if d.saved, err = j.running.(encoding.BinaryAppender).AppendBinary(d.saved[:0]); err != nil {
			return fmt.Errorf("save the sum of %s: %w", open.content.name, err)
		}
	}
	for len(p) > 0 {
		d.makeRoom(&j.dir.buffers, len(p))
		added := d.buf.b[d.held:]
		added = added[:copy(added, p)]
		// Summed up first, as a file may change what it is given to write.
		_, _ = j.running.Write(added)
		d.crc = crc32.Update(d.crc, castagnoli, added)
		d.size, d.held, d.known = d.size+int64(len(added)), d.held+len(added), false
		p = p[len(added):]
		if d.held == chunkSize {
			if err := j.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeRoom for as many of want bytes as a buffer may hold. There is always room for one.
func (d *delta) makeRoom(pool *buffers, want int) {
	switch {
	case d.buf == nil:
		d.buf = pool.get(min(int64(want), chunkSize))
	case d.held+want > len(d.buf.b) && len(d.buf.b) < chunkSize:
		large := pool.get(chunkSize)
		copy(large.b, d.buf.b[:d.held])
		pool.put(d.buf)
		d.buf = large
	}
}

// reset forgets the delta.
func (d *delta) reset(pool *buffers) {
	if d.buf != nil {
		pool.put(d.buf)
	}
	*d = delta{saved: d.saved[:0]}
}

// flush writes what the buffer holds to the data file.
func (j *Journal) flush() error {
	d, open := &j.delta, j.open
	if d.held == 0 {
		return nil
	}
	if _, err := open.content.file.WriteAt(d.buf.b[:d.held], j.end-open.begin+d.flushed); err != nil {
		d.broken = fmt.Errorf("write %s: %w", open.content.name, err)
		return d.broken
	}
	d.flushed += int64(d.held)
	d.held = 0
	return nil
}

// Delta is how many bytes were written since the last Commit.
func (j *Journal) Delta() int64 { return j.delta.size }

// Next returns the end of the open fragment and its SHA-1 as they are once the delta
// is committed. The sum of an empty fragment is zero.
func (j *Journal) Next() (int64, [20]byte) {
	d := &j.delta
	if d.size == 0 {
		return j.end, j.sum
	}
	if !d.known {
		j.running.Sum(d.sum[:0])
		d.known = true
	}
	return j.end + d.size, d.sum
}

// Commit makes the delta count, as a whole, and sets registers unless they are nil;
// it then keeps them, so they mustn't be changed. After an error the delta is as
// before, and to be rolled back; or the journal has failed: see Failed.
//
// To commit an empty delta writes nothing, and can't set registers.
func (j *Journal) Commit(registers *protocol.LabelSet) (*Commit, error) {
	if err := j.usable(); err != nil {
		return nil, err
	}
	d, open := &j.delta, j.open
	if registers != nil && protocol.LabelSetsEqual(registers, j.registers) {
		registers = nil
	}
	c := &Commit{Begin: j.end, End: j.end + d.size, journal: j, file: open}
	switch {
	case d.broken != nil:
		return nil, d.broken
	case d.size == 0 && registers != nil:
		return nil, errors.New("append of 0 bytes can't change registers")
	case d.size == 0:
		return c, nil
	}
	if err := j.flush(); err != nil {
		return nil, err
	}
	if err := j.commit(open, c, registers); err != nil {
		return nil, j.failIf(err)
	}
	d.reset(&j.dir.buffers)
	j.dir.metrics.commits.Inc()
	j.dir.metrics.commitBytes.Add(float64(c.End - c.Begin))
	return c, nil
}

// commit writes the record, by which the delta counts.
func (j *Journal) commit(open *file, c *Commit, registers *protocol.LabelSet) error {
	_, sum := j.Next()
	r := j.newRecord(recordCommit)
	r.begin, r.end, r.dataCRC, r.registers = c.Begin, c.End, j.delta.crc, registers
	r.durable = j.dir.mode == Synced
	if j.dir.mode == Replicated {
		r.promised = c.End // To write is to promise.
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
	j.end, j.sum = c.End, sum
	if j.dir.mode == Replicated {
		j.durable = c.End
	}
	return nil
}

// Rollback forgets the delta.
func (j *Journal) Rollback() error {
	if err := j.usable(); err != nil {
		return err
	}
	return j.failIf(j.rollBack())
}

// rollBack forgets the delta, if there is one.
func (j *Journal) rollBack() error {
	d, open := &j.delta, j.open
	if d.size == 0 {
		return nil
	}
	j.dir.metrics.rollbacks.Inc()
	j.dir.metrics.rollbackBytes.Add(float64(d.size))
	if d.flushed > 0 || d.broken != nil {
		// What the data file has beyond the last record means nothing, and the next write
		// goes over it: if it can't be cut that only takes room.
		_ = clearFrom(open.content.file, j.end-open.begin)
	}
	err := j.running.(encoding.BinaryUnmarshaler).UnmarshalBinary(d.saved)
	d.reset(&j.dir.buffers)
	if err != nil {
		return &FailedError{File: open.content.name, Err: fmt.Errorf("restore the sum: %w", err)}
	}
	return nil
}
