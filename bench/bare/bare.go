// Package bare is a gRPC server that takes the messages of brokers and keeps nothing: the limit of the path, beside which
// the programs of bench/ put what brokers do.
package bare

import (
	"errors"
	"io"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/protocol"
)

// Journal is a Journal service that takes appends and keeps nothing, and answers reads with
// bytes that it makes up: the limit of the path.
type Journal struct {
	protocol.UnimplementedJournalServer
}

func (Journal) header() *protocol.Header {
	return &protocol.Header{
		ProcessId: &protocol.ProcessSpec_ID{Zone: "local", Suffix: "discard"}, Route: protocol.EmptyRoute(),
		Etcd: &protocol.Header_Etcd{ClusterId: 1, MemberId: 1, Revision: 1, RaftTerm: 1},
	}
}

// Append reads the stream to its end and answers.
func (d Journal) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
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
		Header:    d.header(),
		Commit:    &protocol.Fragment{Journal: "bench", End: n, Sum: protocol.SumOf(nil), CompressionCodec: protocol.CompressionCodec_NONE},
		Registers: &protocol.LabelSet{},
	})
}

// readChunk is how much content a message of a read has: with its envelope 32 KiB, as Gazette's.
const readChunk = 32<<10 - 32

// Read answers with what was asked for up to its end, from memory.
func (d Journal) Read(req *protocol.ReadRequest, stream grpc.ServerStreamingServer[protocol.ReadResponse]) error {
	at, end := req.GetOffset(), req.GetEndOffset()
	err := stream.Send(&protocol.ReadResponse{
		Header: d.header(), Offset: at, WriteHead: end,
		Fragment: &protocol.Fragment{Journal: req.GetJournal(), Begin: at, End: end, Sum: new(protocol.SHA1Sum), CompressionCodec: protocol.CompressionCodec_NONE},
	})
	content := make([]byte, readChunk)
	for err == nil && at < end {
		chunk := content[:min(readChunk, end-at)]
		err = stream.Send(&protocol.ReadResponse{Offset: at, Content: chunk})
		at += int64(len(chunk))
	}
	return err
}
