package client

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// TestWatchedList follows a list through a broken stream, and through an end of Run.
func TestWatchedList(t *testing.T) {
	s := newScene(t)
	s.server.load(`rpc List
recv selector { include { labels { name: "name" value: "a/journal" } } } watch: true
send $H(3) journals { $S(a/journal) mod_revision: 3 create_revision: 3 route { primary: -1 } }
send
fail Unavailable shutting down
rpc List
recv selector { include { labels { name: "name" value: "a/journal" } } } watch: true watch_resume { route { primary: -1 } etcd { cluster_id: 1 member_id: 2 raft_term: 3 revision: 3 } }
send $H(5)
send
recv gone
rpc List
recv selector { include { labels { name: "name" value: "a/journal" } } } watch: true watch_resume { route { primary: -1 } etcd { cluster_id: 1 member_id: 2 raft_term: 3 revision: 5 } }
send $H(5)
send
recv gone`)
	s.server.advance()
	list := s.client.NewWatchedList(&protocol.LabelSelector{Include: protocol.MustLabelSet("name", "a/journal")})
	require.Nil(t, list.Snapshot())
	changed := list.Changed()
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- list.Run(ctx) }()

	first, err := list.Await(t.Context(), nil)
	require.NoError(t, err)
	require.NotNil(t, first)
	<-changed
	second, err := list.Await(t.Context(), func(s *Snapshot) bool { return s.Header.GetEtcd().GetRevision() == 5 })
	require.NoError(t, err)
	require.Empty(t, second.Journals)
	require.Same(t, second, list.Snapshot())

	cause := errors.New("shutting down")
	cancel(cause)
	require.ErrorIs(t, <-ended, cause)
	_, err = list.Await(ctx, func(*Snapshot) bool { return false })
	require.ErrorIs(t, err, cause)
	var broke *ProtocolError
	require.ErrorAs(t, list.Run(t.Context()), &broke, "it resumes: an older snapshot isn't taken")
	require.Same(t, second, list.Snapshot(), "what was known stays")
	require.Empty(t, s.server.settle())
}

func TestWatchedListsThatAreRefused(t *testing.T) {
	s := newScene(t)
	s.server.load("rpc List\nrecv selector {} watch: true\nfail PermissionDenied no")
	s.server.advance()
	require.Equal(t, codes.PermissionDenied, status.Code(s.client.NewWatchedList(nil).Run(t.Context())))
	require.Empty(t, s.server.settle())
}
