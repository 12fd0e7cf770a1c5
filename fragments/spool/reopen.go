package spool

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// finishRoll completes a fragment whose successor exists.
func (j *Journal) finishRoll(s *scan) error {
	f := s.file
	s.running.Sum(f.sum[:0])
	if f.end == f.begin {
		f.sum = [20]byte{}
	}
	log, err := j.dir.fs.OpenReadWrite(f.log.name, category)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.log.name, err)
	}
	f.log.file = log
	r := record{
		kind: recordComplete, durable: true, opening: s.start.opening, end: f.end, promised: f.end,
		nanos: f.created, sum: f.sum,
	}
	if s.tail > s.end {
		r.kind = recordCut
	}
	err = clearFrom(log, s.position)
	if err == nil {
		err = f.log.append(&r)
	}
	if err == nil {
		err = f.log.sync()
	}
	if err = errors.Join(err, f.log.close()); err != nil {
		return fmt.Errorf("complete %s: %w", f.log.name, err)
	}
	return nil
}

// reopen makes the last fragment the open one, and begins the opening in its log. The
// torn tail is gone, and all that is kept is durable, before that.
func (j *Journal) reopen(s *scan) error {
	f, fs := s.file, j.dir.fs
	log, err := fs.OpenReadWrite(f.log.name, category)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.log.name, err)
	}
	f.log.file, f.log.position = log, s.position
	data, err := fs.OpenReadWrite(f.content.name, category)
	if err != nil {
		return errors.Join(fmt.Errorf("open %s: %w", f.content.name, err), f.log.close())
	}
	f.content.file = data
	f.content.limit.Store(f.begin)
	f.firstAppend = s.firstAppend
	j.open = f
	if s.end > f.begin {
		s.running.Sum(j.sum[:0])
	}
	if err := j.cutTail(s); err != nil {
		return err
	}
	if err := j.rewrite(s); err != nil {
		return err
	}
	if err := f.sync(); err != nil {
		return err
	}
	// The data file may be new, and a roll may have failed here.
	if err := syncDir(fs, j.path); err != nil {
		return err
	}
	r := j.newRecord(recordOpening)
	r.durable, r.start = true, j.start
	if err := f.log.append(&r); err != nil {
		return err
	}
	return f.log.sync()
}

// cutTail removes what isn't whole.
func (j *Journal) cutTail(s *scan) error {
	f := s.file
	info, err := f.content.file.Stat()
	if err != nil {
		return fmt.Errorf("stat %s: %w", f.content.name, err)
	}
	j.recovered.CutBytes = max(0, info.Size()-(s.end-f.begin)) + s.log.size - s.position
	if err := clearFrom(f.log.file, s.position); err != nil {
		return fmt.Errorf("cut %s: %w", f.log.name, err)
	}
	if err := clearFrom(f.content.file, s.end-f.begin); err != nil {
		return fmt.Errorf("cut %s: %w", f.content.name, err)
	}
	return nil
}

// rewrite writes again what no record proves to be durable. It was read from the
// operating system's memory, which may hold pages that the disk refused, and that
// aren't going to be written any more unless they change.
func (j *Journal) rewrite(s *scan) error {
	f := s.file
	from, err := unproven(f, s)
	if err != nil {
		return err
	}
	buf := j.dir.buffers.get(chunkSize)
	defer j.dir.buffers.put(buf)
	if err := rewriteRange(f.log.file, from, s.position, buf.b); err != nil {
		return fmt.Errorf("write %s again: %w", f.log.name, err)
	}
	if err := rewriteRange(f.content.file, s.promised-f.begin, s.end-f.begin, buf.b); err != nil {
		return fmt.Errorf("write %s again: %w", f.content.name, err)
	}
	return nil
}

// unproven is the position in the log from which on records may not be durable. A
// commit is if one after it tells so by what it promises; whatever is before the
// beginning or the end of an opening is.
func unproven(f *file, s *scan) (int64, error) {
	l := &logReader{r: f.log.file, name: f.log.name, salt: f.salt, size: s.position, position: f.size}
	from := f.size
	for l.position < l.size {
		r, length, err := l.decode()
		switch {
		case err != nil:
			return 0, err
		case length == 0:
			return 0, corrupt(l.name, l.position, "a record is gone that was there")
		case r.kind == recordCommit && r.end <= s.promised:
			from = l.position + length
		case r.kind == recordOpening || r.kind == recordClean:
			from = l.position
		}
		l.position += length
	}
	return from, nil
}

func rewriteRange(f vfs.File, from, to int64, buf []byte) error {
	for from < to {
		p := buf[:min(int64(len(buf)), to-from)]
		if n, err := f.ReadAt(p, from); n < len(p) {
			return err
		}
		if _, err := f.WriteAt(p, from); err != nil {
			return err
		}
		from += int64(len(p))
	}
	return nil
}
