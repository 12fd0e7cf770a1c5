package broker

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// transport is how a broker's connections are protected: those that it accepts, and
// those to other brokers.
type transport struct {
	server *tls.Config // nil is no TLS
	peer   *certs.Source
}

func newTransport(s auth.Security, log *slog.Logger) (*transport, error) {
	t := new(transport)
	var err error
	if t.peer, err = certs.Load(s.Peer, log); err != nil {
		return nil, fmt.Errorf("peer's certificates: %w", err)
	}
	if s.Server.Cert == "" {
		return t, nil
	}
	source, err := certs.Load(s.Server, log)
	if err != nil {
		return nil, fmt.Errorf("server's certificates: %w", err)
	}
	// HTTP/1.1 is liked best, so that who speaks both doesn't come to gRPC's door; a
	// client of gRPC offers h2 alone.
	if t.server, err = source.Server("http/1.1", "h2"); err != nil {
		return nil, fmt.Errorf("server's certificates: %w", err)
	}
	return t, nil
}

// listen returns a listener whose connections speak TLS, if there is a certificate and
// it isn't a unix socket.
func (t *transport) listen(ln net.Listener) net.Listener {
	if t.server == nil || ln.Addr().Network() == "unix" {
		return ln
	}
	return tls.NewListener(ln, t.server)
}

// dial is the target and the credentials with which gRPC reaches another broker's
// endpoint.
func (t *transport) dial(endpoint string) (string, credentials.TransportCredentials, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", nil, fmt.Errorf("endpoint of a broker: %w", err)
	}
	switch u.Scheme {
	case "http":
		return "dns:///" + u.Host, insecure.NewCredentials(), nil
	case "https":
		return "dns:///" + u.Host, t.peer.Credentials(), nil
	case "unix":
		return "unix://" + u.Path, insecure.NewCredentials(), nil
	default:
		return "", nil, fmt.Errorf("endpoint %s of a broker: its scheme isn't http, https or unix", endpoint)
	}
}
