package shardspace

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol/specyaml"
)

// Set of shards.
type Set struct {
	// Common spec, of all that don't say otherwise; it has no id.
	Common *shards.ShardSpec
	// Shards of the set, each with what only it has.
	Shards []Shard
}

// Shard of a set.
type Shard struct {
	// Comment for people.
	Comment string
	// Delete the shard.
	Delete bool
	// Spec of the shard.
	Spec *shards.ShardSpec
	// Revision that the shard is expected to have: 0 is none, so that it is made; -1 is any.
	Revision int64
	// Line of the text on which the shard begins; 0 if it is from no text.
	Line int
}

// Error is what is wrong with a set, and where.
type Error = specyaml.Error

// fail returns an Error of the shard.
func (s *Shard) fail(format string, args ...any) error {
	return &Error{Line: s.Line, Name: s.Spec.GetId(), Reason: fmt.Sprintf(format, args...)}
}

// Validate ids and revisions of the set. Specs aren't looked at.
func (x *Set) Validate() error {
	if x.Common.GetId() != "" {
		return &Error{Name: "common", Reason: "has an id (" + x.Common.GetId() + "): that is a shard's own"}
	}
	seen := make(map[string]bool, len(x.Shards))
	for i := range x.Shards {
		s := &x.Shards[i]
		switch id := s.Spec.GetId(); {
		case id == "":
			return s.fail("a shard has no id")
		case seen[id]:
			return s.fail("is there twice")
		case s.Revision < -1:
			return s.fail("revision is %d (expected -1, 0 or that of the shard)", s.Revision)
		default:
			seen[id] = true
		}
	}
	return nil
}

// Hoist returns the set of shards, in the order of their ids, with what all have in common. It shares nothing with them.
func Hoist(all []Shard) *Set {
	out := &Set{Common: new(shards.ShardSpec)}
	for _, s := range all {
		s.Spec = proto.CloneOf(s.Spec)
		specyaml.DropZeroes(s.Spec.ProtoReflect())
		out.Shards = append(out.Shards, s)
	}
	slices.SortFunc(out.Shards, func(a, b Shard) int { return cmp.Compare(a.Spec.GetId(), b.Spec.GetId()) })
	if len(all) < 2 {
		return out // nothing has a part in it
	}
	out.Common = proto.CloneOf(out.Shards[0].Spec)
	out.Common.Id = ""
	for _, s := range out.Shards[1:] {
		specyaml.Intersect(out.Common.ProtoReflect(), s.Spec.ProtoReflect())
	}
	for _, s := range out.Shards {
		specyaml.Subtract(s.Spec.ProtoReflect(), out.Common.ProtoReflect())
	}
	return out
}

// Flatten returns the shards of a set, each with what is common. They share nothing with the set.
func (x *Set) Flatten() ([]Shard, error) {
	if err := x.Validate(); err != nil {
		return nil, err
	}
	out := make([]Shard, 0, len(x.Shards))
	for _, s := range x.Shards {
		s.Spec = proto.CloneOf(s.Spec)
		specyaml.DropZeroes(s.Spec.ProtoReflect())
		if x.Common != nil {
			specyaml.Merge(s.Spec.ProtoReflect(), proto.CloneOf(x.Common).ProtoReflect())
		}
		out = append(out, s)
	}
	return out, nil
}

// Changes returns what applying the set asks of a consumer, each change valid.
func (x *Set) Changes() ([]*shards.ApplyRequest_Change, error) {
	all, err := x.Flatten()
	if err != nil {
		return nil, err
	}
	out := make([]*shards.ApplyRequest_Change, 0, len(all))
	for _, s := range all {
		change := &shards.ApplyRequest_Change{ExpectModRevision: s.Revision}
		if s.Delete {
			if s.Revision == 0 {
				return nil, s.fail("is to be deleted, and needs the revision that it has, or -1 for any")
			}
			change.Delete = s.Spec.GetId()
		} else {
			// The spec itself is checked, so that the path of an error is within it.
			if err := s.Spec.Validate(); err != nil {
				return nil, s.fail("%s", err)
			}
			change.Upsert = s.Spec
		}
		if err := change.Validate(); err != nil {
			return nil, s.fail("%s", err)
		}
		out = append(out, change)
	}
	return out, nil
}
