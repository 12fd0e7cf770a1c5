package broker

import (
	"testing"

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
