package protocol

// Validate one message of a replication: either a proposal, or content. A proposal
// without registers is one with none.
func (x *ReplicateRequest) Validate() error {
	if x.GetProposal() == nil {
		return x.validateContent()
	}
	if err := validateOptionalHeader(x.GetHeader()); err != nil {
		return err
	}
	if x.GetHeader() != nil && !x.GetAcknowledge() {
		return invalidField("Acknowledge", "expected Acknowledge with Header")
	}
	if err := x.GetProposal().Validate(); err != nil {
		return within("Proposal", err)
	}
	if err := x.GetRegisters().Validate(); err != nil {
		return within("Registers", err)
	}
	if len(x.GetContent()) != 0 {
		return invalidField("Content", "unexpected Content with Proposal (length %d)", len(x.GetContent()))
	}
	if x.GetContentDelta() != 0 {
		return invalidField("ContentDelta", "unexpected ContentDelta with Proposal (%d)", x.GetContentDelta())
	}
	if x.GetDeprecatedJournal() != "" && x.GetDeprecatedJournal() != x.GetProposal().GetJournal() {
		return invalidField("DeprecatedJournal", "isn't that of the proposal (%q; expected %q)", x.GetDeprecatedJournal(), x.GetProposal().GetJournal())
	}
	return nil
}

// validateContent is on the path of each chunk, and allocates nothing.
func (x *ReplicateRequest) validateContent() error {
	switch {
	case len(x.GetContent()) == 0:
		return invalidField("Content", "expected Content or Proposal")
	case x.GetContentDelta() < 0:
		return invalidField("ContentDelta", "invalid ContentDelta (%d; expected >= 0)", x.GetContentDelta())
	case x.GetHeader() != nil:
		return invalidField("Header", "unexpected Header with Content")
	case x.GetRegisters() != nil:
		return invalidField("Registers", "unexpected Registers with Content")
	case x.GetAcknowledge():
		return invalidField("Acknowledge", "unexpected Acknowledge with Content")
	case x.GetDeprecatedJournal() != "":
		return invalidField("DeprecatedJournal", "unexpected DeprecatedJournal with Content")
	}
	return nil
}

// Validate that WRONG_ROUTE comes with a header, and that PROPOSAL_MISMATCH, and it
// alone, comes with a fragment and registers. A peer may send a header with its
// first response of any status.
func (x *ReplicateResponse) Validate() error {
	if err := x.GetStatus().Validate(); err != nil {
		return within("Status", err)
	}
	if x.GetHeader() == nil && x.GetStatus() == Status_WRONG_ROUTE {
		return invalidField("Header", "expected Header with Status WRONG_ROUTE")
	}
	if err := validateOptionalHeader(x.GetHeader()); err != nil {
		return err
	}
	if x.GetStatus() != Status_PROPOSAL_MISMATCH {
		if x.GetFragment() != nil {
			return invalidField("Fragment", "unexpected Fragment with Status %s", x.GetStatus())
		}
		if x.GetRegisters() != nil {
			return invalidField("Registers", "unexpected Registers with Status %s", x.GetStatus())
		}
		return nil
	}
	if x.GetFragment() == nil {
		return invalidField("Fragment", "expected Fragment with Status PROPOSAL_MISMATCH")
	}
	if err := x.GetFragment().Validate(); err != nil {
		return within("Fragment", err)
	}
	if x.GetRegisters() == nil {
		return invalidField("Registers", "expected Registers with Status PROPOSAL_MISMATCH")
	}
	return within("Registers", x.GetRegisters().Validate())
}
