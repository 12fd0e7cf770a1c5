package certs

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
)

// Credentials of gRPC clients, which read the files anew for their handshakes.
func (s *Source) Credentials() credentials.TransportCredentials { return clientCredentials{s} }

type clientCredentials struct{ source *Source }

func (c clientCredentials) now() credentials.TransportCredentials {
	return credentials.NewTLS(c.source.Client())
}

// ClientHandshake as of credentials.TransportCredentials.
func (c clientCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.now().ClientHandshake(ctx, authority, conn)
}

// ServerHandshake as of credentials.TransportCredentials: these are for clients.
func (clientCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, ErrNoCertificate
}

// Info as of credentials.TransportCredentials.
func (c clientCredentials) Info() credentials.ProtocolInfo { return c.now().Info() }

// Clone as of credentials.TransportCredentials: there is nothing that changes.
func (c clientCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName as of credentials.TransportCredentials, where it is deprecated.
func (clientCredentials) OverrideServerName(string) error { return errOverride }
