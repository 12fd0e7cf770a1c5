package tail

import (
	"context"
	"errors"
	"fmt"
	"io"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// ErrNoJournals is of a selector that matches none.
var ErrNoJournals = errors.New("no journal matches")

// Tail of journals. It belongs to one goroutine at a time, and needs no end.
type Tail struct {
	brokers  *client.Client
	selector *protocol.LabelSelector
	fresh    func(spec *protocol.JournalSpec) (message.Message, error)
	at       map[string]*position // by journal
	err      error                // that ended it
}

// position in a journal.
type position struct {
	created int64 // revision of etcd at which the journal was made; 0 if brokers don't tell
	offset  int64
	seq     *message.Sequencer // has taken what is before the offset
}

// New returns a tail that has read nothing. Messages of a journal are read into what fresh makes.
func New(brokers *client.Client, selector *protocol.LabelSelector, fresh func(*protocol.JournalSpec) (message.Message, error)) *Tail {
	return &Tail{brokers: brokers, selector: selector, fresh: fresh, at: make(map[string]*position)}
}

// Labelled selects the journals that have a value of a label.
func Labelled(label, value string) *protocol.LabelSelector {
	return &protocol.LabelSelector{Include: protocol.MustLabelSet(label, value)}
}

// Read on, up to where the journals end now: one journal after another. It fails with ErrNoJournals if there are none, and with the first error
// of fn, which names where the message is; after an error the tail has ended.
func (t *Tail) Read(ctx context.Context, fn func(env message.Envelope) error) error {
	if t.err == nil {
		t.err = t.read(ctx, fn)
	}
	return t.err
}

func (t *Tail) read(ctx context.Context, fn func(env message.Envelope) error) error {
	journals, err := t.brokers.List(ctx, t.selector)
	if err != nil {
		return err
	}
	if len(journals) == 0 {
		return fmt.Errorf("%w %s", ErrNoJournals, t.selector)
	}
	for _, j := range journals {
		if err = t.readJournal(ctx, j, fn); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tail) readJournal(ctx context.Context, j *protocol.ListResponse_Journal, fn func(env message.Envelope) error) error {
	spec := j.GetSpec()
	at := t.at[spec.GetName()]
	if at == nil || at.created != j.GetCreateRevision() { // one that was made again is another journal
		seq, err := message.NewSequencer(message.SequencerConfig{})
		if err != nil {
			return err
		}
		at = &position{created: j.GetCreateRevision(), seq: seq}
		t.at[spec.GetName()] = at
	}
	head, err := t.head(ctx, spec, at.offset)
	if err != nil {
		return err
	}
	if head <= at.offset {
		return nil
	}
	err = t.readTo(ctx, spec, at, head, fn)
	if jump, ok := errors.AsType[*client.OffsetJumpError](err); ok && at.offset == 0 {
		// What was before was removed, as by retention, before the tail got here.
		at.offset = jump.To
		err = t.readTo(ctx, spec, at, head, fn)
	}
	if err != nil {
		return err
	}
	at.offset = head
	return nil
}

// head is where a journal ends now, which was read through an offset. One that is fully suspended is resumed, unless nothing of it
// is new: otherwise it can't be read.
func (t *Tail) head(ctx context.Context, spec *protocol.JournalSpec, through int64) (int64, error) {
	suspended := protocol.Status_SUSPENDED.Err()
	now, err := t.brokers.Barrier(ctx, spec.GetName())
	if !errors.Is(err, suspended) {
		return now.Head, err
	}
	p := client.AppendParams{Journal: spec.GetName(), Suspend: protocol.AppendRequest_SUSPEND_KEEP}
	r, err := t.brokers.Append(ctx, p, nil)
	if !errors.Is(err, suspended) { // a broker has it yet
		return r.GetCommit().GetEnd(), err
	}
	if s := spec.GetSuspend(); s.GetLevel() == protocol.JournalSpec_Suspend_FULL && s.GetOffset() <= through {
		return through, nil
	}
	p.Suspend = protocol.AppendRequest_SUSPEND_RESUME
	r, err = t.brokers.Append(ctx, p, nil)
	return r.GetCommit().GetEnd(), err
}

// readTo an offset, which is between two messages: it was the journal's end.
func (t *Tail) readTo(ctx context.Context, spec *protocol.JournalSpec, at *position, to int64, fn func(env message.Envelope) error) error {
	open := func(part message.Range) *client.Reader {
		return t.brokers.NewReader(ctx, &protocol.ReadRequest{Journal: spec.GetName(), Offset: part.Begin, EndOffset: part.End, Block: true})
	}
	r := open(message.Range{Begin: at.offset, End: to})
	defer func() { _ = r.Close() }() // which never fails
	all, err := message.ReadUncommitted(r, message.IteratorConfig{Spec: spec, New: t.fresh})
	if err != nil {
		return err
	}
	committed := message.ReadCommitted(all, at.seq, func(again message.Range) (message.Reader, error) { return open(again), nil })
	defer func() { _ = committed.Close() }() // as above
	for {
		env, err := committed.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case env.Message.GetUUID().Flags() == message.AckTxn:
			continue
		}
		if err = fn(env); err != nil {
			return fmt.Errorf("message of %s at %d: %w", env.Journal, env.Begin, err)
		}
	}
}
