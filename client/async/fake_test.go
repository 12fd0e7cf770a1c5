package async

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcomeKind is what a fake broker does with an append.
type outcomeKind int

const (
	applies outcomeKind = iota
	refuses
	losesApplied    // the outcome is unknown: it is applied
	losesNotApplied // the outcome is unknown: it isn't
)

// brokers is a fake of the client: journals in memory. What it does with the appends to a
// journal is planned; after the plan it applies.
type brokers struct {
	mu       sync.Mutex
	journals map[string][]byte
	plans    map[string][]outcomeKind
	calls    []client.AppendParams
	sizes    []int
	gate     chan struct{} // each append takes from it first, if it isn't nil
}

func newBrokers() *brokers {
	return &brokers{journals: make(map[string][]byte), plans: make(map[string][]outcomeKind)}
}

var errRefused = &protocol.StatusError{Status: protocol.Status_FRAGMENT_STORE_UNHEALTHY}

// Append implements Appender.
func (b *brokers) Append(ctx context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	if b.gate != nil {
		select {
		case <-b.gate:
		case <-ctx.Done():
			return nil, fmt.Errorf("append to %s: %w: %w", p.Journal, client.ErrUnknownOutcome, context.Cause(ctx))
		}
	}
	if _, err := io.CopyN(io.Discard, body, 1); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if _, err := body.(io.Seeker).Seek(0, io.SeekStart); err != nil { // as another attempt does
		return nil, err
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls, b.sizes = append(b.calls, p), append(b.sizes, len(content))
	kind := applies
	if plan := b.plans[p.Journal]; len(plan) != 0 {
		kind, b.plans[p.Journal] = plan[0], plan[1:]
	}
	begin := int64(len(b.journals[p.Journal]))
	if kind == applies || kind == losesApplied {
		b.journals[p.Journal] = append(b.journals[p.Journal], content...)
	}
	switch kind {
	case refuses:
		return nil, errRefused
	case losesApplied, losesNotApplied:
		return nil, fmt.Errorf("append to %s: %w", p.Journal, client.ErrUnknownOutcome)
	case applies:
	}
	return &protocol.AppendResponse{
		Commit: &protocol.Fragment{Journal: p.Journal, Begin: begin, End: begin + int64(len(content))},
	}, nil
}

// AppendAtLeastOnce implements Appender.
func (b *brokers) AppendAtLeastOnce(ctx context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	for {
		r, err := b.Append(ctx, p, body)
		if !errors.Is(err, client.ErrUnknownOutcome) || ctx.Err() != nil {
			return r, err
		}
		if _, err = body.(io.Seeker).Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
}

func (b *brokers) content(journal string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.journals[journal])
}

// newService returns one that is closed, and proven to hold nothing, when the test ends.
func newService(t *testing.T, b *brokers, cfg Config) *Service {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := New(t.Context(), b, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.Zero(t, s.budget.now(), "what was held is released")
	})
	return s
}

func to(journal string) client.AppendParams { return client.AppendParams{Journal: journal} }

// put writes text in a write of its own.
func put(t *testing.T, r *Run, p client.AppendParams, text string, waitFor ...Operation) *Future {
	t.Helper()
	w, err := r.Start(t.Context(), p, waitFor...)
	require.NoError(t, err)
	defer w.Discard()
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	f, err := w.Release()
	require.NoError(t, err)
	return f
}

// operation is one of the test's own.
type operation struct {
	done chan struct{}
	err  error
}

func newOperation() *operation { return &operation{done: make(chan struct{})} }

func (o *operation) Done() <-chan struct{} { return o.done }
func (o *operation) Err() error            { <-o.done; return o.err }

func (o *operation) finish(err error) {
	o.err = err
	close(o.done)
}
