package pgwire

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryMessageIsInAScenario: of each message that a client may send, and that a server may, the scenario files have one. Those of a
// proof (SASL) are in the tests of authentication.
func TestEveryMessageIsInAScenario(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	require.NoError(t, err)
	have := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			first, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			have[first] = true
		}
	}
	for message := range strings.FieldsSeq(`
		Startup SSLRequest GSSENCRequest Query Parse Bind Describe Execute Close Flush Sync CopyData CopyDone CopyFail FunctionCall Terminate
		AuthenticationOk BackendKeyData BindComplete CloseComplete CommandComplete CopyInResponse CopyOutResponse DataRow EmptyQueryResponse
		ErrorResponse NegotiateProtocolVersion NoData NoticeResponse NotificationResponse ParameterDescription ParameterStatus ParseComplete
		PortalSuspended ReadyForQuery RowDescription`) {
		require.True(t, have[message], "%s is in no scenario", message)
	}
}
