package flags

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestEndpoint is the one that was said, or that of a host and the port that is listened on.
func TestEndpoint(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	for _, c := range []struct {
		process Process
		want    string
	}{
		{Process{Host: "a.example"}, "http://a.example:" + port},
		{Process{Host: "::1"}, "http://[::1]:" + port},
		{Process{Host: "[::1]"}, "http://[::1]:" + port},
		{Process{Host: "a.example", Port: "unix:///run/socket"}, "unix://localhost/run/socket"},
		{Process{Host: "a.example", Endpoint: "https://b.example:1"}, "https://b.example:1"},
	} {
		got, err := c.process.EndpointAt(ln, auth.Security{})
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
}
