package consumer

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
)

// TestQueue: what was put is taken, in its order, whatever is done between; and no more is held than may be.
func TestQueue(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 200).Draw(t, "most")
		q := newQueue(most)
		put, took := int64(0), int64(0)
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			for range rapid.IntRange(0, 90).Draw(t, "puts") {
				if put-took == int64(most) {
					require.Error(t, q.put(ended, message.Envelope{}), "it is full")
					break
				}
				require.NoError(t, q.put(t.Context(), message.Envelope{Begin: put, End: put + 10}))
				put++
			}
			for range rapid.IntRange(0, 90).Draw(t, "takes") {
				env, ok := q.take()
				require.Equal(t, took < put, ok)
				if !ok {
					require.LessOrEqual(t, cap(q.items), keptItems, "an empty queue takes no room")
					break
				}
				require.Equal(t, took, env.Begin)
				took++
			}
		}
	})
}

// TestQueueOfLargeMessages: bytes are bounded as well, but one message always finds room.
func TestQueueOfLargeMessages(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	q := newQueue(10)
	require.NoError(t, q.put(t.Context(), message.Envelope{End: 2 * readAheadBytes}))
	require.Error(t, q.put(ended, message.Envelope{End: 1}))
	_, ok := q.take()
	require.True(t, ok)
	require.NoError(t, q.put(t.Context(), message.Envelope{End: 1}))
}
