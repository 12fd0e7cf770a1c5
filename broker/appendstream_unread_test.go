package broker_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

// TestAppendStreamReadLate: a client that begins to read only once it has sent nearly all that the broker keeps results of gets all
// results.
func TestAppendStreamReadLate(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	s := newStreamed(ctx, t, b)
	s.open("a/journal")
	const messages, appends, late = 100, 1000, 8
	begun := make(chan struct{})
	g := task.New(ctx, "writer")
	g.Go("write", func(context.Context) error {
		for i := range messages {
			if i == late {
				close(begun)
			}
			m := new(streaming.AppendStreamRequest)
			for range appends {
				s.sequence++
				m.Appends = append(m.Appends, &streamPart{Sequence: s.sequence, Handle: 1, Content: []byte("x")})
			}
			if err := s.stream.Send(m); err != nil {
				return err
			}
		}
		return s.stream.CloseSend()
	})
	select {
	case <-begun:
	case <-g.Context().Done():
	}
	results, err := s.rest()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, g.Wait())
	require.Len(t, results, messages*appends)
}
