package exampletest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/test/system"
)

// Readme runs the first lines of shell that the README.md of the example has, with our program, and with the program of the example
// by its name; etcd, brokers and ports are other ones. It returns what they print, and kills what they have left in the background.
func (f *Fleet) Readme(name string) string {
	f.t.Helper()
	page, err := os.ReadFile("README.md")
	require.NoError(f.t, err)
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(page)
	require.NotNil(f.t, script, "README.md has no lines of shell")
	ports, err := testenv.FreePorts(2)
	require.NoError(f.t, err)
	text := strings.NewReplacer("http://127.0.0.1:8080", f.Broker, "http://127.0.0.1:2379", f.Etcd,
		"9001", strconv.Itoa(ports[0]), "9002", strconv.Itoa(ports[1])).Replace(string(script[1]))

	programs, here := f.t.TempDir(), f.t.TempDir()
	ours, err := system.Static()
	require.NoError(f.t, err)
	require.NoError(f.t, os.Symlink(ours, filepath.Join(programs, "broadsheet")))
	require.NoError(f.t, os.Symlink(self(f.t), filepath.Join(programs, name)))
	files, err := os.ReadDir(".")
	require.NoError(f.t, err)
	for _, file := range files {
		path, err := filepath.Abs(file.Name())
		require.NoError(f.t, err)
		require.NoError(f.t, os.Symlink(path, filepath.Join(here, file.Name())))
	}
	cmd := exec.CommandContext(f.t.Context(), "bash", "-euo", "pipefail", "-c", "trap 'kill -9 $(jobs -p) || true; wait' EXIT\n"+text)
	cmd.Dir = here
	cmd.Env = append(cmd.Environ(), asProgram+"=1", "PATH="+programs+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(f.t, err, "%s", out)
	return string(out)
}
