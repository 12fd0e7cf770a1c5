package system_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/certs/certstest"
	"broadsheet.dev/broadsheet/test/system"
)

// TestServeAsksForTokens of clients of its broker, at an address that others reach, over TLS; its gateway has a key of its own, which is on no
// command line, and the operator's keys aren't handed to it.
func TestServeAsksForTokens(t *testing.T) {
	const keys = "dGhlIHNlY3JldCBvZiB0aGVzZSB0ZXN0cw=="
	ca := certstest.New(t, "ca")
	files := ca.Issue("server", certs.Files{})
	t.Setenv("BROADSHEET_BROKER_AUTH_KEYS", keys)
	s := start(t, "--listen", "0.0.0.0:0", "--broker.server-cert-file", files.Cert, "--broker.server-cert-key-file", files.Key, "--broker.host", "127.0.0.1")
	conn, err := s.Connect(t.Context())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE t (id BIGINT)")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "INSERT INTO t VALUES (1), (2)")
	require.NoError(t, err)
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n))
	require.Equal(t, 2, n)
	require.NoError(t, conn.Close(t.Context()))

	binary, err := system.Binary()
	require.NoError(t, err)
	port := s.Broker[strings.LastIndexByte(s.Broker, ':')+1:]
	list := func(keys string) (string, error) {
		cmd := exec.Command(binary, "journals", "list", "--broker.address", "https://127.0.0.1:"+port, "--broker.trusted-ca-file", ca.File)
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BROADSHEET_") }), "BROADSHEET_BROKER_AUTH_KEYS="+keys)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := list("")
	require.Error(t, err)
	require.Contains(t, out, "Unauthenticated")
	out, err = list(keys)
	require.NoError(t, err, out)
	require.Contains(t, out, "public/t")

	trusted, err := certs.Load(certs.Files{CA: ca.File}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	shards := &http.Client{Transport: &http.Transport{TLSClientConfig: trusted.Client()}}
	t.Cleanup(shards.CloseIdleConnections)
	r, err := shards.Post("https://127.0.0.1:"+port+"/v1/shards/list", "application/json", nil) //nolint:noctx // of this test
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, http.StatusUnauthorized, r.StatusCode, "shards are the host's to guard")

	pid, err := s.GatewayPID()
	require.NoError(t, err)
	for _, file := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		require.NoError(t, err)
		require.NotContains(t, string(b), keys, file)
	}
}
