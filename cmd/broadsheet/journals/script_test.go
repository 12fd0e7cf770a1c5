package journals_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/cmd/broadsheet/attach"
	"broadsheet.dev/broadsheet/cmd/broadsheet/journals"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
)

// root is the program, without what needs cgo.
func root() *cobra.Command {
	cmd := &cobra.Command{Use: "broadsheet", SilenceErrors: true, SilenceUsage: true}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return speech.WithHint(err, "run '"+c.CommandPath()+" --help' to see its flags")
	})
	cmd.AddCommand(journals.Command(), attach.Command(), settings.Command())
	return cmd
}

func program() {
	ctx, stop := signalContext()
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		speech.Say(os.Stderr, "broadsheet", err)
		os.Exit(1)
	}
}

// leakChecked looks for goroutines that outlived the tests.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"broadsheet": program})
}

// TestScripts: sessions with a real broker, which they share.
func TestScripts(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	runScripts(t, "testdata/script", func(env *testscript.Env) error {
		env.Setenv("BROKER_ADDRESS", b.Endpoint())
		env.Setenv("BROKER_URL", b.URL())
		env.Setenv("FRAGMENTS", filepath.Join(b.Dir, "fragments"))
		return nil
	})
}

// TestChoreographies: sessions with a broker that tells what it is asked, each with its own.
func TestChoreographies(t *testing.T) {
	runScripts(t, "testdata/choreography", func(env *testscript.Env) error {
		fake := startFake(t)
		env.Setenv("BROKER_ADDRESS", fake.endpoint)
		env.Values["fake"] = fake
		return nil
	})
}

func runScripts(t *testing.T, dir string, setup func(*testscript.Env) error) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return setup(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until, "asked": asked, "lines": lines, "shows": shows},
	})
}

// until <pattern> <program> <args...>: runs it until its output matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until pattern program args...")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, args[1], args[2:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = ts.Getenv("WORK"), &out, &out
		cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "BROKER_ADDRESS=" + ts.Getenv("BROKER_ADDRESS"), "HOME=" + ts.Getenv("HOME")}
		_ = cmd.Run() // it may fail until it doesn't
		if pattern.Match(out.Bytes()) {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			ts.Fatalf("%q never matched; at last:\n%s", args[0], out.String())
		}
	}
}

// asked [file]: what the broker was asked since the last time is what the file says.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: asked file")
	}
	fake, _ := ts.Value("fake").(*fakeBroker)
	if got, want := fake.takeRequests(), ts.ReadFile(args[0]); got != want {
		ts.Fatalf("the broker was asked:\n%s\nwanted:\n%s", got, want)
	}
}

// lines <file>: sorts the lines of the last output, and compares them.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lines file")
	}
	if got, want := sorted(ts.ReadFile("stdout")), sorted(ts.ReadFile(args[0])); got != want {
		ts.Fatalf("got, sorted:\n%s\nwanted:\n%s", got, want)
	}
}

// TestEveryFlagHasATest: each command and flag is used in a script or an example.
func TestEveryFlagHasATest(t *testing.T) {
	var text strings.Builder
	for _, glob := range []string{"testdata/*/*.txtar", "../attach/*_test.go", "../settings/testdata/*", "../../../docs/commands.md"} {
		files, err := filepath.Glob(glob)
		require.NoError(t, err)
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			text.Write(b)
		}
	}
	visit(root(), func(cmd *cobra.Command, long, short string) {
		used := regexp.MustCompile(cmd.CommandPath() + `\b.* (--` + regexp.QuoteMeta(long) + `\b|-\w*` + orNothing(short) + `)`)
		if strings.Contains(long, ".") || long == "zone" { // of all commands of a group
			used = regexp.MustCompile(`--` + regexp.QuoteMeta(long) + `\b`)
		}
		if !used.MatchString(text.String()) {
			t.Errorf("%s --%s: is used in no test", cmd.CommandPath(), long)
		}
	})
}
