package views

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/views/rowcodec"
	"broadsheet.dev/broadsheet/views/viewspb"
)

// Client reads views by any host of theirs.
type Client struct {
	rpc    viewspb.ViewsServiceClient
	shards shards.ShardClient
}

// NewClient returns a client of the host that a connection leads to.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{viewspb.NewViewsServiceClient(conn), shards.NewShardClient(conn)}
}

const (
	// patience is how long a client waits for somebody to have a view: it was just made, or whoever had it has gone.
	patience = 30 * time.Second
	// failurePatience is how long it waits for a shard that has failed here: it may have been for a broker's going, or for a row.
	failurePatience = 5 * time.Second
	// firstPause and lastPause are between attempts.
	firstPause, lastPause = 20 * time.Millisecond, time.Second
	// maxMessage is the largest message that is received: one row may be long.
	maxMessage = 256 << 20
)

// State says which state of a view rows are of.
type State struct {
	// Epoch is the number of the transaction that made it.
	Epoch uint64
	// Cut is up to where each journal was read.
	Cut map[string]int64
	// Columns of the rows.
	Columns []columnar.Column
	// Types are DuckDB's names of the columns' types, as they were made: several of its types are handed on as one.
	Types []string
	// Rows there are.
	Rows uint64
}

// stateOf the protocol.
func stateOf(s *viewspb.State) (State, error) {
	out := State{Epoch: s.GetEpoch(), Cut: s.GetCut(), Rows: s.GetRows()}
	if out.Cut == nil {
		out.Cut = make(map[string]int64)
	}
	for _, c := range s.GetColumns() {
		t, err := columnar.TypeFromSQL(c.GetType(), nil)
		if err != nil {
			return State{}, fmt.Errorf("column %q: %w", c.GetName(), err)
		}
		out.Columns = append(out.Columns, columnar.Column{Name: c.GetName(), Type: t})
		out.Types = append(out.Types, c.GetEngine())
	}
	return out, nil
}

// again calls until there is somebody who has the view, or for as long as the patience lasts: since nobody has had it.
func again(ctx context.Context, call func() error) error {
	var pause time.Duration
	var until, failed time.Time
	for {
		began := time.Now()
		err := call()
		code := status.Code(err)
		if code != codes.Unavailable && code != codes.Aborted || ctx.Err() != nil {
			return err
		}
		switch {
		case code != codes.Aborted:
			failed = time.Time{}
		case failed.IsZero():
			failed = began
		case time.Since(failed) > failurePatience:
			return err
		}
		if now := time.Now(); until.IsZero() || now.Sub(began) > lastPause { // Somebody had.
			pause, until = firstPause, now.Add(patience)
		} else if now.Add(pause).After(until) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// failed is the error of a request, in words.
func failed(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if _, ok := status.FromError(err); !ok {
		return err
	}
	return &RemoteError{Code: status.Code(err), Message: status.Convert(err).Message()}
}

// RemoteError is what a host of views has answered.
type RemoteError struct {
	Code    codes.Code
	Message string
}

// Error is the message.
func (e *RemoteError) Error() string { return e.Message }

// Stat tells how far a view is.
func (c *Client) Stat(ctx context.Context, view int64) (State, error) {
	r, err := c.rpc.Stat(ctx, &viewspb.StatRequest{View: view})
	if err != nil {
		return State{}, failed(ctx, err)
	}
	return stateOf(r.GetState())
}

// Read returns the state of a view, once it has read journals up to offsets at least. Ctx bounds the reading of its rows, too.
func (c *Client) Read(ctx context.Context, view int64, atLeast map[string]int64) (*Reading, error) {
	r := &Reading{}
	err := again(ctx, func() error {
		r.ctx, r.cancel = context.WithCancel(ctx)
		var err error
		r.stream, err = c.rpc.Read(r.ctx, &viewspb.ReadRequest{View: view, AtLeast: atLeast}, grpc.MaxCallRecvMsgSize(maxMessage))
		var first *viewspb.ReadResponse
		if err == nil {
			first, err = r.stream.Recv()
		}
		if err == nil && first.GetState() == nil {
			err = status.Error(codes.Internal, "the answer doesn't begin with its state")
		}
		if err == nil {
			r.State, err = stateOf(first.GetState())
		}
		if err != nil {
			r.cancel()
		}
		return err
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	if r.decoder, err = rowcodec.NewDecoder(typesOf(r.Columns)); err != nil {
		r.cancel()
		return nil, err
	}
	return r, nil
}

// Reading is a state of a view, and its rows. Whoever has it calls Close.
type Reading struct {
	State

	ctx     context.Context //nolint:containedctx // of the stream
	cancel  context.CancelFunc
	stream  viewspb.ViewsService_ReadClient
	decoder *rowcodec.Decoder
}

// Next returns rows, and io.EOF at the end.
func (r *Reading) Next() (*columnar.Batch, error) {
	m, err := r.stream.Recv()
	if err != nil {
		return nil, failed(r.ctx, err)
	}
	b, _, err := decodeChunk(r.decoder, m.GetRows(), 0)
	return b, err
}

// Close ends the reading.
func (r *Reading) Close() error {
	r.cancel()
	return nil
}

// decodeChunk decodes rows, without so many first ones, and tells how many there are with them.
func decodeChunk(d *rowcodec.Decoder, chunk []byte, without int) (*columnar.Batch, int, error) {
	into, n := d.NewBuilder(), 0
	for ; len(chunk) > 0; n++ {
		row, rest, err := rowcodec.Next(chunk)
		if err != nil {
			return nil, 0, err
		}
		chunk = rest
		if n < without {
			continue
		}
		if err := d.Append(into, row); err != nil {
			return nil, 0, err
		}
	}
	return into.Batch(), n, nil
}
