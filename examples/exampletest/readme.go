package exampletest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/test/system"
)

// Readme runs the first lines of shell that the README.md of the example has, with our program, and with the program of the example
// by its name; etcd, brokers and ports are other ones. It returns what they print, and kills what they have left in the background.
func (f *Fleet) Readme(name string) string {
	f.t.Helper()
	ports, err := testenv.FreePorts(2)
	require.NoError(f.t, err)
	text := strings.NewReplacer("CONSUMER_ADDRESS=http://127.0.0.1:8080", "CONSUMER_ADDRESS="+f.host, "http://127.0.0.1:8080", f.Broker,
		"http://127.0.0.1:2379", f.Etcd, "9001", strconv.Itoa(ports[0]), "9002", strconv.Itoa(ports[1])).Replace(shellOf(f.t, "README.md"))
	ours, err := system.Static()
	require.NoError(f.t, err)
	here := f.t.TempDir()
	files, err := os.ReadDir(".")
	require.NoError(f.t, err)
	for _, file := range files {
		path, err := filepath.Abs(file.Name())
		require.NoError(f.t, err)
		require.NoError(f.t, os.Symlink(path, filepath.Join(here, file.Name())))
	}
	return runShell(f.t, here, text, map[string]string{"broadsheet": ours, name: self(f.t)}, asProgram+"=1")
}

// shellOf a page is its first lines of shell.
func shellOf(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(text)
	require.NotNil(t, script, "%s has no lines of shell", page)
	return string(script[1])
}

// runShell runs lines of shell in a directory, with programs by their names, and kills what they have left in the background.
func runShell(t *testing.T, dir, text string, programs map[string]string, env ...string) string {
	t.Helper()
	path := t.TempDir()
	for name, program := range programs {
		require.NoError(t, os.Symlink(program, filepath.Join(path, name)))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "trap 'kill -9 $(jobs -p) || true; wait' EXIT\n"+text)
	cmd.Dir = dir
	cmd.Env = append(append(cmd.Environ(), "PATH="+path+":"+os.Getenv("PATH")), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
