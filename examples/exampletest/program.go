package exampletest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// asProgram is the variable by which the binary of a test is the program of its example.
const asProgram = "EXAMPLE_AS_PROGRAM"

// Main is the TestMain of an example whose main is program.
func Main(m *testing.M, program func()) {
	if os.Getenv(asProgram) != "" {
		program()
		return
	}
	os.Exit(m.Run())
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// Program starts the program of the example, whose test has called Main.
func (f *Fleet) Program(args ...string) *Process {
	f.t.Helper()
	return Start(f.t, f.env(), self(f.t), args...)
}

// Run the program of the example until its end.
func (f *Fleet) Run(args ...string) (string, error) {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), self(f.t), args...)
	cmd.Env = append(cmd.Environ(), f.env()...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (f *Fleet) env() []string {
	return []string{asProgram + "=1", "BROKER_ADDRESS=" + f.Broker, "ETCD_ADDRESS=" + f.Etcd}
}

// Host starts the program of the example as a process that runs shards.
func (f *Fleet) Host(args ...string) *Member {
	f.t.Helper()
	return f.start("consumer", f.env(), self(f.t), append(args, "--data-dir", f.t.TempDir(), "--etcd.lease", "2s")...)
}
