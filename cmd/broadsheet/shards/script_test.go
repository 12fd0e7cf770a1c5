package shards_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/cmd/broadsheet/journals"
	"broadsheet.dev/broadsheet/cmd/broadsheet/shards"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
)

// root is the program, without what needs cgo.
func root() *cobra.Command {
	cmd := &cobra.Command{Use: "broadsheet", SilenceErrors: true, SilenceUsage: true}
	cmd.AddCommand(journals.Command(), shards.Command(), settings.Command())
	return cmd
}

func program() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
	if err := goleak.Find(goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start")); err != nil && code == 0 {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"broadsheet": program})
}

// patience bounds each wait of the scripts.
const patience = time.Minute

// TestScripts: sessions with a real broker and a real consumer of programs' shards, each with its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			w := newWorld(env.T().(testing.TB))
			env.Values["world"] = w
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("BROKER_ADDRESS", w.broker.Endpoint())
			env.Setenv("CONSUMER_ADDRESS", w.host.URL())
			env.Setenv("FRAGMENTS", filepath.Join(w.broker.Dir, "fragments"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until, "consume": consume, "hints": putHints},
	})
}

// world is a broker, and a consumer.
type world struct {
	broker *brokertest.Broker
	host   *consumertest.Host
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	b := brokertest.New(tb, brokertest.Config{Quiet: true})
	app, err := guest.New(guest.Config{})
	require.NoError(tb, err)
	tb.Cleanup(app.Close)
	h := consumertest.New(tb, consumertest.Config{
		Etcd: b.Etcd, Endpoint: b.Endpoint(), Application: app,
		Adjust: func(c *consumer.Config) {
			app.Configure(c)
			c.HintsInterval = time.Millisecond
		},
	})
	app.Bind(h.Host)
	return &world{broker: b, host: h}
}

// until <pattern> <program> <args...>: runs it until its output matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until pattern program args...")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, args[1], args[2:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = ts.Getenv("WORK"), &out, &out
		for _, name := range []string{"PATH", "BROKER_ADDRESS", "CONSUMER_ADDRESS", "HOME"} {
			cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
		}
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

// consume <shard> <n>: is the shard's program, by HTTP as scripts are, until it has had n messages: it keeps each by its number.
func consume(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: consume shard n")
	}
	wanted, err := strconv.Atoi(args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w, _ := ts.Value("world").(*world)
	for had := 0; had < wanted; {
		n, err := w.transaction(ctx, args[0], had)
		if ctx.Err() != nil {
			ts.Fatalf("consume: %d of %d messages: %v", had, wanted, err)
		}
		had += n
	}
}

// transaction of a shard: how many messages were in it.
func (w *world) transaction(ctx context.Context, shard string, had int) (int, error) {
	var txn struct {
		Token    string
		Messages []json.RawMessage
	}
	if err := w.http(ctx, http.MethodGet, "/v1/shards/transaction?wait=1s&shard="+shard, nil, &txn); err != nil {
		return 0, err
	}
	puts := map[string]string{}
	for i, m := range txn.Messages {
		puts[strconv.Itoa(had+i)] = string(m)
	}
	in := map[string]any{"shard": shard, "token": txn.Token, "puts": puts}
	return len(txn.Messages), w.http(ctx, http.MethodPost, "/v1/shards/commit", in, nil)
}

var errAnswer = errors.New("not answered with what was asked for")

func (w *world) http(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, w.host.URL()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: %s: %s", errAnswer, resp.Status, strings.TrimSpace(string(text)))
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

// hints <key> <file>, or hints <key> copy <key of others>: puts hints in etcd, whatever they are.
func putHints(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: hints key file, or hints key copy other")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w, _ := ts.Value("world").(*world)
	var value string
	if len(args) == 3 {
		r, err := w.broker.Etcd.Get(ctx, args[2])
		ts.Check(err)
		if len(r.Kvs) != 1 {
			ts.Fatalf("%s: there are no hints", args[2])
		}
		value = string(r.Kvs[0].GetValue())
	} else {
		value = ts.ReadFile(args[1])
	}
	_, err := w.broker.Etcd.Put(ctx, args[0], value)
	ts.Check(err)
}
