package broker_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestNeighbour: what else is served at the broker's ports lets requests in by itself, and the broker's own rules stay.
func TestNeighbour(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{
		Quiet: true,
		Token: token(t, auth.All, "", time.Hour),
		Adjust: func(c *broker.Config) {
			c.Security.Keys = parseKeys(t, sharedSecret)
			c.Neighbour = &broker.Neighbour{
				Register: func(s grpc.ServiceRegistrar) { grpc_health_v1.RegisterHealthServer(s, health.NewServer()) },
				Prefix:   "/v1/others/",
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(http.StatusTeapot)
					_, _ = w.Write([]byte(r.Method + " " + r.URL.Path))
				}),
			}
		},
	})
	conn := b.Dial("")
	_, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest))
	require.NoError(t, err)
	require.Equal(t, codes.Unauthenticated, status.Code(call(t.Context(), conn, "/protocol.Journal/List")))
	for method, path := range map[string]string{http.MethodGet: "/v1/others/a", http.MethodPost: "/v1/others/b"} {
		code, body := send(t, b, method, path, "", "")
		require.Equal(t, http.StatusTeapot, code)
		require.Equal(t, method+" "+path, body)
	}
	code, _ := send(t, b, http.MethodGet, "/v1/another", "", "")
	require.Equal(t, http.StatusUnauthorized, code, "that is a journal")
}

// TestRefusedNeighbours: what isn't whole isn't served.
func TestRefusedNeighbours(t *testing.T) {
	register, serve := func(grpc.ServiceRegistrar) {}, http.NotFoundHandler()
	for want, n := range map[string]*broker.Neighbour{
		"neighbour: Register or Handler is missing":          {Register: register, Prefix: "/v1/others/"},
		`neighbour: Prefix "/" isn't a path of a folder`:     {Register: register, Handler: serve, Prefix: "/"},
		`neighbour: Prefix "/v1/x" isn't a path of a folder`: {Register: register, Handler: serve, Prefix: "/v1/x"},
	} {
		require.EqualError(t, n.Validate(), want)
	}
}
