package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/wire"
)

const (
	// peerPing is how often a silent connection to a peer is asked for life, and peerWait
	// how long for an answer: a peer that is frozen is found out so, or by its lease.
	peerPing, peerWait = 10 * time.Second, 5 * time.Second
	// peerBackoff is the longest pause between attempts to connect.
	peerBackoff = 500 * time.Millisecond
)

// errNoEndpoint tells that a broker isn't announced now.
var errNoEndpoint = errors.New("its endpoint isn't known")

// peers has the connections to other brokers, one for each endpoint. Close ends them.
type peers struct {
	transport  *transport
	signer     *signer
	maxMessage int

	mu     sync.Mutex
	conns  map[string]*grpc.ClientConn // by endpoint
	closed bool
}

func newPeers(t *transport, s *signer, maxMessage int) *peers {
	return &peers{transport: t, signer: s, maxMessage: maxMessage, conns: make(map[string]*grpc.ClientConn)}
}

// client of the broker at an endpoint. It isn't connected yet.
func (p *peers) client(endpoint string) (protocol.JournalClient, error) {
	conn, err := p.conn(endpoint)
	if err != nil {
		return nil, err
	}
	return protocol.NewJournalClient(conn), nil
}

func (p *peers) conn(endpoint string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[endpoint]; c != nil {
		return c, nil
	}
	if p.closed {
		return nil, errStopping
	}
	if endpoint == "" {
		return nil, errNoEndpoint
	}
	target, creds, err := p.transport.dial(endpoint)
	if err != nil {
		return nil, err
	}
	c, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(creds),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: peerPing, Timeout: peerWait}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{
			BaseDelay: peerBackoff / 10, Multiplier: 1.6, Jitter: 0.2, MaxDelay: peerBackoff,
		}, MinConnectTimeout: peerWait}),
		grpc.WithInitialConnWindowSize(math.MaxInt32), // Streams are bounded each by itself.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(p.maxMessage), grpc.ForceCodecV2(wire.NewCodec())),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", endpoint, err)
	}
	p.conns[endpoint] = c
	return c, nil
}

// replicate begins a Replicate RPC that ends with ctx or when the peer is canceled.
func (p *peers) replicate(ctx context.Context, id *protocol.ProcessSpec_ID, endpoint, journal string) (*peer, error) {
	client, err := p.client(endpoint)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	if ctx, err = p.signer.replicate(ctx, journal); err != nil {
		cancel()
		return nil, err
	}
	stream, err := client.Replicate(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	return &peer{id: id, stream: stream, cancel: cancel}, nil
}

// close all connections.
func (p *peers) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	clear(p.conns)
	return errors.Join(errs...)
}
