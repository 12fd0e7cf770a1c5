package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// Journal is a journal in memory.
type Journal struct {
	Content   []byte
	Ends      []int64 // of each append that has content
	Registers *protocol.LabelSet
	Gone      [][2]int64 // ranges that were deleted
	Lost      [][2]int64 // ranges that were, too, and brokers don't know it: they can't be read

	grown chan struct{}
}

// ErrLost is of a read of what is Lost.
var ErrLost = errors.New("the object isn't in its store")

// Brokers are journals in memory: of recoverylog.Journals and of async.Appender. As brokers do, they let anything pass where no registers are.
type Brokers struct {
	mu       sync.Mutex
	journals map[string]*Journal
	// Before, if not nil, is called with each append, without the mutex. What it returns, the append fails with.
	Before func(p client.AppendParams, content []byte) error
	Twice  bool // appends that may be are made twice, as if the answer to the first was lost
}

// New returns brokers of empty journals, one of each name that is asked for.
func New() *Brokers { return &Brokers{journals: make(map[string]*Journal)} }

// Journal of a name, to be looked at or changed while nothing uses it.
func (b *Brokers) Journal(name string) *Journal {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.journal(name)
}

// journal of a name. The caller holds the mutex.
func (b *Brokers) journal(name string) *Journal {
	j := b.journals[name]
	if j == nil {
		j = &Journal{Registers: new(protocol.LabelSet), grown: make(chan struct{})}
		b.journals[name] = j
	}
	return j
}

// Append as of client.Client.
func (b *Brokers) Append(ctx context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	return b.AppendAtLeastOnce(ctx, p, body)
}

// AppendAtLeastOnce as of client.Client.
func (b *Brokers) AppendAtLeastOnce(_ context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = io.ReadAll(body); err != nil {
			return nil, err
		}
	}
	if b.Before != nil {
		if err := b.Before(p, content); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	response, err := b.append(p, content)
	if err == nil && b.Twice && len(content) != 0 {
		return b.append(p, content)
	}
	return response, err
}

func (b *Brokers) append(p client.AppendParams, content []byte) (*protocol.AppendResponse, error) {
	j := b.journal(p.Journal)
	if p.Check != nil && len(j.Registers.GetLabels()) != 0 && !p.Check.Matches(j.Registers) {
		return nil, fmt.Errorf("append: %w", &protocol.StatusError{Status: protocol.Status_REGISTER_MISMATCH, Journal: p.Journal})
	}
	begin := int64(len(j.Content))
	if len(content) != 0 {
		j.Content = append(j.Content, content...)
		j.Ends = append(j.Ends, int64(len(j.Content)))
		if p.Union != nil {
			j.Registers = protocol.UnionLabelSets(p.Union, j.Registers)
		}
		close(j.grown)
		j.grown = make(chan struct{})
	}
	return &protocol.AppendResponse{
		Commit: &protocol.Fragment{Journal: p.Journal, Begin: begin, End: int64(len(j.Content))}, Registers: j.Registers,
	}, nil
}

// AwaitBeyond as of recoverylog.Journals.
func (b *Brokers) AwaitBeyond(ctx context.Context, journal string, offset int64) (int64, error) {
	for {
		b.mu.Lock()
		j := b.journal(journal)
		head, grown := int64(len(j.Content)), j.grown
		b.mu.Unlock()
		if head > offset {
			return head, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// ReadRange as of recoverylog.Journals.
func (b *Brokers) ReadRange(_ context.Context, journal string, begin, end int64) io.ReadCloser {
	return &reader{brokers: b, journal: journal, at: begin, end: end}
}

type reader struct {
	brokers *Brokers
	journal string
	at, end int64
}

func (r *reader) Read(p []byte) (int, error) {
	r.brokers.mu.Lock()
	defer r.brokers.mu.Unlock()
	j := r.brokers.journal(r.journal)
	end := min(r.end, int64(len(j.Content)))
	if r.at >= end {
		return 0, io.EOF
	}
	for _, l := range j.Lost {
		if l[0] <= r.at && r.at < l[1] {
			return 0, fmt.Errorf("read %s at %d: %w", r.journal, r.at, ErrLost)
		}
		if r.at < l[0] {
			end = min(end, l[0])
		}
	}
	for _, g := range j.Gone {
		if g[0] <= r.at && r.at < g[1] {
			return 0, fmt.Errorf("read: %w", &client.OffsetJumpError{Journal: r.journal, From: r.at, To: g[1]})
		}
		if r.at < g[0] {
			end = min(end, g[0])
		}
	}
	n := copy(p, j.Content[r.at:end])
	r.at += int64(n)
	return n, nil
}

func (*reader) Close() error { return nil }

// Cut returns brokers that have a journal as it was after a number of appends to it, with its registers as they are now.
func (b *Brokers) Cut(journal string, appends int) *Brokers {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := New()
	j, k := b.journal(journal), out.journal(journal)
	k.Ends, k.Registers = slices.Clone(j.Ends[:appends]), j.Registers
	if appends != 0 {
		k.Content = bytes.Clone(j.Content[:j.Ends[appends-1]])
	}
	return out
}

// Appends counts those to a journal that have content.
func (b *Brokers) Appends(journal string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.journal(journal).Ends)
}

// SetRegisters of a journal.
func (b *Brokers) SetRegisters(journal string, set *protocol.LabelSet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.journal(journal).Registers = set
}
