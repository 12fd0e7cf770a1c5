package run_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/run"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// asProgram is the variable by which this test's binary is a program.
const asProgram = "RUN_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		run.Main(idle{}, run.Options{Name: "idle"})
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// idle is an application that is given no shards.
type idle struct{}

var errIdle = errors.New("there are no shards")

func (idle) NewStore(context.Context, *consumer.Shard) (store.Store, error) { return nil, errIdle }
func (idle) NewMessage(*protocol.JournalSpec) (message.Message, error)      { return nil, errIdle }
func (idle) ConsumeMessage(context.Context, *consumer.Shard, store.Store, message.Envelope) error {
	return errIdle
}
func (idle) FinalizeTxn(context.Context, *consumer.Shard, store.Store) error { return errIdle }

// running is a program in this process.
type running struct {
	out   *bufio.Reader
	group *task.Group
}

// start a program, and read its output up to the line that it is ready.
func start(t *testing.T, o run.Options, args ...string) (*running, map[string]string) {
	t.Helper()
	r, w := io.Pipe()
	p := &running{bufio.NewReader(r), task.New(context.WithoutCancel(t.Context()), "program")}
	p.group.Go("run", func(ctx context.Context) error {
		cmd := run.Command(idle{}, o)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		cmd.SetOut(w)
		cmd.SetErr(t.Output())
		err := cmd.ExecuteContext(ctx)
		return errors.Join(err, w.CloseWithError(cmpErr(err)))
	})
	t.Cleanup(func() { p.group.Cancel(); _ = p.group.Wait() })
	return p, addresses(t, p.out)
}

func cmpErr(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// addresses that a program prints before it is ready, by what is there.
func addresses(t *testing.T, out *bufio.Reader) map[string]string {
	t.Helper()
	at := map[string]string{}
	for {
		line, err := out.ReadString('\n')
		require.NoError(t, err)
		if line == "ready\n" {
			return at
		}
		what, address, ok := strings.Cut(strings.TrimSpace(line), " ")
		require.True(t, ok, line)
		at[what] = address
	}
}

// get a page.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url) //nolint:gosec,noctx // of this test
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Body.Close()) }()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(body)
}

func fleet(t *testing.T, b *brokertest.Broker, more ...string) []string {
	t.Helper()
	return append([]string{
		"--etcd.address", strings.Join(b.Etcd.Endpoints(), ","), "--broker.address", b.Endpoint(),
		"--data-dir", t.TempDir(), "--consumer.bind", "127.0.0.1", "--log.level", "warn",
	}, more...)
}

// TestProgram: it serves the shards' RPCs and diagnostics, has flags of its own, and is told of its host.
func TestProgram(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	var greeting string
	var steps []string
	o := run.Options{
		Name:  "idle",
		Flags: func(p *pflag.FlagSet) { p.StringVar(&greeting, "greeting", "", "what it says") },
		Init: func(_ context.Context, cfg *consumer.Config) error {
			steps = append(steps, "init "+greeting+" "+cfg.Prefix)
			return nil
		},
		Bind:  func(*consumer.Host) { steps = append(steps, "bind") },
		Close: func() error { steps = append(steps, "close"); return nil },
	}
	t.Setenv("BROADSHEET_GREETING", "hello")
	p, at := start(t, o, fleet(t, b, "--debug.port", "0", "--debug.private", "--consumer.id", "first")...)
	code, body := get(t, "http://"+at["debug"]+"/debug/ready")
	require.Equal(t, 200, code)
	require.Equal(t, "ready\n", body)
	code, body = get(t, "http://"+at["debug"]+"/debug/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, "gazette_allocator_members 1\n")
	code, _ = get(t, "http://"+at["consumer"]+"/debug/metrics")
	require.Equal(t, 404, code)
	code, body = get(t, "http://"+at["debug"]+"/debug/requests")
	require.Equal(t, 200, code)
	require.Equal(t, "no calls yet\n", body)
	for _, port := range []string{at["debug"], at["consumer"]} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+port+"/debug/ready", http.NoBody)
		require.NoError(t, err)
		req.Host = "evil.example"
		r, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, http.StatusForbidden, r.StatusCode)
	}
	r, err := http.Post("http://"+at["consumer"]+"/v1/shards/list", "application/json", nil) //nolint:gosec,noctx // of this test
	require.NoError(t, err)
	listed, err := io.ReadAll(r.Body)
	require.NoError(t, errors.Join(err, r.Body.Close()))
	require.Contains(t, string(listed), `"processId":{"zone":"local","suffix":"first"}`)

	p.group.Cancel()
	require.NoError(t, p.group.Wait())
	require.Equal(t, []string{"init hello /gazette/consumers/idle", "bind", "close"}, steps)
	left, err := b.Etcd.Get(t.Context(), "/gazette/consumers/idle/members/local#first")
	require.NoError(t, err)
	require.Empty(t, left.Kvs)
}

// TestSignal: SIGTERM ends a program in order, with 0.
func TestSignal(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, fleet(t, b)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	addresses(t, bufio.NewReader(out))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_, err = io.ReadAll(out)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
}

// TestRefused: what isn't acted on is refused by name, and what to do is said.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--consumer.limit 0", "idle: --consumer.limit: 0 is less than 1\n"},
		{"--consumer.max-hot-standbys -1", "idle: --consumer.max-hot-standbys: -1 is negative\n"},
		{"--consumer.hints-interval 0s", "idle: --consumer.hints-interval: 0s isn't positive\n"},
		{"--allowed-hosts a:1", "idle: --allowed-hosts: allowed host \"a:1\" isn't one: it is a name or an address, without a port\n"},
		{"--consumer.drain -1s", "idle: --consumer.drain: -1s is negative\n"},
		{"--etcd.lease 10ms", "idle: --etcd.lease: 10ms isn't a number of whole seconds\n"},
		{"--log.level loud", "idle: unknown log level \"loud\"\nhint: levels are debug, info, warn and error\n"},
		{"--consumer.auth-keys secret!", "idle: --consumer.auth-keys: "},
		{"--consumer.server-ca-file x", "idle: consumer: security: server: there is a CA (x), and no certificate\n"},
		{"--broker.address=", "idle: --broker.address is empty\nhint: say where the brokers of the shards' journals are\n"},
		{"--consumer.server-key-file", "idle: unknown flag: --consumer.server-key-file\n"},
		{"--debug.private", "idle: --debug.private: there is no port for diagnostics\nhint: give one with --debug.port\n"},
		{"--broker.file-root /x", "idle: --broker.file-root: without a cache everything is read through the broker at the address\nhint: give --broker.cache.size\n"},
		{"--consumer.id a=b --consumer.bind 127.0.0.1", "idle: consumer a=b in zone local: "},
		{"", "idle: --consumer.bind: :0 isn't a loopback address, and clients aren't authenticated\nhint: give --consumer.auth-keys"},
		{"--debug.port 0.0.0.0:0 --consumer.bind 127.0.0.1", "idle: --debug.port: 0.0.0.0:0 isn't a loopback address, and clients aren't authenticated\nhint: give the port alone"},
		{"--consumer.bind 127.0.0.1 --broker.auth-token a --broker.auth-keys c2VjcmV0", "idle: --broker.auth-keys: --broker.auth-token is given, too\nhint: give one of them\n"},
		{"--unknown", "idle: unknown flag: --unknown\nhint: run 'idle --help' to see its flags\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			self, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.Command(self, strings.Fields(c.args)...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), asProgram+"=1")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err = cmd.Run()
			exit, ok := errors.AsType[*exec.ExitError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, 1, exit.ExitCode())
			require.True(t, strings.HasPrefix(stderr.String(), c.want), "%s", stderr.String())
			require.NotContains(t, stderr.String(), "secret!")
		})
	}
}

// TestSocket: a program that listens on a unix socket is announced at it, and found.
func TestSocket(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	at := t.TempDir() + "/consumer.sock"
	start(t, run.Options{Name: "idle"}, fleet(t, b, "--consumer.port", "unix://"+at)...)
	conn, err := grpc.NewClient("unix://"+at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	r, err := shards.NewShardClient(conn).List(t.Context(), new(shards.ListRequest))
	require.NoError(t, err)
	require.NoError(t, r.Validate())
}
