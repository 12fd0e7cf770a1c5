package spool

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"broadsheet.dev/broadsheet/protocol"
)

// Alignment is how a cluster epoch begins in a spool.
type Alignment struct {
	// Epoch is the number of the cluster epoch. It is greater than State.Epoch.
	Epoch int64
	// Keep is where the open fragment ends: its bytes at and above are void, and cut. If
	// it isn't below State.End all are kept.
	Keep int64
	// Start is where the new open fragment begins. It isn't below the end of what is kept.
	Start int64
	// Registers of the new fragment; nil are those at the end of what is kept.
	Registers *protocol.LabelSet
	// Codec in which it is to be stored.
	Codec protocol.CompressionCodec
	// Discard says that nothing is kept, neither of the open fragment, whatever Keep is,
	// nor of completed ones: a store has what counts of it.
	Discard bool
}

// Align drops the delta, cuts and completes the open fragment, and opens the one with
// which a cluster epoch begins. It is durable when it returns nil, in either mode, and
// a crash leaves the journal as it was before or as it is after. The spool isn't
// suspect any more.
//
// What would cut acknowledged bytes is refused, with an error that wraps
// ErrCutBelowCompleted or ErrCutBelowWatermark; so is a cut that isn't where a commit
// ends. Nothing was changed then. After other errors the journal is as it was, without
// the delta, or has failed.
func (j *Journal) Align(a Alignment) error {
	defer j.takeSync()()
	if err := j.usable(); err != nil {
		return err
	}
	at, next, err := j.plan(a)
	if err != nil {
		return fmt.Errorf("align to epoch %d: %w", a.Epoch, err)
	}
	if err := j.failIf(j.rollBack()); err != nil {
		return err
	}
	if a.Discard {
		err = j.failIf(j.discard(at, next))
	} else {
		err = j.failIf(j.succeed(at, next))
	}
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.recovered.Suspect = false
	return nil
}

// plan returns where the open fragment ends, and how the next begins.
func (j *Journal) plan(a Alignment) (point, header, error) {
	open := j.open
	if a.Epoch <= open.epoch {
		return point{}, header{}, fmt.Errorf("the spool is in epoch %d", open.epoch)
	}
	if err := a.Codec.Validate(); err != nil {
		return point{}, header{}, err
	}
	at := point{end: open.begin, registers: new(protocol.LabelSet)}
	if !a.Discard {
		var err error
		if at, err = j.pointAt(a.Keep); err != nil {
			return point{}, header{}, err
		}
	}
	if a.Start < at.end {
		return point{}, header{}, fmt.Errorf("start %d is below offset %d, where what is kept ends", a.Start, at.end)
	}
	h := j.nextHeader(at, a.Start, a.Codec)
	h.epoch, h.start.suspect = a.Epoch, false
	if a.Registers != nil {
		h.registers = a.Registers
	}
	if a.Discard {
		h.previous, h.cut = -1, true
	}
	return at, h, nil
}

// Cut drops the delta, and makes void what the open fragment has at and above keep. It
// completes the fragment there, and an empty one follows in the same epoch. If nothing
// is to be cut nor completed it changes nothing. Whatever holds of Align holds of it,
// but that the spool stays suspect if it is.
func (j *Journal) Cut(keep int64) error {
	defer j.takeSync()()
	if err := j.usable(); err != nil {
		return err
	}
	at, err := j.pointAt(keep)
	if err != nil {
		return fmt.Errorf("cut at offset %d: %w", keep, err)
	}
	if err := j.failIf(j.rollBack()); err != nil || j.end == j.open.begin {
		return err
	}
	return j.failIf(j.succeed(at, j.nextHeader(at, at.end, j.open.codec)))
}

// pointAt is the open fragment as of the commit that ends at keep, or the newest if all
// are below. It reads the fragment anew, as its log and its bytes are all that is known
// of former commits.
func (j *Journal) pointAt(keep int64) (point, error) {
	open, s := j.open, j.State()
	switch {
	case keep >= s.End:
		return j.present(), nil
	case keep < s.Begin:
		return point{}, fmt.Errorf("keep %d: %w, which begins at offset %d", keep, ErrCutBelowCompleted, s.Begin)
	case keep < s.Watermark:
		return point{}, fmt.Errorf("keep %d: %w %d", keep, ErrCutBelowWatermark, s.Watermark)
	case keep == s.Begin:
		return point{end: keep, registers: open.header.registers}, nil
	}
	found, err := j.scanFile(context.Background(), open, &header{previous: keep, cut: true})
	switch {
	case err != nil:
		return point{}, err
	case found.end == keep:
		at := point{end: keep, registers: found.registers}
		found.running.Sum(at.sum[:0])
		return at, nil
	case found.bad != nil:
		return point{}, found.lost(keep)
	default:
		return point{}, fmt.Errorf("keep %d: %w", keep, ErrCutInside)
	}
}

// discard opens the next fragment, whose header says that all before are void, and
// removes those. What it can't remove is removed when the journal is next opened.
func (j *Journal) discard(at point, next header) error {
	j.dropping.Lock()
	defer j.dropping.Unlock()
	void, old := slices.Clone(j.completed), j.open
	var err error
	if next.begin == old.begin {
		err = j.takePlace(next)
		if j.open == old {
			return err
		}
	} else {
		opened, err := j.create(next)
		if err != nil {
			return err
		}
		void = append(void, old)
		j.mu.Lock()
		old.end, old.voided = at.end, true
		j.switchTo(opened)
		j.mu.Unlock()
	}
	j.mu.Lock()
	for _, f := range void {
		f.dropped = true
	}
	j.completed = nil
	j.mu.Unlock()
	return asFailure(j.path, errors.Join(err, old.log.close(), j.removeVoid(void)))
}

// removeVoid removes fragments that a later one has made void. Those who hold their
// content keep it. No log goes before the data, as data without a log is damage.
func (j *Journal) removeVoid(files []*file) error {
	if len(files) == 0 {
		return nil
	}
	var err error
	for _, f := range files {
		err = errors.Join(err, f.content.unlink())
	}
	for _, f := range files {
		if err == nil {
			err = j.removeData(f)
		}
	}
	if err == nil {
		err = syncDir(j.dir.fs, j.path)
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := j.dir.fs.Remove(f.log.name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", f.log.name, err)
		}
	}
	return nil
}
