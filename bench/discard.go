package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/bench/bare"
	"broadsheet.dev/broadsheet/protocol"
)

// serveDiscard serves until its standard input ends. It prints its address.
func serveDiscard() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	protocol.RegisterJournalServer(s, bare.Journal{})
	fmt.Println(ln.Addr())
	go func() { // ends the server when the parent is gone
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Stop()
	}()
	return s.Serve(ln)
}

// startDiscard runs the discarding server in a process of its own.
func startDiscard() (string, int, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return "", 0, nil, err
	}
	cmd := exec.Command(self, "discard")
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", 0, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", 0, nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	stop := func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	if err != nil {
		stop()
		return "", 0, nil, err
	}
	return strings.TrimSpace(line), cmd.Process.Pid, stop, nil
}
