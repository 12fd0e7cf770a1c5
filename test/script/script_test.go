package script

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

func TestScripts(t *testing.T) { run(t, "testdata", &system.Server{}) }

// TestScriptsWithServer: the tools, with a server whose broker is at $BROKER, and its Postgres port at $SQLHOST, $SQLPORT.
func TestScriptsWithServer(t *testing.T) {
	s, err := system.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Kill)
	run(t, "testdata/server", s)
}

func run(t *testing.T, dir string, s *system.Server) {
	t.Helper()
	binary, err := system.Binary()
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("broadsheet", binary)
			env.Setenv("BROKER", s.Broker)
			host, port, _ := strings.Cut(s.SQL, ":")
			env.Setenv("SQLHOST", host)
			env.Setenv("SQLPORT", port)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return nil
		},
	})
}
