package cut

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// rowsPerAppend is how many rows an append has, at most, and appendPause how long a writer waits after each.
const (
	rowsPerAppend = 3
	appendPause   = 100 * time.Millisecond
)

// write numbered rows to a journal until ctx is done. Nobody else appends to it.
func write(ctx context.Context, c *client.Client, journal string, number int, l *ledger) error {
	pace := time.NewTicker(appendPause)
	defer pace.Stop()
	r := rand.New(rand.NewPCG(uint64(number), 0)) //nolint:gosec // not a secret
	end, next := int64(0), int64(0)
	for {
		rows := r.Int64N(rowsPerAppend) + 1
		var body bytes.Buffer
		for seq := next; seq < next+rows; seq++ {
			_, _ = fmt.Fprintf(&body, `{"j":%d,"seq":%d,"pad":"%032d"}`+"\n", number, seq, seq)
		}
		l.begin(next+rows, time.Now())
		var err error
		if end, err = appendAt(ctx, c, journal, end, body.Bytes()); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("journal %s: append at %d: %w", journal, end, err)
		}
		l.acknowledge(next + rows)
		next += rows
		select {
		case <-pace.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// began is the register that the first append to a journal sets.
const began = "began"

// appendAt appends at an offset, however often that has to be tried, and returns the end. Whether an append was applied
// that failed is told by what the next is refused for: its offset, or if that is 0, which is any, its register.
func appendAt(ctx context.Context, c *client.Client, journal string, at int64, body []byte) (int64, error) {
	p := client.AppendParams{Journal: journal, Offset: at}
	if at == 0 {
		p.Check = &protocol.LabelSelector{Exclude: &protocol.LabelSet{Labels: []*protocol.Label{{Name: began}}}}
		p.Union = protocol.MustLabelSet(began, "yes")
	}
	tried := false
	for {
		r, err := c.Append(ctx, p, bytes.NewReader(body))
		if err == nil {
			return r.GetCommit().GetEnd(), nil
		}
		if errors.Is(err, protocol.Status_WRONG_APPEND_OFFSET.Err()) || errors.Is(err, protocol.Status_REGISTER_MISMATCH.Err()) {
			head, herr := c.Append(ctx, client.AppendParams{Journal: journal}, bytes.NewReader(nil))
			if herr == nil && tried && head.GetCommit().GetEnd() == at+int64(len(body)) {
				return head.GetCommit().GetEnd(), nil
			}
			if herr == nil {
				return at, fmt.Errorf("the journal ends at %d: %w", head.GetCommit().GetEnd(), err)
			}
		}
		tried = true
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}
