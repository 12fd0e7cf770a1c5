package broker_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// TestStockPrimaryIsRefused: a primary that forms no epochs, as Gazette's, is told so, and by another
// route the route that is known here.
func TestStockPrimaryIsRefused(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	first := func(change func(*protocol.Header)) (*protocol.ReplicateResponse, error) {
		header := mustAppend(ctx, t, b, "a/journal", "").GetHeader()
		change(header)
		stream, err := b.Client().Replicate(ctx)
		require.NoError(t, err)
		require.NoError(t, stream.Send(&protocol.ReplicateRequest{
			Header: header, Acknowledge: true, Registers: new(protocol.LabelSet),
			Proposal: &protocol.Fragment{Journal: "a/journal", CompressionCodec: protocol.CompressionCodec_NONE},
		}))
		return stream.Recv()
	}
	_, err := first(func(*protocol.Header) {})
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
	require.ErrorContains(t, err, "journal a/journal: its primary forms no epochs")

	r, err := first(func(h *protocol.Header) { h.Route.Primary = -1 })
	require.NoError(t, err)
	require.NoError(t, r.Validate())
	require.Equal(t, protocol.Status_WRONG_ROUTE, r.GetStatus())
	require.EqualValues(t, 0, r.GetHeader().GetRoute().GetPrimary())
}
