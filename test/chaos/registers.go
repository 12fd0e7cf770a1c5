package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// registerName is the register that clients fence each other by.
const registerName = "author"

// condInput is an append under conditions.
type condInput struct {
	id     string // that its content begins with, unique
	size   int64
	offset int64  // that it has to begin at; 0 is any
	check  string // author that there has to be; "" is any
	set    string // author that is set; "" is none
}

// condOutput is what the client was told.
type condOutput struct {
	unknown    bool
	status     protocol.Status
	begin, end int64
}

// condState of the journal: its head and its author, "" before one is set.
type condState struct {
	head   int64
	author string
}

// condModel is what appends under conditions promise. Of those whose outcome wasn't told it is found out
// from the journal itself; one that is there may have been applied at any time after it was called.
var condModel = porcupine.Model{
	Init: func() any { return condState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(condState), input.(condInput), output.(condOutput)
		next, want := in.apply(s)
		return out == want, next
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

func (in condInput) apply(s condState) (condState, condOutput) {
	switch {
	case in.check != "" && s.author != "" && in.check != s.author:
		return s, condOutput{status: protocol.Status_REGISTER_MISMATCH}
	case in.offset != 0 && in.offset != s.head:
		return s, condOutput{status: protocol.Status_WRONG_APPEND_OFFSET}
	}
	next := condState{head: s.head + in.size, author: s.author}
	if in.set != "" {
		next.author = in.set
	}
	return next, condOutput{begin: s.head, end: next.head}
}

// contest is the history of a journal on which clients append under conditions.
type contest struct {
	journal string

	mu     sync.Mutex
	ops    []porcupine.Operation
	head   int64  // that was told last
	author string // that was set last
	sets   int
	calls  int
}

// compete appends under conditions until ctx is done.
func (r *run) compete(ctx context.Context, c *contest, who int) error {
	rng := r.rng("contest", who)
	for ctx.Err() == nil {
		in := c.next(rng)
		called := r.history.now()
		out, definite := r.perform(context.WithoutCancel(ctx), rng, c.journal, in)
		if definite {
			c.note(who, in, out, called, r.history.now())
		}
		if err := pause(ctx, time.Duration(rng.IntN(int(8*r.cfg.Pace)))); err != nil {
			return nil //nolint:nilerr // it is told to end
		}
	}
	return nil
}

// next input, which has a fair chance to meet its conditions.
func (c *contest) next(rng *rand.Rand) condInput {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	in := condInput{id: fmt.Sprintf("%d:", c.calls), size: int64(20 + rng.IntN(200))}
	switch rng.IntN(4) {
	case 0:
		in.offset = c.head
	case 1:
		in.check = c.author
	case 2:
		in.check = c.author
		c.sets++
		in.set = fmt.Sprintf("author-%d", c.sets)
	}
	return in
}

func (c *contest) note(who int, in condInput, out condOutput, called, returned time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op := porcupine.Operation{ClientId: who, Input: in, Call: int64(called), Output: out, Return: int64(returned)}
	c.ops = append(c.ops, op)
	if !out.unknown && out.status == protocol.Status_OK {
		c.head = out.end
		if in.set != "" {
			c.author = in.set
		}
	}
}

// perform an append. The second result is false if it certainly had no effect, and tells nothing.
func (r *run) perform(ctx context.Context, rng *rand.Rand, journal string, in condInput) (condOutput, bool) {
	p := client.AppendParams{Journal: journal, Offset: in.offset}
	if in.check != "" {
		p.Check = &protocol.LabelSelector{Include: protocol.MustLabelSet(registerName, in.check)}
	}
	if in.set != "" {
		p.Union = protocol.MustLabelSet(registerName, in.set)
		p.Subtract = protocol.MustLabelSet(registerName, "")
	}
	resp, err := r.append(ctx, rng, p, []byte(in.id+strings.Repeat("x", int(in.size)-1-len(in.id))+"\n"))
	var s *protocol.StatusError
	switch {
	case err == nil:
		return condOutput{begin: resp.GetCommit().GetBegin(), end: resp.GetCommit().GetEnd()}, true
	case errors.Is(err, client.ErrUnknownOutcome):
		return condOutput{unknown: true}, true
	case errors.As(err, &s) && (s.Status == protocol.Status_REGISTER_MISMATCH || s.Status == protocol.Status_WRONG_APPEND_OFFSET):
		return condOutput{status: s.Status}, true
	default:
		return condOutput{}, false
	}
}

// never is when an append returns of which nobody was told.
const never = int64(365 * 24 * time.Hour)

// resolve finds out what became of appends whose outcome wasn't told. Those that had no effect
// are left out.
func (c *contest) resolve(content []byte) ([]porcupine.Operation, []string) {
	at := make(map[string]span)
	var out []string
	for begin := 0; begin < len(content); {
		line, _, _ := bytes.Cut(content[begin:], []byte("\n"))
		end := begin + len(line) + 1
		id, _, _ := strings.Cut(string(line), ":")
		if _, twice := at[id+":"]; twice {
			out = append(out, fmt.Sprintf("J2: append %s of journal %s is there twice", id, c.journal))
		}
		at[id+":"] = span{int64(begin), int64(end)}
		begin = end
	}
	var ops []porcupine.Operation
	for i, op := range c.ops {
		in, told := op.Input.(condInput), op.Output.(condOutput)
		found, there := at[in.id]
		switch {
		case told.unknown && !there:
			continue
		case told.unknown:
			op.ClientId, op.Return = 1000+i, never
			op.Output = condOutput{begin: found.begin, end: found.end}
		case there != (told.status == protocol.Status_OK), there && found != (span{told.begin, told.end}):
			out = append(out, fmt.Sprintf("J2: append %s of journal %s was told %+v and is at %v (there: %v)", in.id, c.journal, told, found, there))
		}
		ops = append(ops, op)
	}
	return ops, out
}

// check that the history is linearizable (J6), and ends where the journal does.
func (c *contest) check(content []byte, patience time.Duration) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	if int64(len(content)) < c.head {
		out = append(out, fmt.Sprintf("J2: journal %s ends at %d, and %d was acknowledged", c.journal, len(content), c.head))
	}
	ops, violations := c.resolve(content)
	out = append(out, violations...)
	switch porcupine.CheckOperationsTimeout(condModel, ops, patience) {
	case porcupine.Illegal:
		out = append(out, fmt.Sprintf("J6: %d appends under conditions aren't linearizable", len(c.ops)))
	case porcupine.Unknown:
		out = append(out, fmt.Sprintf("J6: whether %d appends under conditions are linearizable wasn't found out in %v", len(c.ops), patience))
	case porcupine.Ok:
	}
	return out
}
