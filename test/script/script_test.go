package script

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

func TestScripts(t *testing.T) { run(t, "testdata", "") }

// TestScriptsWithServer: the tools, with a server whose address is $BROKER.
func TestScriptsWithServer(t *testing.T) {
	s, err := system.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Kill)
	run(t, "testdata/server", s.Broker)
}

func run(t *testing.T, dir, broker string) {
	t.Helper()
	binary, err := system.Binary()
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("broadsheet", binary)
			env.Setenv("BROKER", broker)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return nil
		},
	})
}
