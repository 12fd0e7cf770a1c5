package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/protocol"
)

// drippingStream is an append's stream whose messages each take a time to come.
type drippingStream struct {
	grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]
	ctx   context.Context
	pause time.Duration
}

func (s *drippingStream) Context() context.Context { return s.ctx }

func (s *drippingStream) Recv() (*protocol.AppendRequest, error) {
	select {
	case <-time.After(s.pause):
		return new(protocol.AppendRequest), nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// TestPatience: an append ends when nothing is received for a time, not when each message takes nearly
// as long, nor while one is worked on.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := &drippingStream{ctx: endable(t.Context()), pause: time.Minute - 1}
		source := newPatientSource(stream, time.Minute)
		defer source.stop()
		for range 10 {
			_, err := source.Recv()
			require.NoError(t, err)
		}
		<-time.After(time.Hour)
		_, err := source.Recv()
		require.NoError(t, err)
		stream.pause = time.Hour
		began := time.Now()
		_, err = source.Recv()
		require.ErrorIs(t, err, errIdle)
		require.ErrorIs(t, stream.Context().Err(), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(began))
	})
}

// TestPatienceEndsWithItsSource: a look that began before the source was stopped leaves no timer behind.
func TestPatienceEndsWithItsSource(t *testing.T) {
	source := newPatientSource(&drippingStream{ctx: endable(t.Context())}, time.Hour)
	source.stop()
	source.look(func(error) { require.Fail(t, "nobody is awaited") })
	require.False(t, source.timer.Stop(), "it was set again")
}
