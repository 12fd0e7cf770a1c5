package script

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/test/system"
)

// TestServeJoinsAFleet: what docs/fleet.md says of the data of a `serve`.
func TestServeJoinsAFleet(t *testing.T) {
	etcd := testenv.Tool(t, "etcd")
	binary, err := system.Binary()
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/fleet",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"ready": ready},
		Setup: func(env *testscript.Env) error {
			env.Setenv("broadsheet", binary)
			env.Setenv("etcd", etcd)
			env.Setenv("HOME", env.WorkDir)
			ports, err := testenv.FreePorts(4)
			for i, p := range ports {
				env.Setenv(fmt.Sprint("PORT", i+1), strconv.Itoa(p))
			}
			return err
		},
	})
}
