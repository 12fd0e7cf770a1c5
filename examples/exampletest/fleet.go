package exampletest

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/test/system"
)

// Fleet is an etcd, in this process, and a broker.
type Fleet struct {
	// Etcd and Broker are their addresses.
	Etcd, Broker string
	// Client of the broker.
	Client *client.Client

	t    *testing.T
	host string // address of the host that Guest started last, in the place of the one that serve has
}

// New fleet, for as long as the test lasts.
func New(t *testing.T) *Fleet {
	t.Helper()
	dir, err := os.MkdirTemp("", "bs") //nolint:usetesting // a socket's path has to be short
	require.NoError(t, err)
	etcd, err := embedetcd.Start(t.Context(), embedetcd.Config{Dir: filepath.Join(dir, "etcd"), RunDir: dir, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = etcd.Close(), os.RemoveAll(dir) })
	f := &Fleet{t: t, Etcd: etcd.Endpoint()}
	f.Broker = f.launch("broker", "--etcd.address", f.Etcd, "--data-dir", t.TempDir(), "--broker.file-root", t.TempDir()).URL
	f.Client, err = client.Dial(t.Context(), client.Config{Endpoint: f.Broker})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Client.Close()) })
	return f
}

// Member of the fleet, at an address that it keeps.
type Member struct {
	*Process

	URL string
}

// Ready waits until it is.
func (m *Member) Ready() {
	m.t.Helper()
	Until(m.t, "a member of the fleet is ready", func() bool {
		require.False(m.t, m.ended(), "it has ended: %v", m.err)
		r, err := http.Get(m.URL + "/debug/ready")
		if err != nil {
			return false
		}
		return r.Body.Close() == nil && r.StatusCode == http.StatusOK
	})
}

// launch a role of the program.
func (f *Fleet) launch(role string, args ...string) *Member {
	f.t.Helper()
	program, err := system.Static()
	require.NoError(f.t, err)
	return f.start(role, nil, program, append([]string{role}, args...)...)
}

func (f *Fleet) start(role string, env []string, program string, args ...string) *Member {
	f.t.Helper()
	ports, err := testenv.FreePorts(1)
	require.NoError(f.t, err)
	of := "--" + role + "."
	args = append(args, of+"bind", "127.0.0.1", of+"host", "127.0.0.1", of+"port", strconv.Itoa(ports[0]))
	m := &Member{Start(f.t, env, program, args...), fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	m.Ready()
	return m
}

// Guest starts a host of shards that programs do.
func (f *Fleet) Guest() *Member {
	f.t.Helper()
	m := f.launch("consumer", "--etcd.address", f.Etcd, "--broker.address", f.Broker, "--data-dir", f.t.TempDir(), "--etcd.lease", "2s")
	f.host = m.URL
	return m
}

// Journal makes one, with labels beside that of its type: name, value, and so on.
func (f *Fleet) Journal(name, contentType string, labels ...string) {
	f.t.Helper()
	_, err := f.Client.Apply(f.t.Context(), []*protocol.ApplyRequest_Change{{Upsert: &protocol.JournalSpec{
		Name: name, Replication: 1, Labels: protocol.MustLabelSet(append(labels, "content-type", contentType)...),
		Fragment: &protocol.JournalSpec_Fragment{
			Length: 1 << 20, CompressionCodec: protocol.CompressionCodec_NONE, Stores: []string{"file:///"}, RefreshInterval: durationpb.New(time.Minute),
		},
	}}})
	require.NoError(f.t, err)
}

// Append text to a journal.
func (f *Fleet) Append(journal, text string) {
	f.t.Helper()
	_, err := f.Client.Append(f.t.Context(), client.AppendParams{Journal: journal}, strings.NewReader(text))
	require.NoError(f.t, err)
}

// Shard makes one by a host, or edits it, and waits until it is served. It has a recovery log, and a hot standby.
func (f *Fleet) Shard(host *Member, id string, sources []string, labels ...string) {
	f.t.Helper()
	spec := &shards.ShardSpec{
		Id: id, RecoveryLogPrefix: "recovery/logs", HintPrefix: "/hints", HotStandbys: 1, MaxTxnDuration: durationpb.New(50 * time.Millisecond),
		Labels: protocol.MustLabelSet(labels...),
	}
	for _, s := range sources {
		spec.Sources = append(spec.Sources, &shards.ShardSpec_Source{Journal: s})
	}
	if _, err := f.Client.Barrier(f.t.Context(), "recovery/logs/"+id); err != nil {
		f.Journal("recovery/logs/"+id, message.RecoveryLog)
	}
	f.dial(host, func(c shards.ShardClient) {
		r, err := c.Apply(f.t.Context(), &shards.ApplyRequest{Changes: []*shards.ApplyRequest_Change{{Upsert: spec, ExpectModRevision: -1}}})
		require.NoError(f.t, err)
		require.Equal(f.t, shards.Status_OK, r.GetStatus())
	})
	f.Await(host, id, shards.ReplicaStatus_PRIMARY)
}

// Await that a replica of a shard has a status, and return its errors.
func (f *Fleet) Await(host *Member, id string, code shards.ReplicaStatus_Code) string {
	f.t.Helper()
	var said string
	f.dial(host, func(c shards.ShardClient) {
		Until(f.t, id+" is "+code.String(), func() bool {
			r, err := c.List(f.t.Context(), &shards.ListRequest{Selector: &protocol.LabelSelector{Include: protocol.MustLabelSet("id", id)}})
			if err != nil || len(r.GetShards()) != 1 {
				return false
			}
			for _, s := range r.GetShards()[0].GetStatus() {
				if s.GetCode() == code {
					said = cmp.Or(strings.Join(s.GetErrors(), "; "), said)
					return true
				}
			}
			return false
		})
	})
	return said
}

func (f *Fleet) dial(host *Member, work func(c shards.ShardClient)) {
	f.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(host.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, conn.Close()) }()
	work(shards.NewShardClient(conn))
}

// Committed messages of a journal of JSON, each decoded into what fresh makes.
func Committed[M message.Message](f *Fleet, journal string, fresh func() M) []M {
	f.t.Helper()
	var out []M
	all := tail.New(f.Client, tail.Labelled("name", journal), func(*protocol.JournalSpec) (message.Message, error) { return fresh(), nil })
	require.NoError(f.t, all.Read(f.t.Context(), func(env message.Envelope) error {
		out = append(out, env.Message.(M)) //nolint:forcetypeassert // fresh made it
		return nil
	}))
	return out
}
