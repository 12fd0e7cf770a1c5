package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

// ahead is how many appends of a stream have no result yet, at most: as many as the peer's publications.
const ahead = 4096

// aheadBatch is how many appends a message of the stream has, at most. Each has a result of its own.
const aheadBatch = 64

// loadAhead appends to one journal by one stream, ahead of the results; the number of writers doesn't matter.
func loadAhead(ctx context.Context, address, journal string, l load, d time.Duration) (outcome, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = conn.Close() }()
	eg, ctx := errgroup.WithContext(ctx)
	stream, err := streaming.NewJournalClient(conn).AppendStream(ctx)
	if err != nil {
		return outcome{}, err
	}
	body := bytes.Repeat([]byte("x"), l.size)
	body[l.size-1] = '\n'
	window, begun := semaphore.NewWeighted(ahead), time.Now()
	eg.Go(func() error { return sendAhead(ctx, stream, window, journal, body, begun.Add(d)) })
	var n uint64
	eg.Go(func() error {
		n, err = receiveResults(stream, window)
		return err
	})
	if err := eg.Wait(); err != nil {
		return outcome{}, err
	}
	took := time.Since(begun).Seconds()
	return outcome{Rate: float64(n) / took, Megabytes: float64(n) * float64(l.size) / took / 1e6}, nil
}

// sendAhead sends appends until a time, and closes its side.
func sendAhead(ctx context.Context, s streaming.Journal_AppendStreamClient, window *semaphore.Weighted, journal string, body []byte, until time.Time) error {
	req := &streaming.AppendStreamRequest{Opens: []*streaming.AppendStreamRequest_Open{{Handle: 1, Journal: journal}}}
	for sequence := uint64(1); time.Now().Before(until); {
		if err := window.Acquire(ctx, aheadBatch); err != nil {
			return err
		}
		for range aheadBatch {
			req.Appends = append(req.Appends, &streaming.AppendStreamRequest_Append{Sequence: sequence, Handle: 1, Content: body})
			sequence++
		}
		if err := s.Send(req); err != nil {
			return err
		}
		req = &streaming.AppendStreamRequest{}
	}
	return s.CloseSend()
}

// receiveResults counts the appends of a stream until it ends. Each must have been applied.
func receiveResults(s streaming.Journal_AppendStreamClient, window *semaphore.Weighted) (uint64, error) {
	var n uint64
	for {
		resp, err := s.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return n, nil
			}
			return n, err
		}
		for _, r := range resp.GetResults() {
			if r.GetStatus() != protocol.Status_OK || r.GetNotApplied() || r.GetCode() != 0 || r.GetUnknown() {
				return n, fmt.Errorf("append %d: %v", r.GetSequence(), r)
			}
			n++
		}
		window.Release(int64(len(resp.GetResults())))
	}
}
