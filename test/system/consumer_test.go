package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/tail"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// counting is a program that counts, by HTTP as a script does, how often each key came, and publishes each count.
type counting struct {
	hosts  []string // tried in turn
	shard  string
	client *http.Client
}

func (p *counting) do(ctx context.Context, method, path string, query url.Values, in, out any) (int, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.hosts[0]+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err
	}
	if resp.StatusCode == http.StatusOK && out != nil {
		err = json.Unmarshal(text, out)
	}
	return resp.StatusCode, err
}

// one transaction: how many messages it had. Any failure is none: it is given again.
func (p *counting) one(ctx context.Context) int {
	var txn struct {
		Token    string
		Messages []struct {
			Document struct{ Key string }
		}
	}
	code, err := p.do(ctx, http.MethodGet, "/v1/shards/transaction", url.Values{"shard": {p.shard}, "wait": {"1s"}, "lease": {"2s"}}, nil, &txn)
	if err != nil || code != http.StatusOK {
		p.hosts = append(p.hosts[1:], p.hosts[0])
		return 0
	}
	counts, err := p.state(ctx)
	if err != nil {
		return 0
	}
	puts, publishes := map[string]string{}, []any{}
	for _, m := range txn.Messages {
		key := m.Document.Key
		counts[key]++
		puts[key] = strconv.Itoa(counts[key])
		publishes = append(publishes, map[string]any{"journal": "some/out", "document": map[string]any{"key": key, "count": counts[key]}})
	}
	code, err = p.do(ctx, http.MethodPost, "/v1/shards/commit", nil,
		map[string]any{"shard": p.shard, "token": txn.Token, "puts": puts, "publishes": publishes}, nil)
	if err != nil || code != http.StatusOK {
		return 0
	}
	return len(txn.Messages)
}

// state has the counts of all keys.
func (p *counting) state(ctx context.Context) (map[string]int, error) {
	var all struct{ Entries []struct{ Key, Value string } }
	code, err := p.do(ctx, http.MethodGet, "/v1/shards/state", url.Values{"shard": {p.shard}}, nil, &all)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("state: %d", code)
	}
	out := map[string]int{}
	for _, e := range all.Entries {
		n, bad := strconv.Atoi(e.Value)
		err = errors.Join(err, bad)
		out[e.Key] = n
	}
	return out, err
}

// countedKey is what counting publishes.
type countedKey struct {
	Meta struct {
		UUID message.UUID `json:"uuid"`
	} `json:"_meta"`
	Key   string `json:"key"`
	Count int    `json:"count"`
}

func (c *countedKey) GetUUID() message.UUID                   { return c.Meta.UUID }
func (c *countedKey) SetUUID(u message.UUID)                  { c.Meta.UUID = u }
func (*countedKey) NewAcknowledgement(string) message.Message { return new(countedKey) }

// committedCounts of a journal, in their order, by key.
func committedCounts(t *testing.T, c *client.Client, journal string) map[string][]int {
	t.Helper()
	out := map[string][]int{}
	all := tail.New(c, tail.Labelled(protocol.MetaLabelName, journal), func(*protocol.JournalSpec) (message.Message, error) { return new(countedKey), nil })
	require.NoError(t, all.Read(t.Context(), func(env message.Envelope) error {
		m := env.Message.(*countedKey)
		out[m.Key] = append(out[m.Key], m.Count)
		return nil
	}))
	return out
}

// TestConsumersOfAFleet: a program in no particular language counts, at any host, while the hosts are killed one after another:
// each message counts once, in the state and in what is published.
func TestConsumersOfAFleet(t *testing.T) {
	run, err := os.MkdirTemp("", "bs") //nolint:usetesting // a socket's path has to be short
	require.NoError(t, err)
	etcd, err := embedetcd.Start(t.Context(), embedetcd.Config{Dir: filepath.Join(run, "etcd"), RunDir: run, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = etcd.Close(), os.RemoveAll(run) })
	broker := "http://" + launch(t, "broker", "--etcd.address", etcd.Endpoint(), "--data-dir", t.TempDir(), "--broker.bind", "127.0.0.1",
		"--broker.host", "127.0.0.1", "--broker.file-root", t.TempDir()).said["broker"]
	c, err := client.Dial(t.Context(), client.Config{Endpoint: broker})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	makeJournals(t, c)

	var hosts []*member
	program := &counting{shard: "a-shard", client: &http.Client{Timeout: fleetPatience}}
	for range 2 {
		h := launch(t, "consumer", "--etcd.address", etcd.Endpoint(), "--broker.address", broker, "--data-dir", t.TempDir(),
			"--consumer.bind", "127.0.0.1", "--consumer.host", "127.0.0.1", "--etcd.lease", "2s")
		hosts, program.hosts = append(hosts, h), append(program.hosts, h.said["consumer"])
	}
	applyShard(t, program.hosts[0], &shards.ShardSpec{
		Id: program.shard, Sources: []*shards.ShardSpec_Source{{Journal: "some/in"}}, RecoveryLogPrefix: "recovery/logs", HintPrefix: "/hints",
		HotStandbys: 1, MaxTxnDuration: durationpb.New(100 * time.Millisecond),
	})

	const rounds, lines, keys = 4, 500, 7
	ctx, cancel := context.WithTimeout(t.Context(), fleetPatience)
	defer cancel()
	for round := range rounds {
		var text bytes.Buffer
		for n := range lines {
			fmt.Fprintf(&text, "{\"key\":\"k%d\"}\n", n%keys)
		}
		_, err := c.Append(ctx, client.AppendParams{Journal: "some/in"}, &text)
		require.NoError(t, err)
		for program.one(ctx) == 0 {
			require.NoError(t, ctx.Err())
		}
		dies := hosts[round%2]
		dies.kill()
		dies.start(t)
		program.hosts[0], program.hosts[1] = hosts[0].said["consumer"], hosts[1].said["consumer"]
	}
	requireCounts(ctx, t, program, c, rounds*lines, keys)
	for _, h := range hosts { // They leave in order.
		require.NoError(t, h.cmd.Process.Signal(os.Interrupt))
	}
	for _, h := range hosts {
		<-h.done
		require.True(t, h.cmd.ProcessState.Success(), h.logged(t))
	}
}

// requireCounts runs the program until all lines are counted, and demands that each was once.
func requireCounts(ctx context.Context, t *testing.T, program *counting, c *client.Client, lines, keys int) {
	t.Helper()
	for counted := 0; counted < lines; {
		require.NoError(t, ctx.Err())
		program.one(ctx)
		counted = 0
		state, err := program.state(ctx)
		if err != nil {
			continue
		}
		for _, n := range state {
			counted += n
		}
	}
	state, err := program.state(ctx)
	require.NoError(t, err)
	require.Len(t, state, keys)
	sum := 0
	for key, counts := range committedCounts(t, c, "some/out") {
		require.Len(t, counts, state[key], key)
		for i, n := range counts {
			require.Equal(t, i+1, n, "%s: each count is once, and in order", key)
		}
		sum += len(counts)
	}
	require.Equal(t, lines, sum)
}

func makeJournals(t *testing.T, c *client.Client) {
	t.Helper()
	var changes []*protocol.ApplyRequest_Change
	for name, kind := range map[string]string{
		"some/in": message.JSONLines, "some/out": message.JSONLines, "recovery/logs/a-shard": message.RecoveryLog,
	} {
		changes = append(changes, &protocol.ApplyRequest_Change{Upsert: &protocol.JournalSpec{
			Name: name, Replication: 1, Labels: protocol.MustLabelSet("content-type", kind),
			Fragment: &protocol.JournalSpec_Fragment{
				Length: 1 << 20, CompressionCodec: protocol.CompressionCodec_NONE, Stores: []string{"file:///"}, RefreshInterval: durationpb.New(time.Minute),
			},
		}})
	}
	_, err := c.Apply(t.Context(), changes)
	require.NoError(t, err)
}

func applyShard(t *testing.T, host string, spec *shards.ShardSpec) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	r, err := shards.NewShardClient(conn).Apply(t.Context(), &shards.ApplyRequest{
		Changes: []*shards.ApplyRequest_Change{{Upsert: spec, ExpectModRevision: -1}},
	})
	require.NoError(t, err)
	require.Equal(t, shards.Status_OK, r.GetStatus())
}
