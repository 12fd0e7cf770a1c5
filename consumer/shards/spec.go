package shards

import (
	"path"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/protocol"
)

// MetaLabelID is the meta-label by which selectors match the id of a shard.
const MetaLabelID = "id"

// Bounds of specs.
const (
	minID, maxID  = 4, 512
	maxShardLimit = 1 << 17
	// maxSizes bounds a ring and a read-ahead, in messages, and maxBackups hints: what a spec asks for is allocated.
	maxSizes   = 1 << 20
	maxBackups = 64
)

// ValidateID accepts 4 to 512 bytes of letters, numbers and "-_+/.".
func ValidateID(id string) error { return protocol.ValidateToken(id, minID, maxID) }

// Validate the whole spec. A shard without sources is in order: its application may have other ones.
func (x *ShardSpec) Validate() error {
	if err := ValidateID(x.GetId()); err != nil {
		return within("Id", err)
	}
	for i, s := range x.GetSources() {
		if err := s.Validate(); err != nil {
			return withinIndex("Sources", i, err)
		}
		if i > 0 && x.GetSources()[i-1].GetJournal() >= s.GetJournal() {
			return withinIndex("Sources", i, invalid("isn't unique and in ascending order (%s after %s)",
				s.GetJournal(), x.GetSources()[i-1].GetJournal()))
		}
	}
	if err := x.validateRecovery(); err != nil {
		return err
	}
	if err := x.validateDurations(); err != nil {
		return err
	}
	if n := x.GetRingBufferSize(); n > maxSizes {
		return invalidField("RingBufferSize", "invalid RingBufferSize (%d; expected <= %d)", n, maxSizes)
	}
	if n := x.GetReadChannelSize(); n > maxSizes {
		return invalidField("ReadChannelSize", "invalid ReadChannelSize (%d; expected <= %d)", n, maxSizes)
	}
	if err := x.GetLabels().Validate(); err != nil {
		return within("Labels", err)
	}
	if len(x.GetLabels().ValuesOf(MetaLabelID)) != 0 {
		return invalidField("Labels", "label %q is reserved", MetaLabelID)
	}
	return within("Labels", protocol.ValidateSingleValues(x.GetLabels()))
}

// validateRecovery of the recovery log and the hints: both are there, or neither.
func (x *ShardSpec) validateRecovery() error {
	if x.GetHintBackups() < 0 || x.GetHintBackups() > maxBackups {
		return invalidField("HintBackups", "invalid HintBackups (%d; expected 0 <= HintBackups <= %d)", x.GetHintBackups(), maxBackups)
	}
	hints := x.GetHintPrefix()
	if x.GetRecoveryLogPrefix() == "" {
		if hints != "" {
			return invalidField("HintPrefix", "is there without a RecoveryLogPrefix (%q)", hints)
		}
		return nil
	}
	if err := protocol.ValidateJournalName(x.RecoveryLog()); err != nil {
		return within("RecoveryLogPrefix", err)
	}
	if !strings.HasPrefix(hints, "/") || path.Clean(hints) != hints || hints == "/" {
		return invalidField("HintPrefix", "isn't an absolute, clean path (%q)", hints)
	}
	return nil
}

func (x *ShardSpec) validateDurations() error {
	least, err := durationOf(x.GetMinTxnDuration())
	if err != nil {
		return within("MinTxnDuration", err)
	}
	if least < 0 {
		return invalidField("MinTxnDuration", "invalid MinTxnDuration (%s; expected >= 0)", least)
	}
	most, err := durationOf(x.GetMaxTxnDuration())
	if err != nil {
		return within("MaxTxnDuration", err)
	}
	if most <= 0 {
		return invalidField("MaxTxnDuration", "invalid MaxTxnDuration (%s; expected > 0)", most)
	}
	return nil
}

// durationOf returns the duration of a message, 0 if absent. It must be one that both protobuf and Go can express.
func durationOf(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	out := d.AsDuration()
	if back := durationpb.New(out); back.GetSeconds() != d.GetSeconds() || back.GetNanos() != d.GetNanos() {
		return 0, invalid("invalid duration (%d s and %d ns)", d.GetSeconds(), d.GetNanos())
	}
	return out, nil
}

// Validate the journal, which may have a meta-suffix, and the offset.
func (x *ShardSpec_Source) Validate() error {
	if err := protocol.ValidateJournal(x.GetJournal()); err != nil {
		return within("Journal", err)
	}
	return validateOffset("MinOffset", x.GetMinOffset())
}

func validateOffset(field string, offset int64) error {
	if offset < 0 {
		return invalidField(field, "invalid %s (%d; expected >= 0)", field, offset)
	}
	return nil
}

// RecoveryLog is the name of the journal that the shard's state is recovered from; empty if it has none.
func (x *ShardSpec) RecoveryLog() string {
	if x.GetRecoveryLogPrefix() == "" {
		return ""
	}
	return x.GetRecoveryLogPrefix() + "/" + x.GetId()
}

// SelectableLabels are those that selectors are matched with: the spec's and the meta-label "id".
func (x *ShardSpec) SelectableLabels() *protocol.LabelSet {
	return protocol.UnionLabelSets(&protocol.LabelSet{Labels: []*protocol.Label{{Name: MetaLabelID, Value: x.GetId()}}}, x.GetLabels())
}

// Validate the process, and that the shard limit is at most 131072.
func (x *ConsumerSpec) Validate() error {
	if err := x.GetProcessSpec().Validate(); err != nil {
		return within("ProcessSpec", err)
	}
	if l := x.GetShardLimit(); l > maxShardLimit {
		return invalidField("ShardLimit", "invalid ShardLimit (%d; expected <= %d)", l, maxShardLimit)
	}
	return nil
}
