package keyspace

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/internal/task"
)

// member is a fake of etcd, which is empty, and of some version.
type member struct {
	etcdserverpb.UnimplementedKVServer
	etcdserverpb.UnimplementedMaintenanceServer

	version string // "" doesn't tell
}

func (m *member) Range(context.Context, *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	return &etcdserverpb.RangeResponse{Header: &etcdserverpb.ResponseHeader{ClusterId: 1, MemberId: 1, Revision: 1, RaftTerm: 1}}, nil
}

func (m *member) Status(context.Context, *etcdserverpb.StatusRequest) (*etcdserverpb.StatusResponse, error) {
	if m.version == "" {
		return nil, status.Error(codes.Unavailable, "not now")
	}
	return &etcdserverpb.StatusResponse{Version: m.version}, nil
}

// serve the member, and return its endpoint.
func (m *member) serve(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	etcdserverpb.RegisterKVServer(server, m)
	etcdserverpb.RegisterMaintenanceServer(server, m)
	group := task.New(context.WithoutCancel(t.Context()), "member")
	group.Go("serve", func(context.Context) error { return server.Serve(ln) })
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, group.Wait())
	})
	return "http://" + ln.Addr().String()
}

// TestOldEtcd: an etcd that is too old is refused, by whichever member tells; one that is down says nothing of the others.
func TestOldEtcd(t *testing.T) {
	for _, c := range []struct {
		versions []string
		old      string // version that is refused; "" is none
		err      string
	}{
		{versions: []string{"3.5.0"}},
		{versions: []string{"3.6.0-rc.1"}},
		{versions: []string{"3.10.2"}},
		{versions: []string{"4.0.0"}},
		{versions: []string{"", "3.5.12"}},
		{versions: []string{"3.4.23"}, old: "3.4.23"},
		{versions: []string{"2.3.8"}, old: "2.3.8"},
		{versions: []string{"3.5.12", "3.4.0"}, old: "3.4.0"},
		{versions: []string{"unknown"}, old: "unknown"},
		{versions: []string{"3"}, old: "3"},
		{versions: []string{"", ""}, err: "not now"},
	} {
		t.Run(strings.Join(c.versions, " and "), func(t *testing.T) {
			var endpoints []string
			for _, v := range c.versions {
				endpoints = append(endpoints, (&member{version: v}).serve(t))
			}
			client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, client.Close()) })
			_, err = Load(t.Context(), Config{Client: client, Prefix: "/p", Decode: decode, Logger: slog.New(slog.DiscardHandler)})
			switch {
			case c.old != "":
				var old *VersionError
				require.ErrorAs(t, err, &old)
				require.Equal(t, c.old, old.Version)
				require.ErrorContains(t, err, "has version "+c.old+": it has to be 3.5 or newer")
			case c.err != "":
				require.ErrorContains(t, err, c.err)
				for _, endpoint := range endpoints {
					require.ErrorContains(t, err, endpoint+": ")
				}
			default:
				require.NoError(t, err)
			}
		})
	}
}
