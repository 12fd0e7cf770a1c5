package allocator

import (
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// ItemValue is what an item's value tells the allocator.
type ItemValue interface {
	// DesiredReplication is the number of slots that the item wants. 0 wants none.
	DesiredReplication() int
}

// Affinity is an optional power of an ItemValue: it names members that hold what others
// would have to be given first. Members that are away may be among them.
//
// They get the item before others do. If none of them has it, and those that have it
// aren't all consistent, one gets it in the place of another. If they are required, others get the item only beside one of
// them: while none of them has room, nobody is given it, and the item waits.
type Affinity interface {
	Affinity() (members []MemberID, required bool)
}

// Preference is an optional power of the value of another key of the prefix, by which its owner
// tells which members hold an item. It takes the place of what the item's Affinity names;
// whether these are required stays with the item.
type Preference interface {
	Preferred() (item string, members []MemberID)
}

// affinity of an item: none if nothing tells.
func (it *item) affinity() ([]MemberID, bool) {
	var ids []MemberID
	required := false
	if a, ok := it.value.(Affinity); ok {
		ids, required = a.Affinity()
	}
	if it.preferred != nil {
		ids = it.preferred
	}
	return ids, required && len(ids) > 0
}

// Consistency is an optional power of an ItemValue. It tells whether the holder of one
// of the item's assignments (all has them, without those of members that are gone) is
// ready to be counted on. An assignment is removed only if as many of the others are
// consistent as the item wants. Without the power all are consistent at once.
type Consistency interface {
	IsConsistent(a Assignment, all []Assignment) bool
}

// MemberValue is what a member's value tells the allocator.
type MemberValue interface {
	// ItemLimit is the number of assignments that the member takes.
	ItemLimit() int
	// Exiting tells that the member is leaving.
	Exiting() bool
}

// Decoder decodes the values of keys. What it returns is shared and never changed.
type Decoder interface {
	DecodeItem(id string, value []byte) (ItemValue, error)
	DecodeMember(id MemberID, value []byte) (MemberValue, error)
	// DecodeAssignment may meet an empty value: that of a new assignment.
	DecodeAssignment(id AssignmentID, value []byte) (any, error)
}

// Item is the value that a key space holds for an item's key.
type Item struct {
	ID    string
	Value ItemValue
}

// Member is the value that a key space holds for a member's key.
type Member struct {
	ID    MemberID
	Value MemberValue
}

// Assignment is the value that a key space holds for an assignment's key.
type Assignment struct {
	ID    AssignmentID
	Value any
}

// Decode is the core of a keyspace.Config.Decode: it returns the Item, Member or
// Assignment that kv is. The owner of the prefix handles its other keys before.
func Decode(prefix string, d Decoder, kv *mvccpb.KeyValue) (any, error) {
	key := string(kv.GetKey())
	switch {
	case strings.HasPrefix(key, ItemsPrefix(prefix)):
		id, err := ParseItemKey(prefix, key)
		if err != nil {
			return nil, err
		}
		value, err := d.DecodeItem(id, kv.GetValue())
		if err != nil {
			return nil, fmt.Errorf("allocator: item %s: %w", id, err)
		}
		return Item{ID: id, Value: value}, nil
	case strings.HasPrefix(key, MembersPrefix(prefix)):
		id, err := ParseMemberKey(prefix, key)
		if err != nil {
			return nil, err
		}
		value, err := d.DecodeMember(id, kv.GetValue())
		if err != nil {
			return nil, fmt.Errorf("allocator: member %s: %w", id, err)
		}
		return Member{ID: id, Value: value}, nil
	case strings.HasPrefix(key, AssignmentsPrefix(prefix)):
		id, err := ParseAssignmentKey(prefix, key)
		if err != nil {
			return nil, err
		}
		value, err := d.DecodeAssignment(id, kv.GetValue())
		if err != nil {
			return nil, fmt.Errorf("allocator: assignment %s: %w", id, err)
		}
		return Assignment{ID: id, Value: value}, nil
	default:
		return nil, fmt.Errorf("allocator: %q is not a key of an allocator", key)
	}
}
