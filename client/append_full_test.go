package client

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// fullServer is a broker without room: it takes an append whole, and fails it. One of ours says that it left nothing.
type fullServer struct {
	protocol.UnimplementedJournalServer

	says bool
}

func (s *fullServer) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if s.says {
		stream.SetTrailer(metadata.Pairs(trailerNotApplied, "true"))
	}
	return status.Error(codes.ResourceExhausted, "no space left on device")
}

// TestAppendToFullDisk: the outcome of an append that a broker failed is known if the broker says so, and only then.
func TestAppendToFullDisk(t *testing.T) {
	for name, says := range map[string]bool{"ours": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			endpoint := serveGRPC(t, func(r grpc.ServiceRegistrar) { protocol.RegisterJournalServer(r, &fullServer{says: says}) })
			c, err := Dial(t.Context(), Config{Endpoint: endpoint})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, c.Close()) })
			a, err := c.NewAppender(t.Context(), AppendParams{Journal: "a/journal"})
			require.NoError(t, err)
			_, err = a.Write([]byte("content"))
			require.NoError(t, err)
			_, err = a.Commit()
			require.Equal(t, codes.ResourceExhausted, status.Code(err))
			require.Equal(t, !says, errors.Is(err, ErrUnknownOutcome), "%v", err)
		})
	}
}
