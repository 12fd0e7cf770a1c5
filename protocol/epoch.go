package protocol

const diskSize = 16 // bytes of a disk's identity

// Validate that the member has an id and a disk.
func (x *Epoch_Member) Validate() error {
	if err := x.GetId().Validate(); err != nil {
		return within("Id", err)
	}
	if len(x.GetDisk()) != diskSize {
		return invalidField("Disk", "invalid length (%d; expected %d)", len(x.GetDisk()), diskSize)
	}
	return nil
}

// Validate the epoch by itself: members ascend, and no disk is theirs twice.
func (x *Epoch) Validate() error {
	if x.GetNumber() < 1 {
		return invalidField("Number", "invalid Number (%d; expected >= 1)", x.GetNumber())
	}
	if x.GetStart() < 0 {
		return invalidField("Start", "invalid Start (%d; expected >= 0)", x.GetStart())
	}
	if x.GetPruned() != 0 && x.GetPruned() <= x.GetStart() {
		return invalidField("Pruned", "invalid Pruned (%d; expected 0 or > %d)", x.GetPruned(), x.GetStart())
	}
	for i, m := range x.GetMembers() {
		if err := m.Validate(); err != nil {
			return withinIndex("Members", i, err)
		}
		if i != 0 && CompareProcessIDs(x.GetMembers()[i-1].GetId(), m.GetId()) >= 0 {
			return withinIndex("Members", i, invalid("isn't unique and in ascending order (%s/%s)", m.GetId().GetZone(), m.GetId().GetSuffix()))
		}
	}
	return within("Registers", x.GetRegisters().Validate())
}

// EpochListVersion is the version of the format of an EpochList.
const EpochListVersion = 1

// Validate that the list is of a version that is known, and that its epochs are
// numbered without gaps and start at ascending offsets.
func (x *EpochList) Validate() error {
	if x.GetVersion() != EpochListVersion {
		return invalidField("Version", "invalid Version (%d; this release knows %d)", x.GetVersion(), EpochListVersion)
	}
	if x.GetCreateRevision() < 1 {
		return invalidField("CreateRevision", "invalid CreateRevision (%d; expected >= 1)", x.GetCreateRevision())
	}
	for i, e := range x.GetEpochs() {
		if err := e.Validate(); err != nil {
			return withinIndex("Epochs", i, err)
		}
		if i == 0 {
			continue
		}
		before := x.GetEpochs()[i-1]
		if e.GetNumber() != before.GetNumber()+1 {
			return withinIndex("Epochs", i, invalidField("Number", "invalid Number (%d; expected %d)", e.GetNumber(), before.GetNumber()+1))
		}
		if e.GetStart() < before.GetStart() {
			return withinIndex("Epochs", i, invalidField("Start", "invalid Start (%d; expected >= %d)", e.GetStart(), before.GetStart()))
		}
	}
	return nil
}

// Validate that an epoch is polled for, of a journal that there was.
func (x *ReplicateRequest_Poll) Validate() error {
	if x.GetEpoch() < 1 {
		return invalidField("Epoch", "invalid Epoch (%d; expected >= 1)", x.GetEpoch())
	}
	if x.GetCreateRevision() < 1 {
		return invalidField("CreateRevision", "invalid CreateRevision (%d; expected >= 1)", x.GetCreateRevision())
	}
	return nil
}

// Validate that there is an epoch to join.
func (x *ReplicateRequest_Align) Validate() error {
	if err := x.GetEpochs().Validate(); err != nil {
		return within("Epochs", err)
	}
	if len(x.GetEpochs().GetEpochs()) == 0 {
		return invalidField("Epochs", "expected one or more")
	}
	return nil
}

// Validate the state of a replica.
func (x *ReplicateResponse_State) Validate() error {
	switch {
	case len(x.GetDisk()) != diskSize:
		return invalidField("Disk", "invalid length (%d; expected %d)", len(x.GetDisk()), diskSize)
	case x.GetEpoch() < 0:
		return invalidField("Epoch", "invalid Epoch (%d; expected >= 0)", x.GetEpoch())
	case x.GetEnd() < 0:
		return invalidField("End", "invalid End (%d; expected >= 0)", x.GetEnd())
	case x.GetPromised() < x.GetEpoch():
		return invalidField("Promised", "invalid Promised (%d; expected >= %d)", x.GetPromised(), x.GetEpoch())
	}
	return within("Registers", x.GetRegisters().Validate())
}
