package guest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
)

// primary is a host with the shard.
func (w *world) primary(cfg guest.Config, adjust func(*consumer.Config)) *consumertest.Host {
	w.t.Helper()
	h := w.hostWith(1, cfg, adjust)
	h.Apply(spec())
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	return h
}

// take a transaction, with a lease, once there is one.
func (w *world) take(h *consumertest.Host, lease string) map[string]any {
	w.t.Helper()
	code, txn := w.get(h, "/v1/shards/transaction", url.Values{"shard": {"a-shard"}, "wait": {"1m"}, "lease": {lease}})
	require.Equal(w.t, http.StatusOK, code, txn)
	return txn
}

// TestLease: what isn't answered in time is given again, as it was, with the same token. Who comes too late is told, and may forget it.
func TestLease(t *testing.T) {
	w := newWorld(t)
	h := w.primary(guest.Config{}, nil)
	w.add(0, 3)
	first := w.take(h, "1s")
	second := w.take(h, "1s") // It waits for the end of that lease.
	require.Equal(t, first, second)
	awaitCount(t, h, "broadsheet_guest_transactions_total", "given again", 1)
	awaitProgram(t, h, "waits for its program") // And for that of the second.
	commit := map[string]any{"shard": "a-shard", "token": first["token"], "puts": map[string]string{"late": "x"}}
	code, out := w.post(h, commit)
	require.Equal(t, http.StatusConflict, code, out)
	require.Contains(t, out["error"], "its time is over")

	require.Equal(t, first, w.take(h, "10m"))
	commit["puts"] = map[string]string{"in time": "x"}
	code, out = w.post(h, commit)
	require.Equal(t, http.StatusOK, code, out)
	code, out = w.get(h, "/v1/shards/state", url.Values{"shard": {"a-shard"}})
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, []any{map[string]any{"key": "in time", "value": "x"}}, out["entries"])
	code, out = w.post(h, map[string]any{"shard": "a-shard", "token": first["token"].(string)[:4]})
	require.Equal(t, http.StatusConflict, code, out)
}

// told what a program is given, up to the end of the transaction: its messages, and its token.
func told(t *testing.T, s shardv1.Shard_RunClient) ([]*shardv1.Message, string) {
	t.Helper()
	var out []*shardv1.Message
	for {
		in := hear(t, s)
		if f := in.GetFinish(); f != nil {
			return out, f.GetToken()
		}
		require.NotNil(t, in.GetMessages(), "%v", in)
		out = append(out, in.GetMessages().GetMessages()...)
	}
}

func commitOf(token string, more bool, c *shardv1.Changes) *shardv1.RunRequest {
	return &shardv1.RunRequest{Kind: &shardv1.RunRequest_Commit_{Commit: &shardv1.RunRequest_Commit{Token: token, More: more, Changes: c}}}
}

func put(key, value string) *shardv1.Changes {
	return &shardv1.Changes{Puts: []*shardv1.Entry{{Key: []byte(key), Value: []byte(value)}}}
}

func (w *world) state(h *consumertest.Host) map[string]string {
	w.t.Helper()
	r, err := w.dial(h).Read(w.t.Context(), &shardv1.ReadRequest{Shard: "a-shard"})
	require.NoError(w.t, err)
	out := map[string]string{}
	for _, e := range r.GetEntries() {
		out[string(e.GetKey())] = string(e.GetValue())
	}
	return out
}

// TestProgramDies: of what a program has said of a transaction nothing is left if it dies before it has said all; whoever waits behind it is given
// the transaction from its first message on, and one that ends in order has what it answered committed.
func TestProgramDies(t *testing.T) {
	w := newWorld(t)
	h := w.primary(guest.Config{}, nil)
	w.add(0, 3)
	ctx, die := context.WithCancel(t.Context())
	defer die()
	one := run(ctx, t, w.dial(h))
	require.NotNil(t, hear(t, one).GetOpened())
	first, token := told(t, one)
	say(t, one, commitOf(token, true, put("of", "one")))
	say(t, one, &shardv1.RunRequest{Kind: &shardv1.RunRequest_Scan_{Scan: new(shardv1.RunRequest_Scan)}})
	require.Empty(t, hear(t, one).GetEntries().GetEntries(), "a part has done nothing")
	two := run(t.Context(), t, w.dial(h))
	die()
	require.NotNil(t, hear(t, two).GetOpened())
	again, same := told(t, two)
	require.Equal(t, token, same)
	require.Len(t, again, len(first))
	require.Equal(t, first[0].GetBegin(), again[0].GetBegin())
	say(t, two, commitOf(token, true, put("a", "1")))
	say(t, two, commitOf(token, true, put("b", "2")))
	say(t, two, commitOf(token, false, put("a", "3")))
	require.NoError(t, two.CloseSend())
	require.Equal(t, token, hear(t, two).GetCommitted().GetToken())
	_, err := two.Recv()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, map[string]string{"a": "3", "b": "2"}, w.state(h))
}

// TestHotSpare: a standby that follows the log has the state when the shard's host is killed, and the program goes on at it.
func TestHotSpare(t *testing.T) {
	w := newWorld(t)
	one := w.host(1)
	s := spec()
	s.HotStandbys = 1
	one.Apply(s)
	one.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	two := w.host(2)
	w.add(0, 20)
	require.NoError(t, program(t.Context(), w.dial(two), 20))
	one.AwaitCode("a-shard", shards.ReplicaStatus_STANDBY)
	w.add(20, 40)
	require.NoError(t, program(t.Context(), w.dial(one), 20))
	ends := run(t.Context(), t, w.dial(one))
	require.NotNil(t, hear(t, ends).GetOpened())
	require.NoError(t, one.Kill(t.Context()))
	_, err := ends.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	two.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	w.requireOnce(two, 40)
	w.add(40, 50)
	require.NoError(t, program(t.Context(), w.dial(two), 10))
	w.requireOnce(two, 50)
}

// TestBounds of transactions, in messages and in bytes; and a message that is larger is one by itself.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	h := w.primary(guest.Config{MaxMessages: 2, MaxBytes: 1000}, nil)
	w.add(0, 5)
	w.addBytes(2, 400)
	w.addBytes(2, 600)
	w.addBytes(1, 2000)
	for begin := 0.0; begin < 5*8+2*414+2*614+2014; {
		txn := w.take(h, "1m")
		messages := txn["messages"].([]any)
		require.LessOrEqual(t, len(messages), 2)
		size := 0.0
		for _, m := range messages {
			require.InDelta(t, begin, m.(map[string]any)["offset"], 0, "none is left out")
			end := m.(map[string]any)["end"].(float64)
			size, begin = size+end-begin, end
		}
		require.True(t, size <= 1000+2 || len(messages) == 1, "%v bytes", size)
		code, out := w.post(h, map[string]any{"shard": "a-shard", "token": txn["token"]})
		require.Equal(t, http.StatusOK, code, out)
	}
}

// TestLargeMessage: one that is larger than programs are given fails the shard, and is named.
func TestLargeMessage(t *testing.T) {
	w := newWorld(t)
	h := w.primary(guest.Config{}, nil)
	w.addBytes(1, 16<<20)
	require.Contains(t, h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0],
		"message of some/in at 0: has "+strconv.Itoa(16<<20+14)+" bytes, and a program is given no more than "+strconv.Itoa(16<<20))
}

// refused is a stream that is told why it ends.
func refused(t *testing.T, s shardv1.Shard_RunClient, code codes.Code, says string) {
	t.Helper()
	for {
		_, err := s.Recv()
		if err == nil {
			continue
		}
		require.Equal(t, code, status.Code(err), "%v", err)
		require.ErrorContains(t, err, says)
		return
	}
}

// TestWhatProgramsMayNot say, in which order, and how much of it. After each the shard goes on, and nothing has happened.
func TestWhatProgramsMayNot(t *testing.T) {
	w := newWorld(t)
	h := w.primary(guest.Config{}, func(c *consumer.Config) { c.MaxMessage = 80 << 20 })
	w.add(0, 1)
	c := w.dial(h)
	for _, x := range []struct {
		code codes.Code
		says string
		of   func(token string) *shardv1.RunRequest
	}{
		{codes.InvalidArgument, "the shard is open already", func(string) *shardv1.RunRequest {
			return &shardv1.RunRequest{Kind: &shardv1.RunRequest_Open_{Open: &shardv1.RunRequest_Open{Shard: "a-shard"}}}
		}},
		{codes.InvalidArgument, "the request says nothing that is known here", func(string) *shardv1.RunRequest { return new(shardv1.RunRequest) }},
		{codes.FailedPrecondition, `token "another" isn't that of the transaction`, func(string) *shardv1.RunRequest { return commitOf("another", false, nil) }},
		{codes.FailedPrecondition, `token "" isn't that of the transaction`, func(string) *shardv1.RunRequest { return commitOf("", true, nil) }},
		{codes.InvalidArgument, "no message of some/in that begins at 7", func(token string) *shardv1.RunRequest {
			return &shardv1.RunRequest{Kind: &shardv1.RunRequest_Fail_{Fail: &shardv1.RunRequest_Fail{
				Token: token, Failure: &shardv1.Failure{Journal: "some/in", Offset: 7},
			}}}
		}},
		{codes.InvalidArgument, "puts[0]: the key is empty", func(token string) *shardv1.RunRequest { return commitOf(token, false, put("", "x")) }},
		{codes.InvalidArgument, "puts[0]: the key has 65537 bytes (expected at most 65536)", func(token string) *shardv1.RunRequest {
			return commitOf(token, false, put(strings.Repeat("k", 64<<10+1), ""))
		}},
		{codes.InvalidArgument, "changes of a transaction have more than 67108864 bytes", func(token string) *shardv1.RunRequest {
			return commitOf(token, true, put("k", strings.Repeat("v", 64<<20)))
		}},
		{codes.InvalidArgument, "publishes[0]: the document has 16777217 bytes (expected at most 16777216)", func(token string) *shardv1.RunRequest {
			return commitOf(token, false, &shardv1.Changes{Publishes: []*shardv1.Publish{{Journal: "some/out", Document: make([]byte, 16<<20+1)}}})
		}},
		{codes.InvalidArgument, "keys: there are 4097 (expected at most 4096)", func(string) *shardv1.RunRequest {
			return &shardv1.RunRequest{Kind: &shardv1.RunRequest_Get_{Get: &shardv1.RunRequest_Get{Keys: make([][]byte, 4097)}}}
		}},
		{codes.InvalidArgument, "limit: isn't of 0 to 1000", func(string) *shardv1.RunRequest {
			return &shardv1.RunRequest{Kind: &shardv1.RunRequest_Scan_{Scan: &shardv1.RunRequest_Scan{Limit: 1001}}}
		}},
	} {
		s := run(t.Context(), t, c)
		require.NotNil(t, hear(t, s).GetOpened())
		_, token := told(t, s)
		say(t, s, x.of(token))
		refused(t, s, x.code, x.says)
	}
	s, err := c.Run(t.Context())
	require.NoError(t, err)
	say(t, s, commitOf("x", false, nil))
	refused(t, s, codes.InvalidArgument, "the first request isn't Open")
	for _, req := range []*shardv1.TakeRequest{{Shard: "a-shard", WaitMs: 60_001}, {Shard: "a-shard", LeaseMs: 999}, {Shard: "a-shard", LeaseMs: 600_001}} {
		_, err := c.Take(t.Context(), req)
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
	}

	has := run(t.Context(), t, c)
	require.NotNil(t, hear(t, has).GetOpened())
	waits := run(t.Context(), t, c)
	say(t, waits, commitOf("x", false, nil))
	refused(t, waits, codes.FailedPrecondition, "the shard has another program: wait for Opened")
	_, token := told(t, has)
	say(t, has, commitOf(token, false, nil))
	require.Equal(t, token, hear(t, has).GetCommitted().GetToken())
	say(t, has, commitOf(token, false, nil))
	refused(t, has, codes.FailedPrecondition, "answer a Finish once")
	require.Empty(t, w.state(h))
	require.Empty(t, w.committed("some/out"))
}

// TestBytes that are no text come and go in base 64.
func TestBytes(t *testing.T) {
	w := newWorld(t)
	h := w.primary(guest.Config{}, nil)
	_, err := w.client.Append(t.Context(), client.AppendParams{Journal: "some/in"}, strings.NewReader("{\"x\":\"\xff\"}\n"))
	require.NoError(t, err)
	txn := w.take(h, "1m")
	m := txn["messages"].([]any)[0].(map[string]any)
	require.Equal(t, "eyJ4Ijoi/yJ9", m["document_base64"])
	require.NotContains(t, m, "document")
	code, out := w.post(h, map[string]any{
		"shard": "a-shard", "token": txn["token"],
		"puts":      []any{map[string]any{"key_base64": "/wE=", "value_base64": "/w=="}, map[string]any{"key_base64": "AQ==", "value": ""}},
		"deletes":   []any{map[string]any{"key_base64": "/wI="}},
		"publishes": []any{map[string]any{"journal": "some/rows", "document_base64": "/ywx"}},
	})
	require.Equal(t, http.StatusOK, code, out)
	code, out = w.get(h, "/v1/shards/state", url.Values{"shard": {"a-shard"}, "prefix": {"\xff"}})
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, []any{map[string]any{"key_base64": "/wE=", "value_base64": "/w=="}}, out["entries"])
	code, out = w.get(h, "/v1/shards/state", url.Values{"shard": {"a-shard"}, "limit": {"1"}})
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, map[string]any{"entries": []any{map[string]any{"key": "\x01", "value": ""}}, "more": true}, out)
	code, out = w.get(h, "/v1/shards/state", url.Values{"shard": {"a-shard"}, "prefix": {"a"}, "after": {"b"}})
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, map[string]any{"entries": []any{}, "more": false}, out, "nothing is behind it")
	rows, err := w.client.Barrier(t.Context(), "some/rows")
	require.NoError(t, err)
	r := w.client.NewReader(t.Context(), &protocol.ReadRequest{Journal: "some/rows", EndOffset: rows.Head, Block: true})
	defer r.Close()
	text, err := io.ReadAll(r)
	require.True(t, err == nil || errors.Is(err, io.EOF), "%v", err)
	require.Contains(t, string(text), ",\xff,1\n")
}
