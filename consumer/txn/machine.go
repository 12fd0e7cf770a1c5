package txn

import (
	"errors"
	"fmt"
	"time"
)

// ErrDeferredFirst is of an application that defers the first message of a transaction: the next transaction would be
// as this one is.
var ErrDeferredFirst = errors.New("the first message of a transaction can't be deferred to the next")

// Config of a Machine.
type Config struct {
	// Min and Max bound how long a transaction consumes. If Min is greater, Max counts.
	Min, Max time.Duration
	// WaitForAck: a transaction doesn't end by itself while a span of messages that began in it waits for its
	// acknowledgement.
	WaitForAck bool
}

// Validate the durations.
func (c Config) Validate() error {
	switch {
	case c.Min < 0:
		return fmt.Errorf("transactions of %s at least: must not be negative", c.Min)
	case c.Max <= 0:
		return fmt.Errorf("transactions of %s at most: must be positive", c.Max)
	}
	return nil
}

// Do is what is to be done next.
type Do int

const (
	// Wait until something happens: see Step.
	Wait Do = iota
	// Read a message, if one is there without waiting. Answered by Ready, Passed or Empty.
	Read
	// Begin a transaction.
	Begin
	// Consume the message that is ready. If the application defers it, Deferred is the answer.
	Consume
	// Commit the transaction: finalize it, and start the commit of the store. Answered, later, by Committed.
	Commit
	// Acknowledge the transaction that was committed. Answered, later, by Acknowledged.
	Acknowledge
	// Finish the transaction that was acknowledged: it is over.
	Finish
	// Stop for good: there is nothing left to do. The error is that of Fail.
	Stop
)

var names = [...]string{"wait", "read", "begin", "consume", "commit", "acknowledge", "finish", "stop"}

// String is the name of what is to be done.
func (d Do) String() string { return names[d] }

// Step is what is to be done next. The machine takes it for done, or begun, once Next has returned it.
type Step struct {
	// Do it.
	Do Do
	// Txn is the number of the transaction that it is done for, from 1 on; 0 if for none.
	Txn int
	// Reading, of a Wait: a message that comes ends it, by More. If it isn't, none may be read.
	Reading bool
	// Holding, of a Commit: a message is ready that isn't of this transaction. It is the first of the next.
	Holding bool
	// Stalled, of a Wait: the transaction could commit, but for the one before.
	Stalled bool
	// Wake, of a Wait, is when to call Next again if nothing happens; zero is never.
	Wake time.Time
	// Err, of a Stop, is why.
	Err error
}

// ready is what is known of the next message.
type ready int

const (
	unknown ready = iota
	one
	none
)

// prior is how far the transaction before the present one is.
type prior int

const (
	finished prior = iota
	committing
	committed
	acknowledging
	acknowledged
)

// Machine decides. Make it with New.
type Machine struct {
	cfg Config

	next ready // message
	open bool  // a span waits for its acknowledgement; of the last Empty
	// txn is the present transaction, and began when; none is there if inTxn is false.
	txn      int
	inTxn    bool
	begun    bool // Begin was returned
	began    time.Time
	consumed int
	deferred bool

	prior    prior // of txn-1, or of txn if there is no present one
	draining bool
	failed   error
}

// New returns a machine before its first transaction.
func New(cfg Config) (*Machine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Machine{cfg: cfg}, nil
}

// Ready tells that a message was read that is to be consumed.
func (m *Machine) Ready(now time.Time) {
	m.expect(m.next == unknown, "Ready")
	m.next = one
	m.begin(now)
}

// Passed tells that a message was read that isn't to be consumed: not yet, or never.
func (m *Machine) Passed(now time.Time) {
	m.expect(m.next == unknown, "Passed")
	m.begin(now)
}

// Empty tells that no message is there now. Open says that one which was read in the present transaction begins a span
// that waits for its acknowledgement.
func (m *Machine) Empty(open bool) {
	m.expect(m.next == unknown, "Empty")
	m.next, m.open = none, open
}

// More tells that there may be messages again.
func (m *Machine) More() {
	if m.next == none {
		m.next = unknown
	}
}

// Deferred tells that the application wants the message that it was to consume in the next transaction.
func (m *Machine) Deferred() error {
	m.expect(m.inTxn && m.consumed > 0 && m.next == unknown, "Deferred")
	if m.consumed--; m.consumed == 0 {
		return ErrDeferredFirst
	}
	m.next, m.deferred = one, true
	return nil
}

// Committed tells that the commit is done.
func (m *Machine) Committed() {
	m.expect(m.prior == committing, "Committed")
	m.prior = committed
}

// Acknowledged tells that the acknowledgements are appended.
func (m *Machine) Acknowledged() {
	m.expect(m.prior == acknowledging, "Acknowledged")
	m.prior = acknowledged
}

// Fail ends everything, for the first error that is told.
func (m *Machine) Fail(err error) {
	if m.failed == nil {
		m.failed = err
	}
}

// Drain ends the transaction that was begun, and begins no other.
func (m *Machine) Drain() { m.draining = true }

func (m *Machine) expect(ok bool, what string) {
	if !ok {
		panic("txn: " + what + " wasn't asked for")
	}
}

func (m *Machine) begin(now time.Time) {
	if m.inTxn {
		return
	}
	m.txn++
	m.inTxn, m.begun, m.began, m.consumed, m.deferred, m.open = true, false, now, 0, false, false
}

// Next returns what is to be done at a time.
func (m *Machine) Next(now time.Time) Step {
	switch {
	case m.failed != nil:
		return Step{Do: Stop, Err: m.failed}
	case m.prior == committed:
		m.prior = acknowledging
		return Step{Do: Acknowledge, Txn: m.before()}
	case m.prior == acknowledged:
		m.prior = finished
		return Step{Do: Finish, Txn: m.before()}
	case !m.inTxn:
		return m.between(now)
	case !m.begun:
		m.begun = true
		return Step{Do: Begin, Txn: m.txn}
	}
	return m.within(now)
}

// before is the number of the transaction before the present one.
func (m *Machine) before() int {
	if m.inTxn {
		return m.txn - 1
	}
	return m.txn
}

// between two transactions.
func (m *Machine) between(now time.Time) Step {
	switch {
	case m.draining && m.prior == finished:
		return Step{Do: Stop}
	case m.draining:
		return Step{Do: Wait}
	case m.next == one: // It was deferred.
		m.begin(now)
		m.begun = true
		return Step{Do: Begin, Txn: m.txn}
	case m.next == unknown:
		return Step{Do: Read}
	}
	return Step{Do: Wait, Reading: true}
}

// within a transaction.
func (m *Machine) within(now time.Time) Step {
	age := now.Sub(m.began)
	switch {
	case m.deferred || m.draining || age >= m.cfg.Max:
		if m.prior != finished {
			return Step{Do: Wait, Txn: m.txn, Stalled: true}
		}
		return m.commit()
	case m.next == one:
		m.next = unknown
		m.consumed++
		return Step{Do: Consume, Txn: m.txn}
	case m.next == unknown:
		return Step{Do: Read, Txn: m.txn}
	case age < m.cfg.Min:
		return Step{Do: Wait, Txn: m.txn, Reading: true, Wake: m.began.Add(min(m.cfg.Min, m.cfg.Max))}
	case m.prior != finished || m.open && m.cfg.WaitForAck:
		return Step{Do: Wait, Txn: m.txn, Reading: true, Wake: m.began.Add(m.cfg.Max)}
	}
	return m.commit()
}

func (m *Machine) commit() Step {
	m.inTxn, m.prior = false, committing
	return Step{Do: Commit, Txn: m.txn, Holding: m.next == one}
}
