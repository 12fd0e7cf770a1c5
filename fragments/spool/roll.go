package spool

import (
	"crypto/rand"
	"crypto/sha1"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"broadsheet.dev/broadsheet/protocol"
)

// RollOptions are of the fragment that a Roll opens.
type RollOptions struct {
	// Codec in which it is to be stored.
	Codec protocol.CompressionCodec
	// Begin offset. It is State.End, or greater if offsets are to be skipped.
	Begin int64
}

// Roll completes the open fragment and opens the next. All of the former has to be
// acknowledged. When it returns nil that is durable, and the next one exists durably
// with the journal's registers. After an error the journal goes on with the open
// fragment as it was, or has failed. If the open fragment is empty, no completed one
// comes of it.
func (j *Journal) Roll(next RollOptions) error {
	defer j.takeSync()()
	if err := j.usable(); err != nil {
		return err
	}
	s := j.State()
	switch {
	case j.delta.size > 0:
		return fmt.Errorf("roll at offset %d: %d bytes aren't committed", s.End, j.delta.size)
	case s.Watermark < s.End:
		return fmt.Errorf("roll at offset %d: %w, but up to offset %d", s.End, ErrUnacknowledged, s.Watermark)
	case next.Begin < s.End:
		return fmt.Errorf("roll to offset %d, below the journal's end %d", next.Begin, s.End)
	}
	if err := next.Codec.Validate(); err != nil {
		return fmt.Errorf("roll at offset %d: %w", s.End, err)
	}
	if s.End == s.Begin && next.Begin == s.End && next.Codec == s.Codec {
		return nil
	}
	at := j.present()
	return j.failIf(j.succeed(at, j.nextHeader(at, next.Begin, next.Codec)))
}

// point is the open fragment as of a commit.
type point struct {
	end       int64
	sum       [20]byte
	registers *protocol.LabelSet
}

// present is the newest point.
func (j *Journal) present() point { return point{j.end, j.sum, j.registers} }

// nextHeader is of a fragment that goes on in the same epoch where the open one is to
// end, or at a greater offset.
func (j *Journal) nextHeader(at point, begin int64, codec protocol.CompressionCodec) header {
	h := header{
		id: j.id, begin: begin, previous: at.end, start: j.start, epoch: j.open.epoch, cut: at.end < j.end,
		codec: codec, registers: at.registers,
	}
	if begin == j.open.begin {
		h.previous, h.cut = j.open.previous, j.open.cut
	}
	return h
}

// succeed ends the open fragment at a point and opens the next, which becomes durable
// in one moment: when its log gets its name. Where it begins as the old one does, as
// nothing of that is kept, it takes its place. The caller is the syncer.
func (j *Journal) succeed(at point, next header) error {
	if next.begin == j.open.begin {
		return j.takePlace(next)
	}
	if err := j.syncOpen(); err != nil {
		return err
	}
	j.wakeWaiters()
	old := j.open
	opened, err := j.create(next)
	if err != nil {
		return err
	}
	// From here on the next fragment exists: whatever goes wrong, nothing may be
	// appended to the old one.
	if err := j.complete(old, at); err != nil {
		return errors.Join(asFailure(old.log.name, err), opened.log.close(), opened.content.close())
	}
	if at.end < j.end {
		// It is void whether it is there or not; it only takes room.
		_ = clearFrom(old.content.file, at.end-old.begin)
	}
	j.mu.Lock()
	old.end, old.sum, old.registers, old.lastOpening = at.end, at.sum, at.registers, j.start.opening
	old.voided = at.end < j.end
	old.content.limit.Store(at.end)
	j.completed = append(j.completed, old)
	j.switchTo(opened)
	j.mu.Unlock()
	j.dir.metrics.completed.Inc()
	if old.begin == old.end {
		return j.dropFile(old)
	}
	old.content.rest()
	return nil
}

// takePlace replaces the log of the open fragment, of which nothing is kept. The data
// file stays; what it has is void once the new log has its name, and removed after.
func (j *Journal) takePlace(next header) error {
	old := j.open
	opened, err := j.create(next)
	if err != nil {
		return err
	}
	err = old.log.close()
	if j.watermark > old.begin {
		// Only to discard comes here: those who read what it held are to stop.
		err = errors.Join(err, old.content.close())
	} else {
		// Readers may hold the content of the old one, which is the same file.
		err = errors.Join(err, opened.content.close())
		opened.content = old.content
	}
	if j.end > old.begin {
		// A torn write over old bytes could look like damage.
		err = errors.Join(err, clearFrom(opened.content.file, 0))
		err = errors.Join(err, syncData(opened.content.file, opened.content.name))
	}
	j.mu.Lock()
	old.end, old.voided = old.begin, true
	j.switchTo(opened)
	j.mu.Unlock()
	return asFailure(old.log.name, err)
}

// switchTo makes an empty file the open fragment. The caller holds j.mu.
func (j *Journal) switchTo(opened *file) {
	j.open, j.end, j.watermark = opened, opened.begin, opened.begin
	j.durable, j.synced = opened.begin, opened.begin
	j.sum, j.registers, j.start = [20]byte{}, opened.header.registers, opened.start
	j.running.Reset()
	j.notify()
}

// complete writes that a fragment ends at a point, up to which all is durable.
func (j *Journal) complete(f *file, at point) error {
	r := j.newRecord(recordComplete)
	if at.end < r.end {
		r.kind = recordCut
	}
	r.durable, r.end, r.promised, r.sum = true, at.end, at.end, at.sum
	if err := f.log.append(&r); err != nil {
		return err
	}
	if err := f.log.sync(); err != nil {
		return err
	}
	return f.log.close()
}

// asFailure makes err a *FailedError, if it is none.
func asFailure(name string, err error) error {
	if failure := new(FailedError); err == nil || errors.As(err, &failure) {
		return err
	}
	return &FailedError{File: name, Err: err}
}

// create makes the files of an empty fragment, durably. The log has its header
// when it gets its name, so a log without a whole header is damaged, never torn.
// An error before that leaves nothing but debris; after it, it is a *FailedError.
func (j *Journal) create(h header) (*file, error) {
	fs, d := j.dir.fs, j.dir
	h.disk, h.created = d.disk, time.Now().UnixNano()
	_, _ = rand.Read(h.salt[:]) // It never fails.
	head, err := h.encode()
	if err != nil {
		return nil, err
	}
	f := &file{header: h, content: newContent(fs, fs.PathJoin(j.path, dataName(h.begin)), h.begin)}
	f.content.limit.Store(h.begin)
	f.log = &logFile{name: fs.PathJoin(j.path, logName(h.begin)), salt: h.salt, position: h.size}
	if err := f.makeFiles(fs, head); err != nil {
		return nil, errors.Join(err, f.abandon(fs, j.open == nil || j.open.begin != h.begin))
	}
	err = fs.Rename(f.log.name+newSuffix, f.log.name)
	if err == nil {
		err = syncDir(fs, j.path)
	}
	if err != nil {
		return nil, &FailedError{File: f.log.name, Err: errors.Join(err, f.log.close(), f.content.close())}
	}
	return f, nil
}

// makeFiles creates the data file, and the log under its provisional name.
func (f *file) makeFiles(fs vfs.FS, head []byte) error {
	data, err := fs.OpenReadWrite(f.content.name, category)
	if err != nil {
		return fmt.Errorf("create %s: %w", f.content.name, err)
	}
	f.content.file = data
	if err := data.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", f.content.name, err)
	}
	// Not Create, whose files aren't to be written at a position on every file system.
	log, err := fs.OpenReadWrite(f.log.name+newSuffix, category)
	if err != nil {
		return fmt.Errorf("create %s: %w", f.log.name, err)
	}
	f.log.file = log
	if err := clearFrom(log, 0); err != nil {
		return fmt.Errorf("clear %s: %w", f.log.name, err)
	}
	if _, err := log.WriteAt(head, 0); err != nil {
		return fmt.Errorf("write %s: %w", f.log.name, err)
	}
	if err := log.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", f.log.name, err)
	}
	return nil
}

// abandon removes what makeFiles made; the data file only if it is new. What it can't
// remove is removed when the journal is next opened.
func (f *file) abandon(fs vfs.FS, isNew bool) error {
	var err error
	if f.log.file != nil {
		err = errors.Join(f.log.close(), fs.Remove(f.log.name+newSuffix))
	}
	if f.content.file != nil {
		err = errors.Join(err, f.content.close())
		if isNew {
			err = errors.Join(err, fs.Remove(f.content.name))
		}
	}
	return err
}

// newContent is the content of a data file that is opened when it is first read.
func newContent(fs vfs.FS, name string, begin int64) *content {
	return &content{fs: fs, name: name, begin: begin}
}

// newJournal is a journal without files yet.
func newJournal(d *Dir, id ID) *Journal {
	return &Journal{
		dir: d, id: id, path: d.fs.PathJoin(d.path, dirName(id)),
		running: sha1.New(),
	}
}
