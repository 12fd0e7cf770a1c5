package broker

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
)

// TestHintsOfBrokersThatAreMissing: a journal that waits to be assigned and one that can't be, as there
// are fewer brokers than its replication, or they can't be reached, are told apart, since only the latter asks for
// somebody to act.
func TestHintsOfBrokersThatAreMissing(t *testing.T) {
	unassigned := statusHint(protocol.Status_NO_JOURNAL_PRIMARY_BROKER)
	require.Contains(t, unassigned, "try again in a moment")
	require.NotContains(t, unassigned, "start another broker")
	insufficient := statusHint(protocol.Status_INSUFFICIENT_JOURNAL_BROKERS)
	require.Contains(t, insufficient, "see that its brokers run, or start another broker")
	require.Contains(t, insufficient, "lower the replication")
}

// TestPutIsNotBegunAgainOnceContentWasTaken: a PUT that another broker answered with a status, after it was
// sent content, isn't tried again with an empty rest of its body, and so acknowledged without its content.
func TestPutIsNotBegunAgainOnceContentWasTaken(t *testing.T) {
	type taken struct {
		before, after bool
		content       string
		err           error
	}
	answered := make(chan taken, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &putSource{
			journal: "a/journal", body: r.Body, control: http.NewResponseController(w),
			patience: patience{wait: time.Minute, ctx: r.Context()},
		}
		var got taken
		_, first := s.Recv()
		got.before = s.whole()
		m, err := s.Recv()
		got.after, got.content, got.err = s.whole(), string(m.GetContent()), errors.Join(first, err)
		answered <- got
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, strings.NewReader("content"))
	require.NoError(t, err)
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, taken{before: true, content: "content"}, <-answered, "parameters alone can be taken again, content can't")
}
