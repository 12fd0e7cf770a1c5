package broker

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
)

// TestHintsOfBrokersThatAreMissing: a journal that waits to be assigned and one that can't be, as there
// are fewer brokers than its replication, are told apart, since only the latter asks for somebody to act.
func TestHintsOfBrokersThatAreMissing(t *testing.T) {
	unassigned := statusHint(protocol.Status_NO_JOURNAL_PRIMARY_BROKER)
	require.Contains(t, unassigned, "try again in a moment")
	require.NotContains(t, unassigned, "start another broker")
	insufficient := statusHint(protocol.Status_INSUFFICIENT_JOURNAL_BROKERS)
	require.Contains(t, insufficient, "start another broker")
	require.Contains(t, insufficient, "lower the replication")
}

// TestPutIsNotBegunAgainOnceContentWasTaken: a PUT that another broker answered with a status, after it was
// sent content, isn't tried again with an empty rest of its body, and so acknowledged without its content.
func TestPutIsNotBegunAgainOnceContentWasTaken(t *testing.T) {
	answered := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(answered)
		s := &putSource{
			journal: "a/journal", body: r.Body, control: http.NewResponseController(w),
			patience: patience{wait: time.Minute, ctx: r.Context()},
		}
		_, err := s.Recv()
		assert.NoError(t, err)
		assert.True(t, s.whole(), "parameters alone were taken")
		m, err := s.Recv()
		assert.NoError(t, err)
		assert.Equal(t, "content", string(m.GetContent()))
		assert.False(t, s.whole(), "content was taken")
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, strings.NewReader("content"))
	require.NoError(t, err)
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	<-answered
}
