package columnar

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAcknowledgementsAreNoRows, nor rejects, where lines are messages; and no content that has one is clean.
func TestAcknowledgementsAreNoRows(t *testing.T) {
	const (
		row = `{"_meta":{"uuid":"3b4a5968-1d2c-11ee-8801-230000000001"},"a":1}` + "\n"
		ack = `{"_meta":{"uuid":"3b4a5968-1d2c-11ee-8c02-230000000001"}}` + "\n"
	)
	schema := textSchema()
	for _, c := range []struct {
		messages string
		rows     int
		clean    bool
	}{{"", 2, true}, {"/_meta/uuid", 1, false}, {"/elsewhere", 2, true}} {
		schema.Messages = c.messages
		s := NewScanner(strings.NewReader(row+ack), ScanOptions{End: -1, Schema: schema, Ends: true})
		b, rejects, err := s.Next()
		require.NoError(t, err)
		require.Empty(t, rejects)
		require.Equal(t, c.rows, b.Len, c.messages)
		if c.messages == "/_meta/uuid" {
			require.EqualValues(t, 2225291428888942208, b.Clocks[0]&^15)
			require.Equal(t, b.Clocks, b.Slice(0, 1).Clocks)
		}
		proof := prove(t, schema, row+ack)
		require.Equal(t, c.clean, proof.Clean, c.messages)
		require.EqualValues(t, c.rows, proof.Rows)
		require.True(t, prove(t, schema, row).Clean)
	}
	plain := textSchema()
	require.NotEqual(t, plain.Fingerprint(), schema.Fingerprint(), "what a proof is of")
	schema.Messages = "uuid"
	require.ErrorContains(t, schema.Validate(), "must begin with a slash")
}
