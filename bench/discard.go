package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/protocol"
)

// discard is a Journal service that takes appends and keeps nothing: the limit of the path.
type discard struct {
	protocol.UnimplementedJournalServer
}

// Append reads the stream to its end and answers.
func (discard) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	n := int64(0)
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		n += int64(len(m.GetContent()))
	}
	return stream.SendAndClose(&protocol.AppendResponse{
		Header: &protocol.Header{
			ProcessId: &protocol.ProcessSpec_ID{Zone: "local", Suffix: "discard"}, Route: protocol.EmptyRoute(),
			Etcd: &protocol.Header_Etcd{ClusterId: 1, MemberId: 1, Revision: 1, RaftTerm: 1},
		},
		Commit:    &protocol.Fragment{Journal: "bench", End: n, Sum: protocol.SumOf(nil), CompressionCodec: protocol.CompressionCodec_NONE},
		Registers: &protocol.LabelSet{},
	})
}

// serveDiscard serves until its standard input ends. It prints its address.
func serveDiscard() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	protocol.RegisterJournalServer(s, discard{})
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
