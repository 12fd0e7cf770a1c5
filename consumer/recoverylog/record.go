package recoverylog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// registerAuthor is the register of a log's journal that has its present author.
const registerAuthor = "author"

// maxWrite is how many bytes one operation writes; more are several.
const maxWrite = 4 << 20

// identity is the path of a property. (RocksDB keeps the identity of a database there.)
const identity = "/IDENTITY"

// ErrFenced is of a recorder whose log has another author by now, or none that is known. Nothing that it records from then
// on gets into the log.
var ErrFenced = errors.New("recorder is fenced")

// FencedError is how a recorder was fenced. It wraps ErrFenced.
type FencedError struct {
	// Log and Author of the recorder.
	Log    string
	Author uint32
	// Lost says that the log's registers were lost: they aren't of another author, they are of none.
	Lost bool
}

// Error names the log and the author.
func (e *FencedError) Error() string {
	if e.Lost {
		return fmt.Sprintf("%s of author %08x at %s: the journal lost its registers", ErrFenced, e.Author, e.Log)
	}
	return fmt.Sprintf("%s: %s has another author than %08x", ErrFenced, e.Log, e.Author)
}

// Unwrap returns ErrFenced.
func (*FencedError) Unwrap() error { return ErrFenced }

// NewAuthor draws an author.
func NewAuthor() (uint32, error) {
	var b [4]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("draw an author: %w", err)
		}
		if author := binary.LittleEndian.Uint32(b[:]); author != 0 {
			return author, nil
		}
	}
}

// authorSet is the register of an author.
func authorSet(author uint32) *protocol.LabelSet {
	return &protocol.LabelSet{Labels: []*protocol.Label{{Name: registerAuthor, Value: strconv.FormatUint(uint64(author), 32)}}}
}

// RecorderConfig is what a Recorder works with.
type RecorderConfig struct {
	// Recovered is what a Player returned that took the log over. The Recorder owns it from now on.
	Recovered *Recovered
	// Run to append by. What becomes of appends of unknown outcome is best AtLeastOnce: who plays the log tells copies of
	// operations. The run's failure of the log must not be reset.
	Run *async.Run
	// Dir of the store, in the file system that FS is over.
	Dir string
}

// Recorder appends operations on files to their log. Its methods may be called concurrently.
//
// Invariants: operations are in the log in the order in which they are done, which the mutex makes; each append checks
// that the log is the recorder's own; after the first failure there is no other success.
type Recorder struct {
	ctx    context.Context //nolint:containedctx // lifetime of the recorder: file systems' methods take none
	log    string
	author uint32
	dir    string
	run    *async.Run
	params client.AppendParams

	mu      sync.Mutex
	fsm     *FSM
	known   int64         // end of an append that is before the next operation
	mark    *async.Future // of an append that will be; nil if there is none
	failure error
	scratch []byte
}

// NewRecorder of a log that was taken over. It records until the context ends.
func NewRecorder(ctx context.Context, cfg RecorderConfig) (*Recorder, error) {
	switch {
	case cfg.Recovered == nil || cfg.Recovered.FSM == nil || cfg.Recovered.Author == 0:
		return nil, errors.New("recorder: the log wasn't taken over")
	case cfg.Recovered.FSM.Unused():
		return nil, fmt.Errorf("recorder of %s: hints weren't used up", cfg.Recovered.FSM.log)
	case cfg.Run == nil:
		return nil, errors.New("recorder: no run to append by")
	case cfg.Dir == "":
		return nil, errors.New("recorder: no directory")
	}
	return &Recorder{
		ctx: ctx, log: cfg.Recovered.FSM.log, author: cfg.Recovered.Author, dir: cfg.Dir, run: cfg.Run,
		params: client.AppendParams{
			Journal: cfg.Recovered.FSM.log, Check: &protocol.LabelSelector{Include: authorSet(cfg.Recovered.Author)},
		},
		fsm: cfg.Recovered.FSM, known: cfg.Recovered.Offset,
	}, nil
}

// Author of what is recorded.
func (r *Recorder) Author() uint32 { return r.author }

// Log that is recorded to.
func (r *Recorder) Log() string { return r.log }

// Err is how the recorder failed, as far as that was seen; nil if it didn't.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}

// fail the recorder for ever, and return how it failed first.
func (r *Recorder) fail(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failLocked(err)
}

func (r *Recorder) failLocked(err error) error {
	if r.failure == nil {
		if _, fenced := errors.AsType[*FencedError](err); !fenced && isMismatch(err) {
			err = &FencedError{Log: r.log, Author: r.author}
		} else if !fenced {
			err = fmt.Errorf("record to %s: %w", r.log, err)
		}
		r.failure = err
	}
	return r.failure
}

// isMismatch reports whether an append failed, or an earlier one did, since the registers weren't those that it checks.
func isMismatch(err error) bool {
	for {
		e, ok := errors.AsType[*async.NotAppliedError](err)
		if !ok {
			return errors.Is(err, protocol.Status_REGISTER_MISMATCH.Err())
		}
		err = e.Cause
	}
}

// Barrier is an operation that ends once all that was recorded before the call is in the log, with the recorder still being its author. It,
// and what is recorded after it, gets into the log only once all of waitFor have succeeded: if one fails, so does
// the recorder.
func (r *Recorder) Barrier(waitFor ...async.Operation) async.Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.barrierLocked(waitFor...)
}

func (r *Recorder) barrierLocked(waitFor ...async.Operation) *barrier {
	b := &barrier{recorder: r}
	if r.failure != nil {
		b.err = r.failure
		return b
	}
	w, err := r.run.Start(r.ctx, r.params, waitFor...)
	if err == nil {
		b.future, err = w.Release()
	}
	if err != nil {
		b.err = r.failLocked(err)
	}
	return b
}

// barrier is an append without content, together with those before it.
type barrier struct {
	recorder *Recorder
	future   *async.Future // nil if it failed to start
	err      error
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Done as of async.Operation.
func (b *barrier) Done() <-chan struct{} {
	if b.future == nil {
		return closedChan
	}
	return b.future.Done()
}

// Err as of async.Operation. A journal that lost its registers lets anyone append: that isn't a success.
func (b *barrier) Err() error {
	if b.future == nil {
		return b.err
	}
	if err := b.future.Err(); err != nil {
		return b.recorder.fail(err)
	}
	for _, l := range b.future.Response().GetRegisters().GetLabels() {
		if l.GetName() == registerAuthor {
			return nil // which is the author that was checked
		}
	}
	return b.recorder.fail(&FencedError{Log: b.recorder.log, Author: b.recorder.author, Lost: true})
}

// wait for a barrier.
func (r *Recorder) wait(ctx context.Context, b async.Operation) error {
	select {
	case <-b.Done():
		return b.Err()
	case <-ctx.Done():
		return fmt.Errorf("wait for a barrier of %s: %w", r.log, context.Cause(ctx))
	case <-r.ctx.Done():
		return fmt.Errorf("wait for a barrier of %s: %w", r.log, context.Cause(r.ctx))
	}
}

// Hints of all that was recorded before the call, once it is in the log.
func (r *Recorder) Hints(ctx context.Context) (*FSMHints, error) {
	r.mu.Lock()
	b := r.barrierLocked()
	hints := r.fsm.BuildHints()
	next, _ := r.fsm.Next()
	r.mu.Unlock()
	if err := r.wait(ctx, b); err != nil {
		return nil, err
	}
	_, end := b.future.Range()
	r.mu.Lock()
	r.fsm.settle(next, end)
	r.mu.Unlock()
	for _, node := range hints.GetLiveNodes() {
		for _, s := range node.GetSegments() {
			if s.GetLastOffset() == 0 && s.GetLog() == "" {
				s.LastOffset = end
			}
		}
	}
	return hints, nil
}

// change is an operation to be recorded, and what it writes.
type change struct {
	op      *RecordedOp
	content []byte
}

// record changes, all in one append. The caller holds the mutex, and has done them to the files.
func (r *Recorder) record(changes ...change) error {
	if r.failure != nil {
		return r.failure
	}
	w, err := r.run.Start(r.ctx, r.params)
	if err != nil {
		return r.failLocked(err)
	}
	defer w.Discard()
	r.look()
	for _, c := range changes {
		frame, err := r.apply(c.op)
		if err != nil {
			return r.failLocked(err)
		}
		if _, err = w.Write(frame); err != nil {
			return r.failLocked(err)
		}
		if len(c.content) != 0 {
			if _, err = w.Write(c.content); err != nil {
				return r.failLocked(err)
			}
		}
	}
	future, err := w.Release()
	if err != nil {
		return r.failLocked(err)
	}
	if r.mark == nil {
		r.mark = future
	}
	return nil
}

// look whether more of the log is known by now.
func (r *Recorder) look() {
	if r.mark == nil {
		return
	}
	select {
	case <-r.mark.Done():
		if r.mark.Err() == nil {
			_, r.known = r.mark.Range()
		}
		r.mark = nil
	default:
	}
}

// apply the next operation, and return its frame.
func (r *Recorder) apply(op *RecordedOp) ([]byte, error) {
	op.SeqNo, op.Checksum = r.fsm.Next()
	op.Author = r.author
	payload, err := proto.Marshal(op)
	if err != nil {
		return nil, fmt.Errorf("encode operation %d: %w", op.GetSeqNo(), err)
	}
	op.FirstOffset = r.known
	if err = r.fsm.Apply(op, payload); err != nil {
		return nil, err
	}
	frame, err := message.Fixed.AppendFrame(nil, payload)
	if err != nil {
		return nil, fmt.Errorf("encode operation %d: %w", op.GetSeqNo(), err)
	}
	return frame, nil
}

// recordWrite of bytes at an offset of a file. If it isn't tracked, it was removed while it is open: nobody reads that again.
func (r *Recorder) recordWrite(fnode, offset int64, p []byte) error {
	for len(p) != 0 && r.fsm.Lives(fnode) {
		n := min(len(p), maxWrite)
		op := &RecordedOp{Write: &RecordedOp_Write{Fnode: fnode, Offset: offset, Length: int64(n)}}
		if err := r.record(change{op: op, content: p[:n]}); err != nil {
			return err
		}
		offset, p = offset+int64(n), p[n:]
	}
	return r.failure
}

func createOp(path string) change {
	return change{op: &RecordedOp{Create: &RecordedOp_Create{Path: path}}}
}

func linkOp(fnode int64, path string) change {
	return change{op: &RecordedOp{Link: &RecordedOp_Link{Fnode: fnode, Path: path}}}
}

func unlinkOp(fnode int64, path string) change {
	return change{op: &RecordedOp{Unlink: &RecordedOp_Link{Fnode: fnode, Path: path}}}
}

func propertyOp(path, content string) change {
	return change{op: &RecordedOp{Property: &Property{Path: path, Content: content}}}
}
