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
	offset int64
	seq    *message.Sequencer // has taken what is before the offset
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
		if err = t.readJournal(ctx, j.GetSpec(), fn); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tail) readJournal(ctx context.Context, spec *protocol.JournalSpec, fn func(env message.Envelope) error) error {
	at := t.at[spec.GetName()]
	if at == nil {
		seq, err := message.NewSequencer(message.SequencerConfig{})
		if err != nil {
			return err
		}
		at = &position{seq: seq}
		t.at[spec.GetName()] = at
	}
	now, err := t.brokers.Barrier(ctx, spec.GetName())
	if err != nil {
		return err
	}
	if now.Head <= at.offset {
		return nil
	}
	if err = t.readTo(ctx, spec, at, now.Head, fn); err != nil {
		return err
	}
	at.offset = now.Head
	return nil
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
