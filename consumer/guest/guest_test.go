package guest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// world is a broker with a source, an output, a journal of dead letters and a recovery log.
type world struct {
	t      *testing.T
	broker *brokertest.Broker
	client *client.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	for name, kind := range map[string]string{
		"some/in": message.JSONLines, "some/out": message.JSONLines, "some/rows": message.CSV, "dead/letters": message.JSONLines,
		"some/frames": message.ProtobufFixed, "recovery/logs/a-shard": message.RecoveryLog,
	} {
		spec := brokertest.Spec(name)
		spec.Labels = protocol.MustLabelSet("content-type", kind)
		b.Create(spec)
	}
	c, err := client.Dial(t.Context(), client.Config{Endpoint: b.Endpoint()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return &world{t, b, c}
}

func (w *world) host(i int) *consumertest.Host { return w.hostWith(i, guest.Config{}, nil) }

func (w *world) hostWith(i int, cfg guest.Config, adjust func(*consumer.Config)) *consumertest.Host {
	w.t.Helper()
	var app *guest.App
	h := consumertest.New(w.t, consumertest.Config{
		Etcd: w.broker.Etcd, Endpoint: w.broker.Endpoint(), Logs: true, Suffix: fmt.Sprintf("consumer-%d", i),
		Adjust: func(c *consumer.Config) {
			var err error
			cfg.Registerer = c.Registerer
			app, err = guest.New(cfg)
			require.NoError(w.t, err)
			w.t.Cleanup(app.Close)
			app.Configure(c)
			if adjust != nil {
				adjust(c)
			}
		},
	})
	app.Bind(h.Host)
	return h
}

func spec() *shards.ShardSpec {
	s := consumertest.Spec("a-shard", "some/in")
	s.RecoveryLogPrefix, s.HintPrefix = "recovery/logs", "/hints"
	return s
}

// add lines to the source that stand for themselves.
func (w *world) add(from, until int) {
	w.t.Helper()
	var text bytes.Buffer
	for n := from; n < until; n++ {
		fmt.Fprintf(&text, "{\"n\":%d}\n", n)
	}
	_, err := w.client.Append(w.t.Context(), client.AppendParams{Journal: "some/in"}, &text)
	require.NoError(w.t, err)
}

// committed lines of a journal.
func (w *world) committed(journal string) []string {
	w.t.Helper()
	b, err := w.client.Barrier(w.t.Context(), journal)
	require.NoError(w.t, err)
	if b.Head == 0 {
		return nil
	}
	r := w.client.NewReader(w.t.Context(), &protocol.ReadRequest{Journal: journal, EndOffset: b.Head, Block: true})
	defer r.Close()
	text := protocol.MustLabelSet("content-type", message.JSONLines)
	it, err := message.ReadUncommitted(r, message.IteratorConfig{
		Spec: &protocol.JournalSpec{Name: journal, Labels: text},
		New:  func(*protocol.JournalSpec) (message.Message, error) { return new(published), nil },
	})
	require.NoError(w.t, err)
	seq, err := message.NewSequencer(message.SequencerConfig{})
	require.NoError(w.t, err)
	var out []string
	for all := message.ReadCommitted(it, seq, nil); ; {
		env, err := all.Next()
		if err != nil {
			require.ErrorIs(w.t, err, io.EOF)
			return out
		}
		if env.Message.GetUUID().Flags() != message.AckTxn {
			out = append(out, env.Message.(*published).Key)
		}
	}
}

type published struct {
	Meta struct {
		UUID message.UUID `json:"uuid"`
	} `json:"_meta"`
	Key string `json:"key"`
}

func (p *published) GetUUID() message.UUID                   { return p.Meta.UUID }
func (p *published) SetUUID(u message.UUID)                  { p.Meta.UUID = u }
func (*published) NewAcknowledgement(string) message.Message { return new(published) }
func (w *world) dial(h *consumertest.Host) shardv1.ShardClient {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(h.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, conn.Close()) })
	return shardv1.NewShardClient(conn)
}

// program counts, over a stream, how often each line came, and publishes each; until it has committed so many lines.
func program(ctx context.Context, c shardv1.ShardClient, lines int) error {
	stream, err := c.Run(ctx)
	if err != nil {
		return err
	}
	say := func(r *shardv1.RunRequest) { _ = stream.Send(r) } // Receive tells.
	say(&shardv1.RunRequest{Kind: &shardv1.RunRequest_Open_{Open: &shardv1.RunRequest_Open{Shard: "a-shard"}}})
	var keys [][]byte
	var token string
	for {
		in, err := stream.Recv()
		if err != nil {
			return err
		}
		switch kind := in.GetKind().(type) {
		case *shardv1.RunResponse_Messages_:
			for _, m := range kind.Messages.GetMessages() {
				keys = append(keys, m.GetDocument())
			}
		case *shardv1.RunResponse_Finish_:
			token = kind.Finish.GetToken()
			say(&shardv1.RunRequest{Kind: &shardv1.RunRequest_Get_{Get: &shardv1.RunRequest_Get{Keys: keys}}})
		case *shardv1.RunResponse_Entries_:
			changes := new(shardv1.Changes)
			for _, e := range kind.Entries.GetEntries() {
				changes.Puts = append(changes.Puts, &shardv1.Entry{Key: e.GetKey(), Value: append(e.GetValue(), '|')})
				doc, _ := json.Marshal(map[string]string{"key": string(e.GetKey())})
				changes.Publishes = append(changes.Publishes, &shardv1.Publish{Journal: "some/out", Document: doc})
			}
			lines -= len(keys)
			keys = nil
			say(&shardv1.RunRequest{Kind: &shardv1.RunRequest_Commit_{Commit: &shardv1.RunRequest_Commit{Token: token, Changes: changes}}})
		case *shardv1.RunResponse_Committed_:
			if lines <= 0 {
				return stream.CloseSend()
			}
		}
	}
}

func (w *world) requireOnce(h *consumertest.Host, n int) {
	w.t.Helper()
	r, err := w.dial(h).Read(w.t.Context(), &shardv1.ReadRequest{Shard: "a-shard"})
	require.NoError(w.t, err)
	require.Len(w.t, r.GetEntries(), n)
	for _, e := range r.GetEntries() {
		require.Equal(w.t, "|", string(e.GetValue()), "%s", e.GetKey())
	}
	out := w.committed("some/out")
	require.Len(w.t, out, n)
	seen := make(map[string]bool)
	for _, key := range out {
		require.False(w.t, seen[key], key)
		seen[key] = true
	}
}

// TestStream: a program does transactions over gRPC, by a host that isn't the primary, and by another one after the first was killed.
func TestStream(t *testing.T) {
	w := newWorld(t)
	one := w.host(1)
	one.Apply(spec())
	one.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	two := w.host(2)
	w.add(0, 50)
	require.NoError(t, program(t.Context(), w.dial(two), 50))
	w.requireOnce(one, 50)
	w.add(50, 80)
	require.NoError(t, one.Kill(t.Context()))
	two.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	require.NoError(t, program(t.Context(), w.dial(two), 30))
	w.requireOnce(two, 80)
}

func (w *world) get(h *consumertest.Host, path string, q url.Values) (int, map[string]any) {
	w.t.Helper()
	r, err := h.HTTP().Get(h.URL() + path + "?" + q.Encode())
	require.NoError(w.t, err)
	return answer(w.t, r)
}

func answer(t *testing.T, r *http.Response) (int, map[string]any) {
	t.Helper()
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	var out map[string]any
	if len(text) > 0 {
		require.NoError(t, json.Unmarshal(text, &out), "%s", text)
	}
	return r.StatusCode, out
}

func (w *world) post(h *consumertest.Host, body any) (int, map[string]any) {
	w.t.Helper()
	return w.postTo(h, "/v1/shards/commit", body)
}

func (w *world) postTo(h *consumertest.Host, path string, body any) (int, map[string]any) {
	w.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(w.t, err)
	r, err := h.HTTP().Post(h.URL()+path, "application/json", bytes.NewReader(text))
	require.NoError(w.t, err)
	return answer(w.t, r)
}

// TestHTTP: a script takes a transaction, is refused what is wrong with its answer, commits it, and reads the state; by either host.
func TestHTTP(t *testing.T) {
	w := newWorld(t)
	one := w.host(1)
	one.Apply(spec())
	one.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	two := w.host(2)
	shard := url.Values{"shard": {"a-shard"}}
	code, _ := w.get(one, "/v1/shards/transaction", shard)
	require.Equal(t, http.StatusNoContent, code)
	w.add(0, 1)
	code, txn := w.get(two, "/v1/shards/transaction", url.Values{"shard": {"a-shard"}, "wait": {"1m"}})
	require.Equal(t, http.StatusOK, code, txn)
	m := txn["messages"].([]any)[0].(map[string]any)
	require.Equal(t, map[string]any{"journal": "some/in", "offset": 0.0, "end": 8.0, "document": map[string]any{"n": 0.0}}, m)

	commit := map[string]any{"shard": "a-shard", "token": txn["token"]}
	for journal, want := range map[string]string{
		"some/frames": `publishes[0]: journal some/frames: content type "application/x-protobuf-fixed" isn't for programs`,
		"none/such":   "publishes[0]: journal none/such isn't there", "recovery/logs/a-shard": "publishes[0]: journal recovery/logs/a-shard is a recovery log",
	} {
		commit["publishes"] = []any{map[string]any{"journal": journal, "document": map[string]any{}}}
		code, out := w.post(two, commit)
		require.GreaterOrEqual(t, code, 400)
		require.Contains(t, out["error"], want)
		require.NotEmpty(t, out["hint"])
	}
	commit["publishes"] = []any{
		map[string]any{"journal": "some/out", "document": map[string]any{"key": "a", "_meta": map[string]any{"x": 1}}},
		map[string]any{"selector": "content-type=text/csv", "key": "k", "document": "a,b"},
	}
	commit["puts"] = map[string]string{"k": "v"}
	for range 2 { // It may be said again.
		code, out := w.post(two, commit)
		require.Equal(t, http.StatusOK, code, out)
	}
	code, state := w.get(two, "/v1/shards/state", url.Values{"shard": {"a-shard"}, "key": {"k", "none"}})
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, []any{map[string]any{"key": "k", "value": "v"}, map[string]any{"key": "none"}}, state["entries"])
	require.Equal(t, []string{"a"}, w.committed("some/out"))
	commit["token"] = "another"
	code, out := w.post(one, commit)
	require.Equal(t, http.StatusConflict, code)
	require.NotEmpty(t, out["hint"])
}

// TestLookUp: a script asks for as many keys as a transaction may have, in a body, and is told of one too many, and of what isn't a key.
func TestLookUp(t *testing.T) {
	w := newWorld(t)
	one := w.host(1)
	one.Apply(spec())
	one.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	two := w.host(2)
	w.add(0, 1)
	code, txn := w.get(two, "/v1/shards/transaction", url.Values{"shard": {"a-shard"}, "wait": {"1m"}})
	require.Equal(t, http.StatusOK, code, txn)
	puts := []any{
		map[string]any{"key": "k", "value": "v"}, map[string]any{"key_base64": "/w==", "value": "w"},
	}
	code, out := w.post(two, map[string]any{"shard": "a-shard", "token": txn["token"], "puts": puts})
	require.Equal(t, http.StatusOK, code, out)

	keys := []any{"k", map[string]any{"key_base64": "/w=="}}
	for n := range 4096 - len(keys) {
		keys = append(keys, strings.Repeat("none", 100)+strconv.Itoa(n))
	}
	for _, h := range []*consumertest.Host{one, two} {
		code, out = w.postTo(h, "/v1/shards/lookup", map[string]any{"shard": "a-shard", "keys": keys})
		require.Equal(t, http.StatusOK, code, out)
		entries := out["entries"].([]any)
		require.Len(t, entries, len(keys))
		require.Equal(t, puts, entries[:2])
		require.NotContains(t, entries[2], "value")
	}
	code, out = w.postTo(one, "/v1/shards/lookup", map[string]any{"shard": "a-shard", "keys": []any{}})
	require.Equal(t, http.StatusOK, code)
	require.Empty(t, out["entries"], "no key isn't all keys")
	for want, body := range map[string]any{
		"keys: there are 4097 (expected at most 4096)":                       map[string]any{"shard": "a-shard", "keys": append(keys, "more")},
		`the request has no field "prefix" (it has keys, shard)`:             map[string]any{"shard": "a-shard", "prefix": "k"},
		"keys[0]: is null (expected a string, or an object with key_base64)": map[string]any{"shard": "a-shard", "keys": []any{nil}},
	} {
		code, out = w.postTo(one, "/v1/shards/lookup", body)
		require.Equal(t, http.StatusBadRequest, code)
		require.Contains(t, out["error"], want)
	}
}

// TestFailure names the message, which can be skipped then.
func TestFailure(t *testing.T) {
	w := newWorld(t)
	h := w.host(1)
	s := spec()
	h.Apply(s)
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	w.add(0, 2)
	code, txn := w.get(h, "/v1/shards/transaction", url.Values{"shard": {"a-shard"}, "wait": {"1m"}})
	require.Equal(t, http.StatusOK, code)
	code, out := w.post(h, map[string]any{
		"shard": "a-shard", "token": txn["token"],
		"fail": map[string]any{"journal": "some/in", "offset": 3, "text": "is bad"},
	})
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, out["error"], "no message of some/in that begins at 3")
	code, _ = w.post(h, map[string]any{
		"shard": "a-shard", "token": txn["token"],
		"fail": map[string]any{"journal": "some/in", "offset": 0, "text": "is bad"},
	})
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0], "message of some/in at 0: is bad")
	s.Labels = protocol.MustLabelSet(consumer.LabelDeadLetters, "dead/letters", consumer.LabelSkip, "some/in="+strconv.Itoa(0))
	h.Apply(s)
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	require.NoError(t, program(t.Context(), w.dial(h), 1))
	require.Equal(t, []string{`{"n":1}`}, w.committed("some/out"))
}

// TestNeedsALog: a shard without a recovery log is refused.
func TestNeedsALog(t *testing.T) {
	w := newWorld(t)
	h := w.host(1)
	h.Apply(consumertest.Spec("a-shard", "some/in"))
	require.Contains(t, h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0], "shard a-shard has no recovery log")
}
