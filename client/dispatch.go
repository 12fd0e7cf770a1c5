package client

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// Capabilities that an RPC asks for: bits of an authorization's claims.
const (
	CapabilityList   uint32 = 1 << 1
	CapabilityApply  uint32 = 1 << 2
	CapabilityRead   uint32 = 1 << 3
	CapabilityAppend uint32 = 1 << 4
)

// Credentials prove to brokers what this process may do.
type Credentials interface {
	// Authorization returns the value that an RPC carries as its authorization, such as
	// "Bearer ..."; "" is none. The journal is without a ";meta" suffix, and empty for
	// RPCs that aren't about one. It is called for each RPC, concurrently: caching
	// what doesn't expire is its own affair.
	Authorization(ctx context.Context, journal string, capability uint32) (string, error)
}

// authorized returns the context of an RPC with its authorization.
func (c *Client) authorized(ctx context.Context, journal string, capability uint32) (context.Context, error) {
	if c.credentials == nil {
		return ctx, nil
	}
	name, _ := protocol.SplitMeta(journal)
	v, err := c.credentials.Authorization(ctx, name, capability)
	if err != nil {
		return nil, fmt.Errorf("authorize: %w", err)
	}
	if v == "" {
		return ctx, nil
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", v), nil
}

// call is an RPC about a journal, to the broker that was chosen for it. It holds a
// connection, until it has ended.
type call struct {
	client   *Client
	journal  string
	conn     *conn
	ctx      context.Context //nolint:containedctx // of the RPC, with its authorization
	journals protocol.JournalClient
	// routed says that the broker was chosen by a route, and isn't just any.
	routed bool
}

// begin an RPC about a journal, which asks for a capability, to a broker in a role.
func (c *Client) begin(ctx context.Context, journal string, capability uint32, as role) (*call, error) {
	ctx, err := c.authorized(ctx, journal, capability)
	if err != nil {
		return nil, err
	}
	endpoint := choose(c.routes.get(journal), as, c.zone, c.pool.usable)
	conn, err := c.pool.take(endpoint)
	if err != nil {
		return nil, err
	}
	return &call{client: c, journal: journal, conn: conn, ctx: ctx, journals: conn.journals, routed: endpoint != ""}, nil
}

// learn from what the broker answered.
func (k *call) learn(h *protocol.Header) {
	if h != nil {
		k.client.routes.learn(k.journal, h.GetRoute())
	}
}

// end the call, with the RPC's error. A broker that can't be reached, or doesn't take
// the journal for its own, isn't asked for it again before another names it.
func (k *call) end(err error) {
	if k.conn == nil {
		return
	}
	if k.routed && status.Code(err) == codes.Unavailable {
		k.client.routes.forget(k.journal)
	}
	k.client.pool.release(k.conn)
	k.conn = nil
}
