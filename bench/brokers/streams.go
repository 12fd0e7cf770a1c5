package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol/streaming"
)

// streams tells whether the brokers serve AppendStream.
func (f *fleet) streams(ctx context.Context) bool {
	conn, err := grpc.NewClient(f.brokers[0].address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	s, err := streaming.NewJournalClient(conn).AppendStream(ctx)
	if err != nil {
		return false
	}
	_ = s.CloseSend() // What it would say Recv does.
	_, err = s.Recv()
	return status.Code(err) != codes.Unimplemented
}
