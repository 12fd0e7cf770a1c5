package async

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"broadsheet.dev/broadsheet/protocol"
)

// Operation is something under way that appends can wait for: a Future, or anything
// else. Its type must be comparable, as pointers are.
type Operation interface {
	// Done is closed once the operation has ended.
	Done() <-chan struct{}
	// Err waits until the operation has ended, and returns nil if it succeeded.
	Err() error
}

// Future is the append that a write became part of. It may be used concurrently, and
// holds none of the content.
type Future struct {
	outcome  *outcome
	from, to int64 // of the write, within the append
}

// outcome of an append. All but done may be read once done is closed.
type outcome struct {
	journal  string
	done     chan struct{}
	response *protocol.AppendResponse
	err      error
}

// Journal that is appended to.
func (f *Future) Journal() string { return f.outcome.journal }

// Done is closed once the append has an outcome.
func (f *Future) Done() <-chan struct{} { return f.outcome.done }

// Err waits for the outcome: nil if the append was applied; a *NotAppliedError, or an
// error of the Appender.
func (f *Future) Err() error {
	<-f.outcome.done
	return f.outcome.err
}

// Response waits for the outcome, and returns the broker's response: nil if there was
// none. It is shared by all writes of the append, and must not be changed.
func (f *Future) Response() *protocol.AppendResponse {
	<-f.outcome.done
	return f.outcome.response
}

// Range waits for the outcome, and returns the offsets [begin, end) of the write; both 0
// if it wasn't applied.
func (f *Future) Range() (int64, int64) {
	if f.Err() != nil {
		return 0, 0
	}
	begin := f.outcome.response.GetCommit().GetBegin()
	return begin + f.from, begin + f.to
}

// identity of an operation: writes of one append are one operation.
func identity(o Operation) any {
	if f, ok := o.(*Future); ok {
		return f.outcome
	}
	return o
}

// checkOperations refuses what can't be told from others.
func checkOperations(waitFor []Operation) error {
	for _, o := range waitFor {
		if o == nil || !reflect.TypeOf(o).Comparable() {
			return fmt.Errorf("can't wait for an operation of type %T", o)
		}
	}
	return nil
}

// isSubset reports whether every operation of a is in b.
func isSubset(a, b []Operation) bool {
	return !slices.ContainsFunc(a, func(x Operation) bool {
		return !slices.ContainsFunc(b, func(y Operation) bool { return identity(x) == identity(y) })
	})
}

// await all operations. It returns the error of the first that failed, in their order, or
// the context's cause.
func await(ctx context.Context, operations []Operation) error {
	for _, o := range operations {
		select {
		case <-o.Done():
			if err := o.Err(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
