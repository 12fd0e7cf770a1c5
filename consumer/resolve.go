package consumer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/protocol"
)

// ResolveArgs say which shard is wanted, and how.
type ResolveArgs struct {
	// Shard is its id.
	Shard string
	// MayProxy accepts that another host has the shard, which the request is then passed on to.
	MayProxy bool
	// ReadThrough are offsets of sources that have to be read, in transactions that are done. A journal that isn't a source is
	// refused: whoever waits for it would do so for ever.
	ReadThrough map[string]int64
	// ProxyHeader is that of the host which passed the request on; nil if none did.
	ProxyHeader *protocol.Header
}

// Resolution of a shard.
type Resolution struct {
	// Status is OK if the shard is here, or if its primary is another host and MayProxy was set.
	Status shards.Status
	// Header for the response, or, if another host has the shard, for the request to it.
	Header *protocol.Header
	// Spec of the shard; nil if there is none.
	Spec *shards.ShardSpec
	// Shard and Store if the shard is here: both may be used until Done is called, which has to be soon after
	// Shard.Context ends. They're nil if another host has the shard.
	Shard *Shard
	Store store.Store
	// Done with them. It is never nil.
	Done func()
}

// Resolve finds who has a shard: it returns once its primary, if that is this host, runs and has read what is asked for.
func (h *Host) Resolve(ctx context.Context, args ResolveArgs) (Resolution, error) {
	res := Resolution{Done: func() {}}
	if err := h.await(ctx, args.ProxyHeader); err != nil {
		return res, err
	}
	now := h.directory()
	res.Header = h.header(now, protocol.EmptyRoute())
	s, ok := now.shard(args.Shard)
	if !ok || !scopeOf(ctx).Matches(s.Labels) {
		res.Status = shards.Status_SHARD_NOT_FOUND
		return res, nil
	}
	res.Spec = s.Spec
	res.Header.Route, _ = now.route(now.assignments(args.Shard))
	primary := int(res.Header.GetRoute().GetPrimary())
	switch self := res.Header.GetRoute().IndexOf(h.cfg.ID); {
	case primary == -1:
		res.Status = shards.Status_NO_SHARD_PRIMARY
		return res, nil
	case primary != self && args.MayProxy && args.ProxyHeader == nil:
		res.Header.ProcessId = res.Header.GetRoute().GetMembers()[primary]
		return res, nil
	case primary != self:
		res.Status = shards.Status_NOT_SHARD_PRIMARY
		return res, nil
	}
	return h.resolveHere(ctx, args, res)
}

func (h *Host) resolveHere(ctx context.Context, args ResolveArgs, res Resolution) (Resolution, error) {
	serving, err := h.awaitServing(ctx, args.Shard)
	if errors.Is(err, errNotServed) {
		res.Status = shards.Status_SHARD_STOPPED
		return res, nil
	}
	if err != nil {
		return res, err
	}
	if len(args.ReadThrough) > 0 {
		err = h.awaitRead(ctx, serving, args.ReadThrough)
	}
	switch {
	case errors.Is(err, shards.Status_SHARD_STOPPED.Err()):
		serving.release()
		res.Status = shards.Status_SHARD_STOPPED
		return res, nil
	case err != nil:
		serving.release()
		return res, err
	}
	res.Shard, res.Store, res.Done = serving.shard, serving.store, sync.OnceFunc(serving.release)
	return res, nil
}

func (h *Host) awaitRead(ctx context.Context, s *serving, offsets map[string]int64) error {
	var err error
	if producer, ok := h.cfg.Application.(MessageProducer); ok {
		offsets, err = readThroughOf(ctx, producer, s, offsets)
	} else {
		err = s.shard.reads(offsets)
	}
	if err != nil {
		return err
	}
	return s.shard.progress.await(ctx, s.shard.ctx, offsets)
}

// readThroughOf is ReadThrough, a panic of which is an error: it is called for a request, which nobody else would rescue.
func readThroughOf(ctx context.Context, p MessageProducer, s *serving, asked map[string]int64) (offsets map[string]int64, err error) { //nolint:nonamedreturns // set as it recovers
	defer recovered(&err)
	offsets, err = p.ReadThrough(ctx, s.shard, s.store, asked)
	return offsets, inApplication("ReadThrough", err)
}

// errNotServed is of a shard that isn't run here, or not now: it has failed.
var errNotServed = errors.New("the shard has stopped")

// awaitServing waits while the shard becomes primary here. The caller has to release it.
func (h *Host) awaitServing(ctx context.Context, id string) (*serving, error) {
	for {
		keys := h.keys.Changed()
		r := (*h.replicas.Load())[id]
		if isClosed(h.stopping) {
			return nil, errStopping
		}
		if r == nil { // It is about to be there.
			s, ok := h.directory().assigned(shards.MemberID(h.cfg.ID))[id]
			if !ok || s.id.Slot != 0 {
				return nil, errNotServed
			}
			r = (*h.replicas.Load())[id]
		}
		var changed <-chan struct{}
		if r != nil {
			var state *shards.ReplicaStatus
			var assigned *assignment
			assigned, state, _, changed = r.now()
			if s := r.serving.Load(); s != nil && s.use() {
				return s, nil
			}
			if state.GetCode() == shards.ReplicaStatus_FAILED || !isPrimary(assigned, 0) {
				return nil, errNotServed
			}
		}
		select {
		case <-keys:
		case <-changed:
		case <-h.stopping:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// await what the header of a host that passed a request on says, and refuse what isn't for us.
func (h *Host) await(ctx context.Context, header *protocol.Header) error {
	if header == nil {
		return nil
	}
	if id := header.GetProcessId(); !id.IsZero() && protocol.CompareProcessIDs(id, h.cfg.ID) != 0 {
		return status.Errorf(codes.Unavailable, "request is for process %s, and this is %s", shards.MemberID(id), shards.MemberID(h.cfg.ID))
	}
	if got, want := header.GetEtcd().GetClusterId(), h.keys.View().ClusterID(); got != want {
		return fmt.Errorf("request is from etcd cluster %x, and this consumer uses %x", got, want)
	}
	return h.keys.WaitForRevision(ctx, header.GetEtcd().GetRevision())
}

func (h *Host) header(now directory, route *protocol.Route) *protocol.Header {
	return &protocol.Header{ProcessId: h.cfg.ID, Route: route, Etcd: now.etcd()}
}

// Peer is the connection to the host that a Resolution's header names, for requests of the application that are passed
// on to it. It is shared; the token of a request is passed on with Forward.
func (h *Host) Peer(header *protocol.Header) (grpc.ClientConnInterface, error) {
	route := header.GetRoute()
	endpoint := route.EndpointOf(route.IndexOf(header.GetProcessId()))
	if endpoint == "" {
		return nil, status.Errorf(codes.Unavailable, "consumer %s: its endpoint isn't known", shards.MemberID(header.GetProcessId()))
	}
	return h.peers.conn(endpoint)
}

// Forward is the context of a request to another host, with the token with which it came.
func Forward(ctx context.Context) context.Context { return forwarded(ctx) }

// errStopping tells that the host ends.
var errStopping = status.Error(codes.Unavailable, "consumer is stopping")

// peerPing is how long a connection to another host may be silent, while something waits for that, until it is asked for life, and
// peerWait how long it has to show it: what is passed on to a machine that has gone without a word would wait for ever.
const peerPing, peerWait = 10 * time.Second, 5 * time.Second

// peers has the connections to other hosts, one for each endpoint.
type peers struct {
	tls *tls.Config

	mu     sync.Mutex
	conns  map[string]*grpc.ClientConn // by endpoint
	closed bool
}

// Self is a connection to the host's own Endpoint, over which whatever it serves is reached: by itself, or by proxy. It is closed as
// the host stops.
func (h *Host) Self() (grpc.ClientConnInterface, error) { return h.peers.conn(h.cfg.Endpoint) }

func newPeers(cfg *tls.Config) *peers {
	return &peers{tls: cfg, conns: make(map[string]*grpc.ClientConn)}
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
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint of a consumer: %w", err)
	}
	target, creds := "dns:///"+u.Host, insecure.NewCredentials()
	switch u.Scheme {
	case "http":
	case "https":
		creds = credentials.NewTLS(p.tls.Clone())
	case "unix":
		target = "unix://" + u.Path
	default:
		return nil, fmt.Errorf("endpoint %s of a consumer: its scheme isn't http, https or unix", endpoint)
	}
	c, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: peerPing, Timeout: peerWait}))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", endpoint, err)
	}
	p.conns[endpoint] = c
	return c, nil
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

// AwaitRevision returns once the host knows what was in etcd at a revision.
func (h *Host) AwaitRevision(ctx context.Context, revision int64) error {
	return h.keys.WaitForRevision(ctx, revision)
}
