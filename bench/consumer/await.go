package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
)

// patience bounds each wait.
const patience = 2 * time.Minute

// often is how often is asked for what is waited for: figures are as exact as that.
const often = 2 * time.Millisecond

// until something holds, which is asked for often.
func until(ctx context.Context, what string, holds func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		ok, err := holds(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}

// replicas of a shard, as a host lists it: their statuses by the ids of their processes. A failure of one is an error.
func replicas(ctx context.Context, conn *grpc.ClientConn, id string) (map[string]shards.ReplicaStatus_Code, error) {
	r, err := shards.NewShardClient(conn).List(ctx, &shards.ListRequest{
		Selector: &protocol.LabelSelector{Include: protocol.MustLabelSet(shards.MetaLabelID, id)},
	})
	if err != nil {
		return nil, err
	}
	out := map[string]shards.ReplicaStatus_Code{}
	for _, s := range r.GetShards() {
		for i, status := range s.GetStatus() {
			if status.GetCode() == shards.ReplicaStatus_FAILED {
				return nil, fmt.Errorf("shard %s has failed: %v", id, status.GetErrors())
			}
			out[s.GetRoute().GetMembers()[i].GetSuffix()] = status.GetCode()
		}
	}
	return out, nil
}

// awaitCode waits until a process has a replica of this status.
func awaitCode(ctx context.Context, conn *grpc.ClientConn, id, process string, code shards.ReplicaStatus_Code) error {
	return until(ctx, fmt.Sprintf("shard %s at %s is to be %v", id, process, code), func(ctx context.Context) (bool, error) {
		all, err := replicas(ctx, conn, id)
		return all[process] == code, err
	})
}

// awaitRead waits until a shard has committed what a journal has up to an offset.
func awaitRead(ctx context.Context, conn *grpc.ClientConn, id, journal string, offset int64) error {
	return until(ctx, "shard "+id+" is to read", func(ctx context.Context) (bool, error) {
		r, err := shards.NewShardClient(conn).Stat(ctx, &shards.StatRequest{Shard: id, ReadThrough: map[string]int64{journal: offset}})
		if err != nil || r.GetStatus() == shards.Status_OK {
			return err == nil, err
		}
		_, err = replicas(ctx, conn, id) // has it failed?
		return false, err
	})
}
