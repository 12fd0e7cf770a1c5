package guest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// defaultLease, maxLease of a transaction that is taken, and minLease.
	defaultLease, minLease, maxLease = time.Minute, time.Second, 10 * time.Minute
	// maxWait is how long a request waits for a transaction, and minWait for its shard to be served.
	maxWait, minWait = time.Minute, time.Second
	// maxEntries and maxEntryBytes bound what is returned of the state at once; an entry that is larger comes by itself.
	maxEntries, maxEntryBytes = 1000, 2 << 20
	// maxKeys are looked up at once at most: one for each message of a transaction, unless the host has larger ones.
	maxKeys = defaultMessages
)

// service is the gRPC service.
type service struct {
	shardv1.UnimplementedShardServer

	app *App
}

// resolved is a shard that is here, or the host that has it.
type resolved struct {
	consumer.Resolution

	kept *kept // nil if it isn't here
}

// resolve a shard. The caller has to call Done of what is returned.
func (a *App) resolve(ctx context.Context, shard string, header *protocol.Header) (resolved, error) {
	host := a.host.Load()
	if host == nil {
		return resolved{}, status.Error(codes.Unavailable, "the host isn't ready")
	}
	if shard == "" {
		return resolved{}, status.Error(codes.InvalidArgument, "shard: is missing")
	}
	res, err := (*host).Resolve(ctx, consumer.ResolveArgs{Shard: shard, MayProxy: header == nil, ProxyHeader: header})
	if err != nil {
		return resolved{}, asStatus(err)
	}
	if res.Status != shards.Status_OK {
		res.Done()
		return resolved{}, statusOf(shard, res.Status)
	}
	if res.Shard == nil {
		return resolved{Resolution: res}, nil
	}
	k, ok := res.Store.(*kept)
	if !ok {
		res.Done()
		return resolved{}, status.Errorf(codes.FailedPrecondition, "shard %s: %v", shard, errNotOurs)
	}
	return resolved{res, k}, nil
}

// statusOf a shard that can't be had now, or ever.
func statusOf(shard string, s shards.Status) error {
	if s == shards.Status_SHARD_NOT_FOUND {
		return status.Errorf(codes.NotFound, "shard %s isn't there", shard)
	}
	return status.Errorf(codes.Unavailable, "shard %s: %s", shard, s)
}

// asStatus is an error of gRPC.
func asStatus(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}

func errMoved(shard string) error {
	return status.Errorf(codes.Unavailable, "shard %s isn't run here any more: it moves, has failed or was edited", shard)
}

// Take as of the protocol.
func (s *service) Take(ctx context.Context, req *shardv1.TakeRequest) (*shardv1.TakeResponse, error) {
	began := time.Now()
	wait, long, err := waitOf(req)
	if err != nil {
		return nil, err
	}
	// A shard that becomes primary is waited for as its transactions are, but for a moment at least.
	resolving, cancel := context.WithTimeout(ctx, max(wait, minWait))
	defer cancel()
	res, err := s.app.resolve(resolving, req.GetShard(), req.GetHeader())
	if err != nil && resolving.Err() != nil && ctx.Err() == nil {
		return nil, status.Errorf(codes.Unavailable, "shard %s: its primary doesn't serve yet: it plays its recovery log, or opens its store", req.GetShard())
	}
	if err != nil {
		return nil, err
	}
	defer res.Done()
	if res.kept == nil {
		return forwardTake(ctx, s.app, res, req)
	}
	return take(ctx, res, wait-time.Since(began), long)
}

// take a transaction, for a wait that may be over, with a lease.
func take(ctx context.Context, res resolved, wait, long time.Duration) (*shardv1.TakeResponse, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	d, gone := res.kept.desk, res.Shard.Context().Done()
	if !d.trySeat() && !d.takeSeat(ctx, gone, timer.C) {
		return taken(ctx, res)
	}
	for {
		v := d.look()
		if v.whole && ctx.Err() == nil {
			d.give(v.token)
			if d.grant(v.token, long) {
				return &shardv1.TakeResponse{Token: v.token, Messages: v.messages}, nil
			}
		}
		select {
		case <-v.wake:
			continue
		case <-timer.C:
		case <-gone:
		case <-ctx.Done():
		}
		d.leaveSeat()
		return taken(ctx, res)
	}
}

// taken nothing, for the time is over, or the shard or the request has ended.
func taken(ctx context.Context, res resolved) (*shardv1.TakeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	if res.Shard.Context().Err() != nil {
		return nil, errMoved(res.Spec.GetId())
	}
	return new(shardv1.TakeResponse), nil
}

func waitOf(req *shardv1.TakeRequest) (time.Duration, time.Duration, error) {
	wait, lease := time.Duration(req.GetWaitMs())*time.Millisecond, time.Duration(req.GetLeaseMs())*time.Millisecond
	if req.GetLeaseMs() == 0 {
		lease = defaultLease
	}
	switch {
	case req.GetWaitMs() < 0 || req.GetWaitMs() > maxWait.Milliseconds():
		return 0, 0, status.Errorf(codes.InvalidArgument, "wait: isn't of 0 to %s", maxWait)
	case req.GetLeaseMs() != 0 && (req.GetLeaseMs() < minLease.Milliseconds() || req.GetLeaseMs() > maxLease.Milliseconds()):
		return 0, 0, status.Errorf(codes.InvalidArgument, "lease: isn't of %s to %s", minLease, maxLease)
	}
	return wait, lease, nil
}

// Commit as of the protocol.
func (s *service) Commit(ctx context.Context, req *shardv1.CommitRequest) (*shardv1.CommitResponse, error) {
	res, err := s.app.resolve(ctx, req.GetShard(), req.GetHeader())
	if err != nil {
		return nil, err
	}
	defer res.Done()
	if res.kept == nil {
		return forward(ctx, s.app, res, req, shardv1.ShardClient.Commit)
	}
	return commit(ctx, res, req)
}

func commit(ctx context.Context, res resolved, req *shardv1.CommitRequest) (*shardv1.CommitResponse, error) {
	d, token := res.kept.desk, req.GetToken()
	switch d.standingOf(token) {
	case unknown:
		return nil, errNotCurrent(token)
	case done:
		return new(shardv1.CommitResponse), nil
	case answeredNow:
	case leased:
		var a answer
		var err error
		switch {
		case req.GetFailure() != nil && req.GetChanges() != nil:
			return nil, status.Error(codes.InvalidArgument, "has both changes and a failure")
		case req.GetFailure() != nil:
			a.failure, err = checkFailure(d, token, req.GetFailure())
		default:
			a.changes, err = check(ctx, res.kept.outputs, req.GetChanges())
		}
		if err != nil {
			return nil, err
		}
		if !d.settle(token, a) {
			return nil, errNotCurrent(token)
		}
		if a.failure != nil {
			return new(shardv1.CommitResponse), nil
		}
	}
	return new(shardv1.CommitResponse), awaitDone(ctx, res, func(v view) bool { return v.answered != token }) // as it is the shard that ends if it fails
}

// awaitDone waits until the desk is as is wanted.
func awaitDone(ctx context.Context, res resolved, wanted func(view) bool) error {
	for {
		v := res.kept.desk.look()
		if wanted(v) {
			return nil
		}
		select {
		case <-v.wake:
		case <-res.Shard.Context().Done():
			return errMoved(res.Spec.GetId())
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

func errNotCurrent(token string) error {
	return status.Errorf(codes.Aborted, "token %q isn't that of a transaction which waits for your answer: "+
		"its time is over, or the shard was begun anew; take the next one, and forget what you did for this", token)
}

// Read as of the protocol.
func (s *service) Read(ctx context.Context, req *shardv1.ReadRequest) (*shardv1.ReadResponse, error) {
	res, err := s.app.resolve(ctx, req.GetShard(), req.GetHeader())
	if err != nil {
		return nil, err
	}
	defer res.Done()
	if res.kept == nil {
		return forward(ctx, s.app, res, req, shardv1.ShardClient.Read)
	}
	r, err := read(ctx, res, req.GetKeys(), &shardv1.RunRequest_Scan{Prefix: req.GetPrefix(), After: req.GetAfter(), Limit: req.GetLimit()})
	if err != nil {
		return nil, err
	}
	return &shardv1.ReadResponse{Entries: r.GetEntries(), More: r.GetMore()}, nil
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// read keys, or scan if there are none, once what was answered is committed.
func read(ctx context.Context, res resolved, keys [][]byte, s *shardv1.RunRequest_Scan) (*shardv1.RunResponse_Entries, error) {
	if len(keys) > maxKeys {
		return nil, status.Errorf(codes.InvalidArgument, "keys: there are %d (expected at most %d)", len(keys), maxKeys)
	}
	if err := awaitDone(ctx, res, func(v view) bool { return !v.committing }); err != nil {
		return nil, err
	}
	now, err := res.kept.Snapshot()
	if err != nil {
		return nil, errMoved(res.Spec.GetId())
	}
	defer now.Close() //nolint:errcheck // it is only read
	out := new(shardv1.RunResponse_Entries)
	if len(keys) == 0 {
		err = scan(now.Scan, s, out)
	} else {
		err = lookUp(now.Get, keys, out)
	}
	if err != nil {
		return nil, asStatus(err)
	}
	return out, nil
}

func lookUp(get func(key []byte) ([]byte, bool, error), keys [][]byte, out *shardv1.RunResponse_Entries) error {
	size := 0
	for _, key := range keys {
		value, found, err := get(key)
		if err != nil {
			return err
		}
		if size += len(key) + len(value); size > maxEntryBytes && len(out.GetEntries()) > 0 {
			return status.Errorf(codes.InvalidArgument, "keys: their values have more than %d bytes, ask for fewer", maxEntryBytes)
		}
		out.Entries = append(out.Entries, &shardv1.Entry{Key: key, Value: value, Found: found})
	}
	return nil
}

func scan(over func(from, to []byte, fn func(key, value []byte) error) error, s *shardv1.RunRequest_Scan, out *shardv1.RunResponse_Entries) error {
	limit := int(s.GetLimit())
	if limit > maxEntries {
		return status.Errorf(codes.InvalidArgument, "limit: isn't of 0 to %d", maxEntries)
	}
	if limit == 0 {
		limit = maxEntries
	}
	from := s.GetPrefix()
	if next := append(bytes.Clone(s.GetAfter()), 0); len(s.GetAfter()) > 0 && bytes.Compare(next, from) > 0 {
		from = next
	}
	size := 0
	err := over(from, after(s.GetPrefix()), func(key, value []byte) error {
		size += len(key) + len(value)
		if len(out.GetEntries()) == limit || size > maxEntryBytes && len(out.GetEntries()) > 0 {
			out.More = true
			return errEnough
		}
		out.Entries = append(out.Entries, &shardv1.Entry{Key: bytes.Clone(key), Value: bytes.Clone(value), Found: true})
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// after is the least key behind all that have a prefix; nil if there is none.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			out := bytes.Clone(prefix[:i+1])
			out[i]++
			return out
		}
	}
	return nil
}
