package shards

import (
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/protocol"
)

// Item is a shard as the allocator sees it. It is shared and never changed.
type Item struct {
	Spec   *ShardSpec
	Labels *protocol.LabelSet // what selectors are matched with
	// MaxStandbys caps how many members keep a replica beside the primary.
	MaxStandbys int
}

// DesiredReplication is how many members are to have the shard: its primary, and its standbys up to the cap; none of
// a shard that is disabled.
func (i Item) DesiredReplication() int {
	if i.Spec.GetDisable() {
		return 0
	}
	return 1 + min(int(i.Spec.GetHotStandbys()), i.MaxStandbys)
}

// IsConsistent tells whether the holder of an assignment can be counted on: it has caught up with the log, or runs the
// shard. One that has failed counts only if the primary has failed as well: nobody else can do any better.
func (i Item) IsConsistent(a allocator.Assignment, all []allocator.Assignment) bool {
	switch StatusOf(a).GetCode() {
	case ReplicaStatus_STANDBY, ReplicaStatus_PRIMARY:
		return true
	case ReplicaStatus_FAILED:
		for _, other := range all {
			if other.ID.Slot == 0 && StatusOf(other).GetCode() == ReplicaStatus_FAILED {
				return true
			}
		}
		return false
	case ReplicaStatus_IDLE, ReplicaStatus_BACKFILL:
	}
	return false
}

// StatusOf is what the holder of an assignment has told of it.
func StatusOf(a allocator.Assignment) *ReplicaStatus {
	status, _ := a.Value.(*ReplicaStatus)
	return status
}

// Member is a consumer as the allocator sees it. It is shared and never changed.
type Member struct{ Spec *ConsumerSpec }

// ItemLimit is how many shards the member takes.
func (m Member) ItemLimit() int { return int(m.Spec.GetShardLimit()) }

// Exiting tells that the member hands its shards over.
func (m Member) Exiting() bool { return m.Spec.GetExiting() }

// Decode returns the Decode of the key space of consumers, in which shards have no more standbys than a number.
func Decode(prefix string, maxStandbys int) func(*mvccpb.KeyValue) (any, error) {
	return func(kv *mvccpb.KeyValue) (any, error) { return allocator.Decode(prefix, decoder{maxStandbys}, kv) }
}

// decoder decodes the values of consumers' keys (docs/format/etcd-keys.md).
type decoder struct{ maxStandbys int }

// DecodeItem of a ShardSpec whose id is the key's.
func (d decoder) DecodeItem(id string, value []byte) (allocator.ItemValue, error) {
	spec := new(ShardSpec)
	if err := proto.Unmarshal(value, spec); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if spec.GetId() != id {
		return nil, fmt.Errorf("spec is of shard %q", spec.GetId())
	}
	return Item{Spec: spec, Labels: spec.SelectableLabels(), MaxStandbys: d.maxStandbys}, nil
}

// DecodeMember of a ConsumerSpec whose process is the key's.
func (decoder) DecodeMember(id allocator.MemberID, value []byte) (allocator.MemberValue, error) {
	spec := new(ConsumerSpec)
	if err := proto.Unmarshal(value, spec); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if got := MemberID(spec.GetProcessSpec().GetId()); got != id {
		return nil, fmt.Errorf("spec is of process %s", got)
	}
	return Member{spec}, nil
}

// DecodeAssignment of the ReplicaStatus that its member has told; IDLE if that is nothing yet.
func (decoder) DecodeAssignment(_ allocator.AssignmentID, value []byte) (any, error) {
	status := new(ReplicaStatus)
	if err := proto.Unmarshal(value, status); err != nil {
		return nil, err
	}
	return status, status.Validate()
}

// MemberID of a process, as the allocator names it.
func MemberID(id *protocol.ProcessSpec_ID) allocator.MemberID {
	return allocator.MemberID{Zone: id.GetZone(), Suffix: id.GetSuffix()}
}
