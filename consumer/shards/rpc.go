package shards

import (
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/protocol"
)

// Validate the selector.
func (x *ListRequest) Validate() error { return within("Selector", x.GetSelector().Validate()) }

// Validate the status, the header and each shard.
func (x *ListResponse) Validate() error {
	if err := validateAnswer(x.GetStatus(), x.GetHeader()); err != nil {
		return err
	}
	for i, s := range x.GetShards() {
		if err := s.Validate(); err != nil {
			return withinIndex("Shards", i, err)
		}
	}
	return nil
}

// validateAnswer of an RPC: its header is never absent.
func validateAnswer(status Status, header *protocol.Header) error {
	if err := status.Validate(); err != nil {
		return within("Status", err)
	}
	return within("Header", header.Validate())
}

// Validate the spec, its revision, the route, and that each member of it has a status.
func (x *ListResponse_Shard) Validate() error {
	if err := x.GetSpec().Validate(); err != nil {
		return within("Spec", err)
	}
	if x.GetModRevision() <= 0 {
		return invalidField("ModRevision", "invalid ModRevision (%d; expected > 0)", x.GetModRevision())
	}
	if err := x.GetRoute().Validate(); err != nil {
		return within("Route", err)
	}
	if got, want := len(x.GetStatus()), len(x.GetRoute().GetMembers()); got != want {
		return invalidField("Status", "invalid length (%d; expected %d, as of the route's members)", got, want)
	}
	for i, s := range x.GetStatus() {
		if err := s.Validate(); err != nil {
			return withinIndex("Status", i, err)
		}
	}
	return nil
}

// Validate each change.
func (x *ApplyRequest) Validate() error {
	for i, c := range x.GetChanges() {
		if err := c.Validate(); err != nil {
			return withinIndex("Changes", i, err)
		}
	}
	return nil
}

// Validate that the change is either an upsert, of a revision of 0 (create), more, or -1 (any), or a delete, of a
// revision of 1, more, or -1. Hints are of a shard that is put, and of its recovery log.
func (x *ApplyRequest_Change) Validate() error {
	rev := x.GetExpectModRevision()
	switch {
	case x.GetUpsert() != nil && x.GetDelete() != "":
		return invalid("both Upsert and Delete are set (expected one)")
	case x.GetUpsert() != nil:
		if err := x.GetUpsert().Validate(); err != nil {
			return within("Upsert", err)
		}
		if rev < -1 {
			return invalidField("ExpectModRevision", "invalid ExpectModRevision (%d; expected >= 0, or -1)", rev)
		}
		return x.validateHints()
	case x.GetDelete() != "":
		if err := ValidateID(x.GetDelete()); err != nil {
			return within("Delete", err)
		}
		if rev <= 0 && rev != -1 {
			return invalidField("ExpectModRevision", "invalid ExpectModRevision (%d; expected > 0, or -1)", rev)
		}
		if x.GetPrimaryHints() != nil {
			return invalidField("PrimaryHints", "are set with a Delete")
		}
		return nil
	}
	return invalid("neither Upsert nor Delete is set (expected one)")
}

func (x *ApplyRequest_Change) validateHints() error {
	hints := x.GetPrimaryHints()
	if hints == nil {
		return nil
	}
	if got, want := hints.GetLog(), x.GetUpsert().RecoveryLog(); got != want || want == "" {
		return invalidField("PrimaryHints.Log", "isn't the shard's recovery log (%q; expected %q)", got, want)
	}
	return within("PrimaryHints", validateHints(hints))
}

// validateHints, if there are any.
func validateHints(hints *recoverylog.FSMHints) error {
	if hints == nil {
		return nil
	}
	return hints.Validate()
}

// Validate the status and the header.
func (x *ApplyResponse) Validate() error { return validateAnswer(x.GetStatus(), x.GetHeader()) }

// Validate the header of a proxy, if there is one, the shard and the offsets.
func (x *StatRequest) Validate() error {
	if h := x.GetHeader(); h != nil {
		if err := h.Validate(); err != nil {
			return within("Header", err)
		}
	}
	if err := ValidateID(x.GetShard()); err != nil {
		return within("Shard", err)
	}
	return validateOffsets("ReadThrough", x.GetReadThrough())
}

func validateOffsets(field string, offsets map[string]int64) error {
	for journal, offset := range offsets {
		if err := protocol.ValidateJournal(journal); err != nil {
			return withinKey(field, journal, err)
		}
		if offset < 0 {
			return withinKey(field, journal, invalid("invalid offset (%d; expected >= 0)", offset))
		}
	}
	return nil
}

// Validate the status, the header and the offsets.
func (x *StatResponse) Validate() error {
	if err := validateAnswer(x.GetStatus(), x.GetHeader()); err != nil {
		return err
	}
	if err := validateOffsets("ReadThrough", x.GetReadThrough()); err != nil {
		return err
	}
	return validateOffsets("PublishAt", x.GetPublishAt())
}

// Validate the shard.
func (x *GetHintsRequest) Validate() error { return within("Shard", ValidateID(x.GetShard())) }

// Validate the status, the header and all hints that are there.
func (x *GetHintsResponse) Validate() error {
	if err := validateAnswer(x.GetStatus(), x.GetHeader()); err != nil {
		return err
	}
	if err := x.GetPrimaryHints().Validate(); err != nil {
		return within("PrimaryHints", err)
	}
	for i, h := range x.GetBackupHints() {
		if err := h.Validate(); err != nil {
			return withinIndex("BackupHints", i, err)
		}
	}
	return nil
}

// Validate the hints, if there are any.
func (x *GetHintsResponse_ResponseHints) Validate() error {
	return within("Hints", validateHints(x.GetHints()))
}

// Validate the shards.
func (x *UnassignRequest) Validate() error { return validateIDs(x.GetShards()) }

// Validate the status, which is OK, and the shards.
func (x *UnassignResponse) Validate() error {
	if err := x.GetStatus().Validate(); err != nil {
		return within("Status", err)
	}
	if x.GetStatus() != Status_OK {
		return invalidField("Status", "isn't OK (%s)", x.GetStatus())
	}
	return validateIDs(x.GetShards())
}

func validateIDs(ids []string) error {
	for i, id := range ids {
		if err := ValidateID(id); err != nil {
			return withinIndex("Shards", i, err)
		}
	}
	return nil
}
