package staging

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync/atomic"
)

// Errors of Append when there is no room.
var (
	// ErrFull: the stage holds as much as it may.
	ErrFull = errors.New("the transaction holds as much as it may")
	// ErrBudget: all stages together do.
	ErrBudget = errors.New("all open transactions together hold as much as they may")
)

// Config of a Stage. Limit is needed.
type Config struct {
	// Dir is where the file is made; empty is the system's directory of temporary files.
	Dir string
	// Memory is how much content is kept in memory, in bytes; what comes later goes to the file.
	Memory int64
	// Limit bounds the content, in bytes.
	Limit int64
	// Budget bounds that of all stages which share it; nil doesn't.
	Budget *Budget
}

// Validate tells what is out of range.
func (c *Config) Validate() error {
	if c.Limit <= 0 || c.Memory < 0 {
		return fmt.Errorf("staging: Limit is %d and Memory %d: the one has to be positive, the other not negative", c.Limit, c.Memory)
	}
	return nil
}

// Budget is shared by stages.
type Budget struct {
	most int64
	used atomic.Int64
}

// NewBudget returns a budget of a number of bytes.
func NewBudget(most int64) *Budget { return &Budget{most: most} }

// Used is how much of it is.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) take(n int64) bool {
	if b == nil {
		return true
	}
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *Budget) give(n int64) {
	if b != nil {
		b.used.Add(-n)
	}
}

// extent is a part of a journal's content: in memory, or at an offset of the file.
type extent struct {
	memory []byte
	at, n  int64
	step   int // of the stage, at which it was begun
}

// chargedExtent is what an extent costs beside its content.
const chargedExtent = 64

// maxExtents bounds those of a stage, which are in memory wherever their content is.
const maxExtents = 256 << 10

// longestInMemory is where an extent in memory ends: growing it copies it.
const longestInMemory = 64 << 10

// Stage is the content of one transaction. Make it with New.
type Stage struct {
	cfg      Config
	file     *spill // nil until it is needed
	journals map[string][]extent
	order    []string // the journal of each extent
	floor    int      // extents before this step are marked: they don't grow
	used     int64    // of the limit
	memory   int64
}

// New returns an empty stage.
func New(cfg Config) (*Stage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Stage{cfg: cfg, journals: map[string][]extent{}}, nil
}

// Append content to what a journal is to get.
func (s *Stage) Append(journal string, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	last := s.growing(journal)
	cost := int64(len(p))
	inMemory := s.memory+cost <= s.cfg.Memory
	fresh := last == nil || (last.memory != nil) != inMemory || (inMemory && len(last.memory) >= longestInMemory) ||
		(!inMemory && last.at+last.n != s.file.end())
	if fresh {
		cost += chargedExtent
	}
	if s.used+cost > s.cfg.Limit || (fresh && len(s.order) == maxExtents) {
		return ErrFull
	}
	if !s.cfg.Budget.take(cost) {
		return ErrBudget
	}
	s.used += cost
	at := int64(0)
	if !inMemory {
		var err error
		if at, err = s.write(p); err != nil {
			return err
		}
	}
	if fresh {
		s.journals[journal] = append(s.journals[journal], extent{at: at, step: len(s.order)})
		s.order = append(s.order, journal)
		last = s.growing(journal)
	}
	if inMemory {
		last.memory = append(last.memory, p...)
		s.memory += int64(len(p))
	} else {
		last.n += int64(len(p))
	}
	return nil
}

// growing is the last extent of a journal, if content may be added to it.
func (s *Stage) growing(journal string) *extent {
	list := s.journals[journal]
	if len(list) == 0 || list[len(list)-1].step < s.floor {
		return nil
	}
	return &list[len(list)-1]
}

// write to the file, and return where.
func (s *Stage) write(p []byte) (int64, error) {
	if s.file == nil {
		f, err := newSpill(s.cfg.Dir)
		if err != nil {
			return 0, err
		}
		s.file = f
	}
	return s.file.write(p)
}

// Mark is a point to which a stage can be rolled back. The zero value is its beginning.
type Mark struct{ step int }

// Mark the present point.
func (s *Stage) Mark() Mark {
	s.floor = len(s.order)
	return Mark{step: len(s.order)}
}

// Rollback drops what was appended since a mark, and with it the marks that were made since.
func (s *Stage) Rollback(to Mark) {
	for len(s.order) > to.step {
		journal := s.order[len(s.order)-1]
		s.order = s.order[:len(s.order)-1]
		list := s.journals[journal]
		s.memory -= int64(len(list[len(list)-1].memory))
		list[len(list)-1] = extent{} // or its memory would stay
		if list = list[:len(list)-1]; len(list) == 0 {
			delete(s.journals, journal)
		} else {
			s.journals[journal] = list
		}
	}
	s.floor = to.step
}

// Journals that have content, in the order of their names.
func (s *Stage) Journals() []string { return slices.Sorted(maps.Keys(s.journals)) }

// Empty tells whether there is no content.
func (s *Stage) Empty() bool { return len(s.order) == 0 }

// Snapshot of what a journal is to get; nil if that is nothing. It has to be closed.
func (s *Stage) Snapshot(journal string) *Snapshot {
	list := s.journals[journal]
	if len(list) == 0 {
		return nil
	}
	if s.file != nil {
		s.file.refs.Add(1)
	}
	return &Snapshot{extents: slices.Clone(list), file: s.file}
}

// Close drops everything. It may be called again.
func (s *Stage) Close() {
	s.cfg.Budget.give(s.used)
	s.used = 0
	if s.file != nil {
		s.file.release()
	}
	s.file, s.journals, s.order, s.memory, s.floor = nil, map[string][]extent{}, nil, 0, 0
}

// spill is the file of a stage, which is gone from its directory.
type spill struct {
	file *os.File
	size int64
	refs atomic.Int32 // the stage, and each snapshot
}

func newSpill(dir string) (*spill, error) {
	f, err := os.CreateTemp(dir, "transaction-*")
	if err != nil {
		return nil, fmt.Errorf("staging: make a file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("staging: unlink the file: %w", err)
	}
	x := &spill{file: f}
	x.refs.Store(1)
	return x, nil
}

// end is where the next write goes; -1 if there is no file.
func (x *spill) end() int64 {
	if x == nil {
		return -1
	}
	return x.size
}

func (x *spill) write(p []byte) (int64, error) {
	at := x.size
	if _, err := x.file.WriteAt(p, at); err != nil {
		return 0, fmt.Errorf("staging: write %d bytes: %w", len(p), err)
	}
	x.size += int64(len(p))
	return at, nil
}

func (x *spill) release() {
	if x != nil && x.refs.Add(-1) == 0 {
		_ = x.file.Close()
	}
}
