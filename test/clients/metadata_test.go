package clients_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var rewriteMetadata = flag.Bool("clients.rewrite", false, "write testdata/metadata anew, from a real PostgreSQL")

// inspectors are programs that ask a driver for all that it can tell of a database.
var inspectors = []struct {
	name string
	args []string
}{
	{"pgjdbc", []string{"java", "-XX:TieredStopAtLevel=1", "-Duser.timezone=UTC", "-cp", "/usr/share/java/postgresql.jar", "java/Metadata.java"}},
	{"sqlalchemy", []string{"/usr/bin/python3", "python/metadata.py"}},
}

// TestMetadata: what drivers tell of a database, by every method that they have for it, is what they tell of it in PostgreSQL.
func TestMetadata(t *testing.T) {
	if !*run {
		t.Skip("the clients are run by make test-clients")
	}
	s := broadsheet(t)
	execFile(t, s.admin, "testdata/metadata.sql")
	for _, x := range inspectors {
		want, err := os.ReadFile("testdata/metadata/" + x.name + ".txt")
		require.NoError(t, err)
		for _, d := range s.doors {
			t.Run(x.name+"/"+d.name, func(t *testing.T) { require.Equal(t, string(want), inspect(t, x.args, d)) })
		}
	}
}

// TestMetadataOnPostgres: the answers are PostgreSQL's.
func TestMetadataOnPostgres(t *testing.T) {
	if !*run {
		t.Skip("the clients are run by make test-clients")
	}
	s := postgres(t)
	execFile(t, s.admin, "testdata/metadata.sql")
	for _, x := range inspectors {
		t.Run(x.name, func(t *testing.T) {
			path, said := "testdata/metadata/"+x.name+".txt", inspect(t, x.args, s.doors[0])
			if *rewriteMetadata {
				require.NoError(t, os.WriteFile(path, []byte(said), 0o644)) //nolint:gosec // Test data, which anybody may read.
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), said)
		})
	}
}

// inspect runs a program and returns what it prints.
func inspect(t *testing.T, args []string, d door) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = environment(t, d)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	require.NoError(t, cmd.Run(), "%s\n%s", &out, &complaints)
	require.NotEmpty(t, strings.TrimSpace(out.String()))
	return out.String()
}
