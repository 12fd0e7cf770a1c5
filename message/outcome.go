package message

// Outcome is what becomes of a message, by what was known of its producer.
type Outcome uint8

const (
	// NoUUID is a message without a UUID, or with clock 0: it is committed, and nothing
	// is known of it.
	NoUUID Outcome = iota
	// OutsideCommit is a message outside of transactions: it is committed.
	OutsideCommit
	// OutsideRollback is one that is committed, and that rolls the pending messages of its
	// producer back.
	OutsideRollback
	// OutsideDuplicate is a message outside of transactions that is a duplicate.
	OutsideDuplicate
	// ContinueBegin is a message that is pending, the first of its transaction.
	ContinueBegin
	// ContinueExtend is a message that is pending as others of its transaction are.
	ContinueExtend
	// ContinueDuplicate is a duplicate of a pending message.
	ContinueDuplicate
	// ContinueAcked is a duplicate of a committed message.
	ContinueAcked
	// AckCommit is an acknowledgement that commits the pending messages up to its clock,
	// and rolls those beyond back.
	AckCommit
	// AckEmpty is an acknowledgement that finds nothing pending.
	AckEmpty
	// AckRepeated is the last acknowledgement of its producer, once more. It does nothing.
	AckRepeated
	// AckLate is an acknowledgement from before the last one. It does nothing.
	AckLate
)

var outcomes = [...]string{
	NoUUID:            "no-uuid",
	OutsideCommit:     "outside-commit",
	OutsideRollback:   "outside-rollback",
	OutsideDuplicate:  "outside-duplicate",
	ContinueBegin:     "continue-begin",
	ContinueExtend:    "continue-extend",
	ContinueDuplicate: "continue-duplicate",
	ContinueAcked:     "continue-acked",
	AckCommit:         "ack-commit",
	AckEmpty:          "ack-empty",
	AckRepeated:       "ack-repeated",
	AckLate:           "ack-late",
}

// String is the outcome's name, for metrics.
func (o Outcome) String() string { return outcomes[o] }

// Delivers reports whether the message itself is delivered: at once, or, if it is an
// acknowledgement, after the messages that it commits.
func (o Outcome) Delivers() bool {
	switch o {
	case NoUUID, OutsideCommit, OutsideRollback, AckCommit, AckEmpty:
		return true
	case OutsideDuplicate, ContinueBegin, ContinueExtend, ContinueDuplicate, ContinueAcked, AckRepeated, AckLate:
	}
	return false
}

// Pends reports whether the message waits for an acknowledgement.
func (o Outcome) Pends() bool { return o == ContinueBegin || o == ContinueExtend }
