package spool

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"time"

	"broadsheet.dev/broadsheet/fragments"
)

// Drop removes a completed fragment, which a store holds now. Those who hold its
// Content keep reading. After an error it may be called again. To drop what was
// dropped already is no error.
func (j *Journal) Drop(f fragments.Fragment) error {
	j.dropping.Lock()
	defer j.dropping.Unlock()
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	var found *file
	for _, c := range j.completed {
		if c.begin == f.Begin && c.end == f.End {
			found = c
		}
	}
	gone := found == nil && (len(j.completed) == 0 || f.End <= j.completed[0].begin) && f.End <= j.open.begin
	j.mu.Unlock()
	switch {
	case gone:
		return nil
	case found == nil:
		return fmt.Errorf("drop [%d, %d): no completed fragment", f.Begin, f.End)
	}
	if err := j.markDropped(found); err != nil {
		return fmt.Errorf("drop [%d, %d): %w", f.Begin, f.End, err)
	}
	if err := j.removeDropped(found); err != nil {
		return fmt.Errorf("drop [%d, %d): %w", f.Begin, f.End, err)
	}
	return nil
}

// dropFile is Drop for a completed file that is empty.
func (j *Journal) dropFile(f *file) error { return j.Drop(f.fragment()) }

// markDropped writes durably that the fragment isn't needed any more. Without that
// the lack of its data would be taken for damage.
func (j *Journal) markDropped(f *file) error {
	if f.dropped {
		return nil
	}
	file, err := j.dir.fs.OpenReadWrite(f.log.name, category)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.log.name, err)
	}
	position := f.log.position
	f.log.file = file
	r := record{
		kind: recordDropped, durable: true, opening: f.lastOpening, end: f.end, promised: f.end, nanos: time.Now().UnixNano(),
	}
	if err = f.log.append(&r); err == nil {
		err = f.log.sync()
	}
	if err != nil {
		f.log.position = position // Written once more, if Drop is tried again.
	}
	if err = errors.Join(err, f.log.close()); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	f.dropped = true
	return nil
}

// removeDropped removes the data of a dropped fragment, and the logs of all those
// that none before still needs. So the logs on disk always are a chain without
// gaps: one that is missing is damage.
func (j *Journal) removeDropped(f *file) error {
	prefix := j.droppedPrefix()
	if !slices.Contains(prefix, f) {
		return j.removeData(f)
	}
	// No log goes before its data, as data without a log is damage too. A crash may
	// have brought back what was removed before.
	for _, p := range prefix {
		if err := j.removeData(p); err != nil {
			return err
		}
	}
	if err := syncDir(j.dir.fs, j.path); err != nil {
		return err
	}
	for _, p := range prefix {
		if err := j.dir.fs.Remove(p.log.name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", p.log.name, err)
		}
		j.mu.Lock()
		j.completed = j.completed[1:]
		j.mu.Unlock()
	}
	return nil
}

// removeData removes a data file; those who hold its content keep it.
func (j *Journal) removeData(f *file) error {
	if err := f.content.unlink(); err != nil {
		return err
	}
	if err := j.dir.fs.Remove(f.content.name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", f.content.name, err)
	}
	return nil
}

// droppedPrefix are the oldest completed fragments, as far as they are dropped.
func (j *Journal) droppedPrefix() []*file {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for n < len(j.completed) && j.completed[n].dropped {
		n++
	}
	return j.completed[:n:n]
}
