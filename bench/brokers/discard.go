package main

import (
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/bench/bare"
	"broadsheet.dev/broadsheet/protocol"
)

// serveDiscard is the role of the bare server.
func serveDiscard() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	protocol.RegisterJournalServer(s, bare.Journal{})
	fmt.Println(ln.Addr())
	failed := make(chan error, 1)
	go func() { failed <- errors.Join(answer()); s.Stop() }()
	return errors.Join(s.Serve(ln), <-failed)
}
