package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bounded returns a context that outlasts every wait of a test that passes.
func bounded(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

// appendMessages sends messages as they are, half-closes, and returns the outcome.
func appendMessages(ctx context.Context, c protocol.JournalClient, messages ...*protocol.AppendRequest) (*protocol.AppendResponse, error) {
	stream, err := c.Append(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			break // The outcome tells why.
		}
	}
	return stream.CloseAndRecv()
}

// appendWith appends content with the given parameters, in one message.
func appendWith(ctx context.Context, c protocol.JournalClient, params *protocol.AppendRequest, content string) (*protocol.AppendResponse, error) {
	messages := []*protocol.AppendRequest{params}
	if content != "" {
		messages = append(messages, &protocol.AppendRequest{Content: []byte(content)})
	}
	return appendMessages(ctx, c, append(messages, new(protocol.AppendRequest))...)
}

// mustAppend appends content and returns the response, which is OK.
func mustAppend(ctx context.Context, tb testing.TB, b *brokertest.Broker, journal, content string) *protocol.AppendResponse {
	tb.Helper()
	r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: journal}, content)
	require.NoError(tb, err)
	require.Equal(tb, protocol.Status_OK, r.GetStatus(), "%v", r)
	require.NoError(tb, r.Validate())
	return r
}

// readAll returns all messages of a read.
func readAll(ctx context.Context, c protocol.JournalClient, req *protocol.ReadRequest) ([]*protocol.ReadResponse, error) {
	stream, err := c.Read(ctx, req)
	if err != nil {
		return nil, err
	}
	var out []*protocol.ReadResponse
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
}

// mustRead returns the content of a journal from an offset up to its head.
func mustRead(ctx context.Context, tb testing.TB, b *brokertest.Broker, journal string, offset int64) string {
	tb.Helper()
	messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: journal, Offset: offset})
	require.NoError(tb, err)
	var content strings.Builder
	for i, m := range messages {
		require.NoError(tb, m.Validate())
		switch {
		case len(m.GetContent()) != 0:
			require.Equal(tb, offset, m.GetOffset())
			content.Write(m.GetContent())
			offset += int64(len(m.GetContent()))
		case i == len(messages)-1:
			require.Equal(tb, protocol.Status_OFFSET_NOT_YET_AVAILABLE, m.GetStatus())
		default:
			require.Equal(tb, protocol.Status_OK, m.GetStatus())
		}
	}
	return content.String()
}

func nameSelector(name string) *protocol.LabelSelector {
	return &protocol.LabelSelector{Include: &protocol.LabelSet{Labels: []*protocol.Label{{Name: protocol.MetaLabelName, Value: name}}}}
}

// listAll returns the journals of a listing that isn't a watch.
func listAll(ctx context.Context, c protocol.JournalClient, req *protocol.ListRequest) ([]*protocol.ListResponse_Journal, error) {
	stream, err := c.List(ctx, req)
	if err != nil {
		return nil, err
	}
	var out []*protocol.ListResponse_Journal
	for i := 0; ; i++ {
		r, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && i != 0:
			return out, nil
		case err != nil:
			return nil, err
		case (r.GetHeader() != nil) != (i == 0):
			return nil, errors.New("the first message has a header, and no other")
		case len(r.GetJournals()) == 0 && i != 0, len(r.GetJournals()) > 25:
			return nil, fmt.Errorf("message %d has %d journals", i, len(r.GetJournals()))
		}
		out = append(out, r.GetJournals()...)
	}
}

// awaitStored waits until a journal has n stored fragments, and locally none but
// the open one.
func awaitStored(ctx context.Context, tb testing.TB, b *brokertest.Broker, journal string, n int) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := b.Client().ListFragments(ctx, &protocol.FragmentsRequest{Journal: journal})
		require.NoError(tb, err)
		stored, local := 0, 0
		for _, f := range r.GetFragments() {
			if f.GetSpec().GetModTime() != 0 {
				stored++
				// The broker that still had it would send what is in it.
				m, err := readAll(ctx, b.Client(), &protocol.ReadRequest{
					Journal: journal, Offset: f.GetSpec().GetBegin(), EndOffset: f.GetSpec().GetEnd(), DoNotProxy: true,
				})
				require.NoError(tb, err)
				local += 2 * (len(m) - 1)
			} else {
				local++
			}
		}
		if stored == n && local <= 1 && len(b.SpoolFiles(journal)) <= 2 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			require.FailNow(tb, "fragments not stored", "%d stored, %d local, files %v", stored, local, b.SpoolFiles(journal))
		}
	}
}
