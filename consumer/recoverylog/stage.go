package recoverylog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// maxStaged is how many files are open at once.
const maxStaged = 64

// staging has the files of a log while it is played, each by its number, below the directory that they go to.
type staging struct {
	fs     vfs.FS
	dir    string
	open   map[int64]vfs.File
	recent []int64 // those that are open, the one that was used last at the end
	buffer []byte
	made   []string // paths that files or properties were given
}

// newStaging in a directory, which must be empty, or absent.
func newStaging(fs vfs.FS, dir string) (*staging, error) {
	s := &staging{fs: fs, dir: dir, open: make(map[int64]vfs.File), buffer: make([]byte, 64<<10)}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	found, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	if len(found) != 0 {
		return nil, fmt.Errorf("%s isn't empty: it has %s", dir, slices.Min(found))
	}
	if err = fs.MkdirAll(s.root(), 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", s.root(), err)
	}
	return s, nil
}

func (s *staging) root() string { return s.fs.PathJoin(s.dir, stagingDir) }

func (s *staging) name(fnode int64) string {
	return s.fs.PathJoin(s.root(), strconv.FormatInt(fnode, 10))
}

// apply an operation that the FSM has applied, and whose write has the content.
func (s *staging) apply(op *RecordedOp, fsm *FSM, content io.Reader) error {
	switch {
	case op.GetCreate() != nil:
		_, err := s.file(op.GetSeqNo())
		return err
	case op.GetWrite() != nil:
		f, err := s.file(op.GetWrite().GetFnode())
		if err != nil {
			return err
		}
		if _, err = io.CopyBuffer(io.NewOffsetWriter(f, op.GetWrite().GetOffset()), content, s.buffer); err != nil {
			return fmt.Errorf("write file %d: %w", op.GetWrite().GetFnode(), err)
		}
	case op.GetUnlink() != nil && !fsm.Lives(op.GetUnlink().GetFnode()):
		fnode := op.GetUnlink().GetFnode()
		err := s.close(fnode)
		if err = cmp.Or(err, s.fs.Remove(s.name(fnode))); err != nil {
			return fmt.Errorf("remove file %d: %w", fnode, err)
		}
	}
	return nil
}

// file that is open to be written. It is made if it isn't there.
func (s *staging) file(fnode int64) (vfs.File, error) {
	if f := s.open[fnode]; f != nil {
		if i := slices.Index(s.recent, fnode); i != len(s.recent)-1 {
			s.recent = append(slices.Delete(s.recent, i, i+1), fnode)
		}
		return f, nil
	}
	if len(s.recent) == maxStaged {
		if err := s.close(s.recent[0]); err != nil {
			return nil, err
		}
	}
	f, err := s.fs.OpenReadWrite(s.name(fnode), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("open file %d: %w", fnode, err)
	}
	s.open[fnode], s.recent = f, append(s.recent, fnode)
	return f, nil
}

// close a file, if it is open.
func (s *staging) close(fnode int64) error {
	f := s.open[fnode]
	if f == nil {
		return nil
	}
	delete(s.open, fnode)
	s.recent = slices.DeleteFunc(s.recent, func(n int64) bool { return n == fnode })
	if err := f.Close(); err != nil {
		return fmt.Errorf("close file %d: %w", fnode, err)
	}
	return nil
}

func (s *staging) closeAll() error {
	var err error
	for fnode := range s.open {
		err = errors.Join(err, s.close(fnode))
	}
	return err
}

// live gives all files their paths.
func (s *staging) live(fsm *FSM) error {
	if err := s.closeAll(); err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(fsm.links)) {
		if err := s.place(p, func(name string) error { return s.fs.Link(s.name(fsm.links[p]), name) }); err != nil {
			return err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(fsm.properties)) {
		if err := s.place(p, func(name string) error { return s.write(name, fsm.properties[p]) }); err != nil {
			return err
		}
	}
	if err := s.fs.RemoveAll(s.root()); err != nil {
		return fmt.Errorf("remove %s: %w", s.root(), err)
	}
	return nil
}

// place something at a path of the store.
func (s *staging) place(p string, do func(name string) error) error {
	if err := s.fs.MkdirAll(s.fs.PathJoin(s.dir, path.Dir(p)), 0o700); err != nil {
		return fmt.Errorf("make the directory of %s: %w", p, err)
	}
	s.made = append(s.made, p)
	if err := do(s.fs.PathJoin(s.dir, p)); err != nil {
		return fmt.Errorf("make %s: %w", p, err)
	}
	return nil
}

func (s *staging) write(name, content string) error {
	f, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, content)
	return errors.Join(err, f.Close())
}

// discard all that was staged, and what was given a path.
func (s *staging) discard() error {
	err := errors.Join(s.closeAll(), s.fs.RemoveAll(s.root()))
	for _, p := range s.made {
		first := p
		for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
			first = dir
		}
		err = errors.Join(err, s.fs.RemoveAll(s.fs.PathJoin(s.dir, first)))
	}
	if err != nil {
		return fmt.Errorf("remove what was played: %w", err)
	}
	return nil
}
