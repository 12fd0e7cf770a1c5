package protocol

// Validate one message of an append. The first names a journal and its parameters,
// and carries no content; the others have none but content. Which of them is the
// first, and that an empty one is the last, is for the receiver to tell.
func (x *AppendRequest) Validate() error {
	if x.GetJournal() == "" {
		return x.validateContent()
	}
	if err := validateOptionalHeader(x.GetHeader()); err != nil {
		return err
	}
	if err := ValidateJournal(x.GetJournal()); err != nil {
		return within("Journal", err)
	}
	if len(x.GetContent()) != 0 {
		return invalidField("Content", "unexpected Content with Journal")
	}
	if x.GetOffset() < 0 {
		return invalidField("Offset", "invalid Offset (%d; expected >= 0)", x.GetOffset())
	}
	if err := x.GetCheckRegisters().Validate(); err != nil {
		return within("CheckRegisters", err)
	}
	if err := x.GetUnionRegisters().Validate(); err != nil {
		return within("UnionRegisters", err)
	}
	if err := x.GetSubtractRegisters().Validate(); err != nil {
		return within("SubtractRegisters", err)
	}
	return within("Suspend", x.GetSuspend().Validate())
}

// validateContent is on the path of each chunk, and allocates nothing.
func (x *AppendRequest) validateContent() error {
	field := ""
	switch {
	case x.GetHeader() != nil:
		field = "Header"
	case x.GetDoNotProxy():
		field = "DoNotProxy"
	case x.GetOffset() != 0:
		field = "Offset"
	case x.GetCheckRegisters() != nil:
		field = "CheckRegisters"
	case x.GetUnionRegisters() != nil:
		field = "UnionRegisters"
	case x.GetSubtractRegisters() != nil:
		field = "SubtractRegisters"
	case x.GetSynced():
		field = "Synced"
	case x.GetSuspend() != 0:
		field = "Suspend"
	default:
		return nil
	}
	return invalidField(field, "unexpected %s without Journal", field)
}

// Validate the response: its header always, the commit of an append that was made,
// and the registers by which it was decided.
func (x *AppendResponse) Validate() error {
	if err := x.GetStatus().Validate(); err != nil {
		return within("Status", err)
	}
	if err := x.GetHeader().Validate(); err != nil {
		return within("Header", err)
	}
	if x.GetCommit() == nil && x.GetStatus() == Status_OK {
		return invalidField("Commit", "expected Commit with Status OK")
	}
	if x.GetCommit() != nil {
		if err := x.GetCommit().Validate(); err != nil {
			return within("Commit", err)
		}
	}
	if x.GetRegisters() == nil && (x.GetStatus() == Status_OK || x.GetStatus() == Status_REGISTER_MISMATCH) {
		return invalidField("Registers", "expected Registers with Status %s", x.GetStatus())
	}
	return within("Registers", x.GetRegisters().Validate())
}
