package protocol

// Validate one message of a replication: a poll, an align, a proposal, content, or
// a watermark alone. A proposal without registers is one with none.
//
// A message to a replica that was aligned may have content with the proposal that
// commits it: ValidateAligned accepts it.
func (x *ReplicateRequest) Validate() error {
	switch {
	case x.GetPoll() != nil:
		return x.validatePoll()
	case x.GetAlign() != nil:
		return x.validateAlign()
	case x.GetProposal() == nil && len(x.GetContent()) == 0 && x.GetWatermark() > 0:
		return nil
	case x.GetProposal() == nil:
		return x.validateContent()
	case len(x.GetContent()) != 0:
		return invalidField("Content", "unexpected Content with Proposal (length %d)", len(x.GetContent()))
	case x.GetContentDelta() != 0:
		return invalidField("ContentDelta", "unexpected ContentDelta with Proposal (%d)", x.GetContentDelta())
	}
	return x.validateProposal()
}

// ValidateAligned validates a message that follows an align.
func (x *ReplicateRequest) ValidateAligned() error {
	if x.GetProposal() == nil || len(x.GetContent()) == 0 {
		return x.Validate()
	}
	if x.GetContentDelta() < 0 {
		return invalidField("ContentDelta", "invalid ContentDelta (%d; expected >= 0)", x.GetContentDelta())
	}
	return x.validateProposal()
}

func (x *ReplicateRequest) validatePoll() error {
	if err := x.GetHeader().Validate(); err != nil {
		return within("Header", err)
	}
	if x.GetDeprecatedJournal() == "" {
		return invalidField("DeprecatedJournal", "expected the journal's name with Poll")
	}
	if x.GetAlign() != nil || x.GetProposal() != nil || len(x.GetContent()) != 0 {
		return invalidField("Poll", "expected no Align, Proposal or Content with it")
	}
	return within("Poll", x.GetPoll().Validate())
}

func (x *ReplicateRequest) validateAlign() error {
	if x.GetHeader() != nil || x.GetProposal() != nil || len(x.GetContent()) != 0 {
		return invalidField("Align", "expected no Header, Proposal or Content with it")
	}
	return within("Align", x.GetAlign().Validate())
}

func (x *ReplicateRequest) validateProposal() error {
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
	if x.GetState() != nil {
		if err := x.GetState().Validate(); err != nil {
			return within("State", err)
		}
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
