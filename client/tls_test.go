package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"broadsheet.dev/broadsheet/protocol"
)

// authorizedLister answers List and Apply with nothing, and keeps their authorizations.
type authorizedLister struct {
	protocol.UnimplementedJournalServer
	mu   sync.Mutex
	seen []string
}

func (l *authorizedLister) see(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, md.Get("authorization")...)
}

func (l *authorizedLister) List(_ *protocol.ListRequest, stream grpc.ServerStreamingServer[protocol.ListResponse]) error {
	l.see(stream.Context())
	return stream.Send(&protocol.ListResponse{Header: readHeader()})
}

func (l *authorizedLister) Apply(ctx context.Context, _ *protocol.ApplyRequest) (*protocol.ApplyResponse, error) {
	l.see(ctx)
	return &protocol.ApplyResponse{Header: readHeader()}, nil
}

func (l *authorizedLister) ListFragments(ctx context.Context, _ *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	l.see(ctx)
	return &protocol.FragmentsResponse{Header: readHeader()}, nil
}

func (l *authorizedLister) FragmentStoreHealth(ctx context.Context, _ *protocol.FragmentStoreHealthRequest) (*protocol.FragmentStoreHealthResponse, error) {
	l.see(ctx)
	return &protocol.FragmentStoreHealthResponse{Header: readHeader()}, nil
}

// TestTLSAndAuthorization: https endpoints are reached by TLS and proven, and each RPC
// carries what the credentials say.
func TestTLSAndAuthorization(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // has a certificate for 127.0.0.1
	web.StartTLS()
	t.Cleanup(web.Close)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	lister := new(authorizedLister)
	protocol.RegisterJournalServer(server, lister)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())

	c, err := Dial(t.Context(), Config{
		Endpoint: "https://" + listener.Addr().String(), TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Credentials: bearer{},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	_, err = c.List(t.Context(), nil)
	require.NoError(t, err)
	_, err = c.Apply(t.Context(), []*protocol.ApplyRequest_Change{{Delete: "a/journal", ExpectModRevision: -1}})
	require.NoError(t, err)
	_, err = c.Fragments(t.Context(), "a/journal;meta")
	require.NoError(t, err)
	require.NoError(t, c.FragmentStoreHealth(t.Context(), "s3://bucket/", false, ""))
	require.Equal(t, []string{"Bearer  2", "Bearer  4", "Bearer a/journal 8", "Bearer  8"}, lister.seen)
	_, err = c.Fragments(t.Context(), "a/secret")
	require.EqualError(t, err, "list fragments of a/secret: authorize: no key")
	r := c.NewReader(t.Context(), &protocol.ReadRequest{Journal: "a/secret"})
	_, err = r.Read(make([]byte, 1))
	require.EqualError(t, err, "read a/secret: authorize: no key")

	// A broker that isn't proven isn't spoken to.
	stranger, err := Dial(t.Context(), Config{Endpoint: "https://" + listener.Addr().String(), Credentials: bearer{}})
	require.NoError(t, err)
	_, err = stranger.List(t.Context(), nil)
	require.ErrorContains(t, err, "certificate")
	require.NoError(t, stranger.Close())
	require.Len(t, lister.seen, 4)
}
