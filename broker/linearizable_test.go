package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// journalState of the model: the head, and the register "author", "" if it isn't set.
type journalState struct {
	head   int64
	author string
}

// journalInput is an append of size bytes, or a read of the head.
type journalInput struct {
	read   bool
	size   int64
	offset int64  // precondition, or 0
	check  string // of author, or ""
	set    string // author, or ""
}

// journalOutput is what the client saw. An append whose outcome isn't known may have
// been applied or not, as long as its broker lived.
type journalOutput struct {
	unknown bool
	status  protocol.Status
	begin   int64
	end     int64 // for a read, the head
	author  string
}

// journalModel is what a journal promises to those who use it at the same time:
// offsets and registers are checked and changed in one step, and no head goes back.
var journalModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{journalState{}} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(journalState), input.(journalInput), output.(journalOutput)
		next, want := applyInput(s, in)
		switch {
		case out.unknown:
			return []any{s, next}
		case out != want:
			return nil
		default:
			return []any{next}
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}).ToModel()

func applyInput(s journalState, in journalInput) (journalState, journalOutput) {
	switch {
	case in.read:
		return s, journalOutput{end: s.head}
	case in.check != "" && s.author != "" && in.check != s.author:
		return s, journalOutput{status: protocol.Status_REGISTER_MISMATCH, author: s.author}
	case in.offset != 0 && in.offset != s.head:
		return s, journalOutput{status: protocol.Status_WRONG_APPEND_OFFSET}
	}
	next := journalState{head: s.head + in.size, author: s.author}
	if in.set != "" {
		next.author = in.set
	}
	return next, journalOutput{begin: s.head, end: next.head, author: next.author}
}

// perform does an operation on a broker.
func perform(ctx context.Context, b *brokertest.Broker, in journalInput) journalOutput {
	if in.read {
		messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal", Offset: -1})
		if err != nil || len(messages) != 1 {
			return journalOutput{unknown: true}
		}
		return journalOutput{end: messages[0].GetWriteHead()}
	}
	params := &protocol.AppendRequest{Journal: "a/journal", Offset: in.offset}
	if in.check != "" {
		params.CheckRegisters = &protocol.LabelSelector{Include: protocol.MustLabelSet("author", in.check)}
	}
	if in.set != "" {
		params.UnionRegisters = protocol.MustLabelSet("author", in.set)
	}
	r, err := appendWith(ctx, b.Client(), params, strings.Repeat("x", int(in.size)))
	if err != nil || r.GetStatus() == protocol.Status_NO_JOURNAL_PRIMARY_BROKER {
		return journalOutput{unknown: true}
	}
	return journalOutput{
		status: r.GetStatus(), begin: r.GetCommit().GetBegin(), end: r.GetCommit().GetEnd(),
		author: r.GetRegisters().ValueOf("author"),
	}
}

// randomInput is an operation that has a fair chance to meet its preconditions.
func randomInput(head *int64, author *string) journalInput {
	in := journalInput{size: int64(rand.N(3) * rand.N(400))}
	switch rand.N(10) {
	case 0, 1:
		return journalInput{read: true}
	case 2, 3:
		in.offset = *head
	case 4, 5, 6:
		in.check = *author
	default:
	}
	if in.size > 0 && rand.N(3) == 0 {
		in.set = fmt.Sprintf("author-%d", rand.N(4))
	}
	return in
}

// TestLinearizable: what clients see of offsets, registers and heads at the same time
// is what they would see one after the other, also over kills.
func TestLinearizable(t *testing.T) {
	for _, mode := range []spool.Mode{spool.Synced, spool.Replicated} {
		t.Run(mode.String(), func(t *testing.T) {
			b := brokertest.New(t, brokertest.Config{Mode: mode})
			spec := brokertest.Spec("a/journal")
			spec.Fragment.Length = 2 << 10
			b.Create(spec)
			var history []porcupine.Operation
			for round := range 4 {
				history = append(history, record(bounded(t), t, b, round%2 == 0)...)
				b.Restart()
			}
			result := porcupine.CheckOperationsTimeout(journalModel, history, time.Minute)
			require.Equal(t, porcupine.Ok, result)
		})
	}
}

// record runs clients, each of which does some operations, until the first of which
// it doesn't know the outcome. Half way it kills the broker, if it is to.
func record(ctx context.Context, t *testing.T, b *brokertest.Broker, kill bool) []porcupine.Operation {
	t.Helper()
	const clients, each = 8, 25
	var mu sync.Mutex
	var history []porcupine.Operation
	half := make(chan struct{})
	g := task.New(ctx, "clients")
	for client := range clients {
		g.Go("client", func(ctx context.Context) error {
			var head int64
			var author string
			for range each {
				in := randomInput(&head, &author)
				called := time.Now().UnixNano()
				out := perform(ctx, b, in)
				returned := time.Now().UnixNano()
				if !out.unknown {
					head, author = max(head, out.end), out.author
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: called, Output: out, Return: returned})
				if len(history) == clients*each/2 {
					close(half)
				}
				mu.Unlock()
				if out.unknown {
					break
				}
			}
			return nil
		})
	}
	if kill {
		<-half
		b.Kill()
	}
	require.NoError(t, g.Wait())
	// What the killed broker didn't do by now it never does.
	over := time.Now().UnixNano()
	for i := range history {
		if history[i].Output.(journalOutput).unknown {
			history[i].Return = over
		}
	}
	return history
}
