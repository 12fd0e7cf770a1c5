package broker

import (
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// proposalAction is what a replica does with a proposal.
type proposalAction int

const (
	// proposalMismatch answers with what the replica has.
	proposalMismatch proposalAction = iota
	// proposalRoll closes the open fragment, begins another at the proposal's end, and
	// looks at the proposal again.
	proposalRoll
	// proposalRollback forgets what was written since the last commit.
	proposalRollback
	// proposalCommit commits it.
	proposalCommit
)

// String is the action in lower case.
func (a proposalAction) String() string {
	return [...]string{"mismatch", "roll", "rollback", "commit"}[a]
}

// spoolView is what a replica decides by about a proposal.
type spoolView struct {
	state spool.State
	delta int64    // bytes written since the last commit
	next  int64    // end of the fragment with them
	sum   [20]byte // of the fragment with them
}

// decideProposal by the rules of the protocol, in its order, but for one: a proposal that goes
// further than what is held isn't rolled to unless it is empty. Its primary has drained what it
// sent then; else the replica would count as one that has bytes which it never got.
func decideProposal(v spoolView, p *protocol.Fragment, registers *protocol.LabelSet) proposalAction {
	same := p.GetBegin() == v.state.Begin && p.GetCompressionCodec() == v.state.Codec
	empty := p.GetBegin() == p.GetEnd()
	switch {
	case empty && p.GetEnd() > v.next, empty && p.GetEnd() == v.state.End && (!same || v.state.Begin != v.state.End):
		return proposalRoll
	case same && p.GetEnd() == v.state.End && (empty || p.GetSum().Digest() == v.state.Sum) &&
		protocol.LabelSetsEqual(registers, v.state.Registers):
		return proposalRollback
	case same && v.delta != 0 && p.GetEnd() == v.next && p.GetSum().Digest() == v.sum:
		return proposalCommit
	default:
		return proposalMismatch
	}
}
