package clients_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// lookup is what `pgbench -S` asks of its own tables, which are updated and so can't be here: one row, by its key.
const lookup = "\\set aid random(1, 1000)\nSELECT abalance FROM shop.accounts WHERE aid = :aid;\n"

// TestPgbench: eight clients look rows up, in each protocol, and none of them meets an error.
func TestPgbench(t *testing.T) {
	if !*run {
		t.Skip("the clients are run by make test-clients")
	}
	s := broadsheet(t)
	for _, statement := range []string{
		"CREATE TABLE shop.accounts (aid integer NOT NULL, bid integer, abalance integer, filler char(84))",
		"INSERT INTO shop.accounts SELECT n, 1, n * 7, '' FROM generate_series(1, 1000) s(n)",
		"GRANT SELECT ON shop.accounts TO " + trusted,
	} {
		_, err := s.admin.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	script := filepath.Join(t.TempDir(), "lookup.sql")
	require.NoError(t, os.WriteFile(script, []byte(lookup), 0o600))
	for _, protocol := range []string{"simple", "extended", "prepared"} {
		t.Run(protocol, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), testenv.Program(t, "pgbench"),
				"--no-vacuum", "--file", script, "--protocol", protocol, "--client", "8", "--jobs", "2", "--transactions", "200")
			cmd.Env = os.Environ()
			for name, value := range s.doors[0].env {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "number of transactions actually processed: 1600/1600\n")
			require.Contains(t, string(out), "number of failed transactions: 0 (0.000%)\n")
			rate := regexp.MustCompile(`tps = \S+`).FindString(string(out))
			require.NotEmpty(t, rate, "%s", out)
			fmt.Println("pgbench,", protocol+":", rate)
		})
	}
}
