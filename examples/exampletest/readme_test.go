package exampletest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/test/system"
)

// TestPage: what examples/README.md says that examples run on comes up, but for what it builds.
func TestPage(t *testing.T) {
	testenv.Program(t, "curl")
	etcd := testenv.Tool(t, "etcd")
	ours, err := system.Binary()
	require.NoError(t, err)
	_, text, found := strings.Cut(shellOf(t, "../README.md"), "\nexport PATH=")
	require.True(t, found)
	_, text, _ = strings.Cut(text, "\n")
	ports, err := testenv.FreePorts(4)
	require.NoError(t, err)
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	text = strings.NewReplacer("127.0.0.1:8080", address(0), "127.0.0.1:2379", address(1)).Replace(text)
	out := runShell(t, t.TempDir(), text, map[string]string{"broadsheet": ours, "etcd": etcd},
		"BROADSHEET_LISTEN="+address(0), "BROADSHEET_SQL_LISTEN="+address(2),
		"ETCD_LISTEN_CLIENT_URLS=http://"+address(1), "ETCD_ADVERTISE_CLIENT_URLS=http://"+address(1),
		"ETCD_LISTEN_PEER_URLS=http://"+address(3), "ETCD_INITIAL_ADVERTISE_PEER_URLS=http://"+address(3), "ETCD_INITIAL_CLUSTER=default=http://"+address(3))
	require.Contains(t, out, `"health":"true"`)
}
