package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// hints of a shard: the primary's and then those that its spec has backups of. Those that aren't there are nil.
func (c *consumers) hints(ctx context.Context, spec *shards.ShardSpec) ([]*recoverylog.FSMHints, error) {
	r, err := ask(ctx, c, auth.Read, c.rpc.GetHints, &shards.GetHintsRequest{Shard: spec.GetId()}, spec.GetId())
	if err != nil {
		return nil, fmt.Errorf("hints of %s: %w", spec.GetId(), err)
	}
	out := []*recoverylog.FSMHints{r.GetPrimaryHints().GetHints()}
	for _, b := range r.GetBackupHints() {
		out = append(out, b.GetHints())
	}
	if want := int(spec.GetHintBackups()) + 1; len(out) != want {
		return nil, fmt.Errorf("hints of %s: there are %d, and its spec has %d: it was changed just now", spec.GetId(), len(out), want)
	}
	return out, nil
}

// keeper of logs: a shard, and its hints as they were read.
type keeper struct {
	spec  *shards.ShardSpec
	hints []*recoverylog.FSMHints
}

// keepers are all shards that have recovery logs. Unless the hints of each can be read, it isn't known what they need, nor of
// which logs: a shard that was forked from another one needs that one's as well.
func (s *session) keepers(ctx context.Context, all []*shards.ListResponse_Shard) ([]keeper, error) {
	var mu sync.Mutex
	var out []keeper
	err := cluster.Each(ctx, "hints", all, idOf, func(ctx context.Context, x *shards.ListResponse_Shard) error {
		if x.GetSpec().RecoveryLog() == "" {
			return nil
		}
		hints, err := s.consumer.hints(ctx, x.GetSpec())
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		out = append(out, keeper{spec: x.GetSpec(), hints: hints})
		return nil
	})
	if err != nil && !speech.Hinted(err) {
		err = speech.WithHint(err, "nothing is removed, as these hints may need any log: have them repaired, or delete the shard")
	}
	return out, err
}

// keeps tells whether a shard has to do with a log: it is its own, or its files are in it in part.
func (k *keeper) keeps(log string) bool {
	if k.spec.RecoveryLog() == log {
		return true
	}
	return slices.ContainsFunc(k.hints, func(h *recoverylog.FSMHints) bool {
		return h.GetLog() == log || slices.ContainsFunc(h.GetLiveNodes(), func(n *recoverylog.FnodeSegments) bool {
			return slices.ContainsFunc(n.GetSegments(), func(s *recoverylog.Segment) bool { return s.GetLog() == log })
		})
	})
}

// needsOf a log, by the hints of all shards. If one that keeps the log lacks hints, nothing is known: an error that wraps
// recoverylog.ErrHintsMissing.
func needsOf(log string, all []keeper) (*recoverylog.Needs, error) {
	var hints []*recoverylog.FSMHints
	for _, k := range all {
		if !k.keeps(log) {
			continue
		}
		for i, h := range k.hints {
			if h == nil {
				return nil, fmt.Errorf("%w: %s of %s", recoverylog.ErrHintsMissing, hintsName(i), k.spec.GetId())
			}
			hints = append(hints, h)
		}
	}
	return recoverylog.NeedsOf(log, hints)
}

func hintsName(i int) string {
	if i == 0 {
		return "those of the primary"
	}
	return fmt.Sprintf("backup %d", i-1)
}

// errChanged is of shards that aren't those whose hints were read.
var errChanged = errors.New("shards were changed meanwhile")

// unchanged tells whether all shards are still those that were listed: a new one might need what those don't. Hints that a
// shard wrote since then need nothing that its former ones didn't.
func (s *session) unchanged(ctx context.Context, listed []*shards.ListResponse_Shard) error {
	now, err := s.consumer.list(ctx, everything())
	if err != nil {
		return err
	}
	same := slices.EqualFunc(listed, now, func(a, b *shards.ListResponse_Shard) bool {
		return idOf(a) == idOf(b) && a.GetCreateRevision() == b.GetCreateRevision() && a.GetModRevision() == b.GetModRevision()
	})
	if !same {
		return speech.WithHint(errChanged, "run it again")
	}
	return nil
}
