package spool

import (
	"errors"
	"hash"
	"slices"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// Journal is the spool of one journal: its open fragment, and completed ones that
// aren't dropped yet. One caller at a time, the appender, may use Write, Delta, Next,
// Commit, Rollback, Roll, Align, Cut and Close; all other methods are safe for
// concurrent use.
type Journal struct {
	dir  *Dir
	id   ID
	path string

	// Of the appender.
	running hash.Hash // SHA-1 of the open fragment up to end, and of the delta.
	delta   delta

	dropping sync.Mutex // Held by Drop, and by Close.

	mu        sync.Mutex
	open      *file
	completed []*file // In order; dropped ones stay until all before them are.
	end       int64
	durable   int64    // All below is as durable as the mode promises; at most end.
	synced    int64    // All below is fsynced; at most durable.
	watermark int64    // All below is acknowledged; at most durable.
	sum       [20]byte // Of the open fragment up to end.
	registers *protocol.LabelSet
	start     openingStart
	recovered Recovery
	syncing   chan struct{} // Closed when the round of the syncer ends; nil if there is none.
	advanced  chan struct{} // Nil until somebody asks for it.
	failed    error
	closed    bool
}

// file is one fragment: its data file with the log.
type file struct {
	header
	content *content
	log     *logFile

	end         int64 // Of a completed fragment.
	sum         [20]byte
	firstAppend time.Time
	registers   *protocol.LabelSet // At the end of a completed fragment.
	lastOpening int64              // Opening of the last record of a completed fragment.
	voided      bool               // Commits beyond end were cut.
	dropped     bool
}

// State is a journal at one moment.
type State struct {
	// Begin of the open fragment and End of the last commit, as offsets.
	Begin, End int64
	// Durable is the offset up to which this replica keeps the promise of the mode.
	Durable int64
	// Watermark is the offset up to which all is acknowledged and readable.
	Watermark int64
	// Sum is the SHA-1 of the open fragment up to End; zero if it is empty.
	Sum [20]byte
	// Registers of the journal; never nil. Must not be changed.
	Registers *protocol.LabelSet
	// Epoch is the cluster epoch of the open fragment; 0 before the first Align.
	Epoch int64
	// Opening is how often the journal was opened.
	Opening int64
	// FirstAppend is when the open fragment got its first bytes; zero if it is empty.
	FirstAppend time.Time
	// Codec in which the open fragment is to be stored.
	Codec protocol.CompressionCodec
	// Recovery is what was found when the journal was opened.
	Recovery Recovery
}

// Recovery tells what was found when a journal was opened.
type Recovery struct {
	// Fresh says that there was no spool of the journal.
	Fresh bool
	// Clean says that the journal had been closed.
	Clean bool
	// Suspect says that acknowledged bytes may be missing at the end: the machine
	// went down while they were in its memory only, as mode Replicated allows. It is
	// so until Align.
	Suspect bool
	// CutBytes of the data file and log that were no whole commit.
	CutBytes int64
}

// Completed is a fragment which is closed, durable and wholly acknowledged, and which
// Drop removes.
type Completed struct {
	fragments.Fragment
	// Content of the fragment.
	Content fragments.Content
	// FirstAppend is when the fragment got its first bytes.
	FirstAppend time.Time
	// Registers of the journal at the fragment's end. Must not be changed.
	Registers *protocol.LabelSet
}

// ID of the journal.
func (j *Journal) ID() ID { return j.id }

// State of the journal now.
func (j *Journal) State() State {
	j.mu.Lock()
	defer j.mu.Unlock()
	return State{
		Begin: j.open.begin, End: j.end, Durable: j.durable, Watermark: j.watermark, Sum: j.sum,
		Registers: j.registers, Epoch: j.open.epoch, Opening: j.start.opening, FirstAppend: j.open.firstAppend,
		Codec: j.open.codec, Recovery: j.recovered,
	}
}

// Completed fragments that aren't dropped, in order.
func (j *Journal) Completed() []Completed {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []Completed
	for _, f := range j.completed {
		if !f.dropped {
			out = append(out, Completed{
				Fragment: f.fragment(), Content: f.content, FirstAppend: f.firstAppend, Registers: f.registers,
			})
		}
	}
	return out
}

// fragment that a completed file is.
func (f *file) fragment() fragments.Fragment {
	return fragments.Fragment{Journal: f.id.Journal, Begin: f.begin, End: f.end, Sum: f.sum, Codec: f.codec}
}

// Open is the open fragment up to the watermark. Its Sum isn't known.
func (j *Journal) Open() fragments.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return fragments.Entry{
		Fragment: fragments.Fragment{Journal: j.id.Journal, Begin: j.open.begin, End: j.watermark, Codec: j.open.codec},
		Local:    j.open.content,
	}
}

// Advanced is closed when the watermark next advances, a fragment completes, or the
// journal fails or is closed.
func (j *Journal) Advanced() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.advanced == nil {
		j.advanced = make(chan struct{})
	}
	return j.advanced
}

// Failed returns why the journal takes no appends any more: a *FailedError. What is
// below the watermark stays readable.
func (j *Journal) Failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// notify wakes those who wait for Advanced. The caller holds j.mu.
func (j *Journal) notify() {
	if j.advanced != nil {
		close(j.advanced)
		j.advanced = nil
	}
}

// failIf makes the journal fail if err says that a file did, and returns err.
func (j *Journal) failIf(err error) error {
	if failure := new(FailedError); errors.As(err, &failure) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.fail(err)
	}
	return err
}

// fail makes the journal fail. The caller holds j.mu.
func (j *Journal) fail(err error) {
	if j.failed == nil {
		j.failed = err
		j.notify()
	}
}

// usable returns why the journal can't be written, if so.
func (j *Journal) usable() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.usableLocked()
}

func (j *Journal) usableLocked() error {
	if j.closed {
		return ErrClosed
	}
	return j.failed
}

// Close rolls back the delta, makes all else durable, marks the spool as closed cleanly, and closes its files.
// If the journal has failed it returns why, and marks nothing.
func (j *Journal) Close() error {
	j.dropping.Lock()
	defer j.dropping.Unlock()
	release := j.takeSync()
	defer release()
	err := j.usable()
	if errors.Is(err, ErrClosed) {
		return err
	}
	if err == nil {
		err = j.failIf(errors.Join(j.rollBack(), j.closeCleanly()))
	}
	j.mu.Lock()
	j.closed = true
	j.notify()
	files := slices.Concat(j.completed, []*file{j.open})
	j.mu.Unlock()
	errs := []error{err, j.open.log.close()}
	for _, f := range files {
		if !f.dropped {
			errs = append(errs, f.content.close())
		}
	}
	j.dir.release(j.id)
	return errors.Join(errs...)
}

// closeCleanly syncs and marks. The caller is the syncer.
func (j *Journal) closeCleanly() error {
	if err := j.syncOpen(); err != nil {
		return err
	}
	r := j.newRecord(recordClean)
	r.durable = true
	if err := j.open.log.append(&r); err != nil {
		return err
	}
	return j.open.log.sync()
}

// newRecord begins a record about the present moment.
func (j *Journal) newRecord(kind recordType) record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return record{kind: kind, opening: j.start.opening, end: j.end, promised: j.durable, nanos: time.Now().UnixNano()}
}
