package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// patience bounds one append.
const patience = 15 * time.Second

// write appends to the journal until ctx is done, one append after the other.
func (r *run) write(ctx context.Context, writer int) error {
	rng := r.rng("writer", writer)
	for seq := 0; ctx.Err() == nil; seq++ {
		lines := 1
		if rng.IntN(4) == 0 {
			lines = 1 + rng.IntN(40)
		}
		op := operation{writer: writer, seq: seq, body: body(rng, writer, seq, lines), called: r.history.now()}
		// An append that is under way goes on to its end: its outcome is to be known.
		resp, err := r.append(context.WithoutCancel(ctx), rng, client.AppendParams{Journal: Journal}, op.body)
		op.returned = r.history.now()
		switch {
		case err == nil:
			op.outcome, op.begin, op.end = acked, resp.GetCommit().GetBegin(), resp.GetCommit().GetEnd()
			r.outages.acked(op.called, op.returned)
		case errors.Is(err, client.ErrUnknownOutcome):
			op.outcome, op.err = unknown, err
		default:
			op.outcome, op.err = refused, err
		}
		r.history.add(op)
		wait := time.Duration(rng.IntN(int(2 * r.cfg.Pace)))
		if err != nil {
			wait += time.Duration(rng.IntN(int(afterFailure)))
		}
		if err := pause(ctx, wait); err != nil {
			return nil //nolint:nilerr // it is told to end
		}
	}
	return nil
}

// afterFailure bounds the pause that follows an append which wasn't acknowledged.
const afterFailure = 200 * time.Millisecond

// append through any broker that is up, as far as is known.
func (r *run) append(ctx context.Context, rng *rand.Rand, p client.AppendParams, content []byte) (*protocol.AppendResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.cluster.pick(rng).client.Append(ctx, p, bytes.NewReader(content))
}

// pick a broker that clients may use; any, if there is none.
func (c *cluster) pick(rng *rand.Rand) *member {
	var up []*member
	for _, m := range c.brokers {
		if m.usable.Load() {
			up = append(up, m)
		}
	}
	if len(up) == 0 {
		up = c.brokers
	}
	return up[rng.IntN(len(up))]
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// mark is how far a reader was, with the checksum of all it had read.
type mark struct {
	offset int64
	sum    uint64
}

// tail is what one reader got.
type tail struct {
	broker string
	marks  []mark
	errs   []string
	at     atomic.Int64 // how far it is
	ended  atomic.Bool
}

// markEvery is how many bytes are between two marks.
const markEvery = 16 << 10

// read tails the journal at a broker until ctx is done. It begins again where it was, as clients do.
func (r *run) read(ctx context.Context, m *member, t *tail) error {
	defer t.ended.Store(true)
	sum, offset := uint64(0), int64(0)
	buf := make([]byte, 32<<10)
	for ctx.Err() == nil {
		reader := m.client.NewReader(ctx, &protocol.ReadRequest{Journal: Journal, Offset: offset, Block: true})
		for {
			n, err := reader.Read(buf)
			sum = crc64.Update(sum, crcTable, buf[:n])
			offset += int64(n)
			t.at.Store(offset)
			if last := len(t.marks) - 1; n > 0 && (last < 0 || offset-t.marks[last].offset >= markEvery) {
				t.marks = append(t.marks, mark{offset, sum})
			}
			if jump := new(client.OffsetJumpError); errors.As(err, &jump) {
				t.errs = append(t.errs, "J8: reader at "+t.broker+": "+err.Error())
				return nil
			}
			if err != nil {
				break
			}
		}
		_ = reader.Close() // It never fails.
		_ = pause(ctx, 50*time.Millisecond)
	}
	t.marks = append(t.marks, mark{offset, sum})
	return nil
}

// checkTail compares what a reader got with the content, of which it must have got all up to a head.
func checkTail(t *tail, content []byte, head int64) []string {
	out := t.errs
	sum, at := uint64(0), int64(0)
	for _, m := range t.marks {
		if m.offset > int64(len(content)) {
			return append(out, "J8: reader at "+t.broker+" read above the head")
		}
		sum = crc64.Update(sum, crcTable, content[at:m.offset])
		if at = m.offset; sum != m.sum {
			return append(out, "J8: reader at "+t.broker+" got other bytes than the journal's")
		}
	}
	if at < head {
		out = append(out, fmt.Sprintf("J8: reader at %s got no further than %d, of %d", t.broker, at, head))
	}
	return out
}

// readAll returns all of a journal as a broker has it now, up to its head.
func readAll(ctx context.Context, m *member, journal string) ([]byte, error) {
	for {
		reader := m.client.NewReader(ctx, &protocol.ReadRequest{Journal: journal})
		content, err := io.ReadAll(reader)
		_ = reader.Close() // It never fails.
		var s *protocol.StatusError
		switch {
		case errors.As(err, &s) && s.Status == protocol.Status_OFFSET_NOT_YET_AVAILABLE && int64(len(content)) >= reader.Head():
			return content, nil
		case ctx.Err() != nil:
			return content, errors.Join(err, context.Cause(ctx))
		}
		if jump := new(client.OffsetJumpError); errors.As(err, &jump) {
			return content, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return content, err
		}
	}
}
