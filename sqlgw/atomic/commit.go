package atomic

// Act is what a commit does next.
type Act uint8

// The acts of a commit, in their order.
const (
	// Publish lines to a journal.
	Publish Act = iota
	// Store the record.
	Store
	// Acknowledge in a journal.
	Acknowledge
	// Rest: there is nothing left to do.
	Rest
)

var acts = [...]string{Publish: "publish", Store: "store", Acknowledge: "acknowledge", Rest: "rest"}

// String is its name.
func (a Act) String() string { return acts[a] }

// Outcome of an act.
type Outcome uint8

// The outcomes of appends.
const (
	// Applied: it is there, once or more often.
	Applied Outcome = iota
	// Refused: it isn't there, and won't be.
	Refused
	// Lost: it may be there, or come later.
	Lost
)

// Fate of a transaction.
type Fate uint8

// The fates.
const (
	// Undecided as long as acts are left that decide.
	Undecided Fate = iota
	// RolledBack: nobody will ever see a line of it.
	RolledBack
	// Committed: everybody will see all.
	Committed
	// Unknown: one of both.
	Unknown
)

var fates = [...]string{Undecided: "undecided", RolledBack: "rolled back", Committed: "committed", Unknown: "unknown"}

// String is it in words.
func (f Fate) String() string { return fates[f] }

// Commit of a transaction, as a state machine: Next says what is to be done, Report what came of it.
type Commit struct {
	journals []string
	act      Act
	at       int // of the journals
	fate     Fate
	clean    bool // the producer may be used again, if nothing more happens
}

// NewCommit of lines of some journals, one at least.
func NewCommit(journals []string) *Commit { return &Commit{journals: journals, clean: true} }

// Next is what is to be done now, and in which journal.
func (c *Commit) Next() (Act, string) {
	if c.act == Publish || c.act == Acknowledge {
		return c.act, c.journals[c.at]
	}
	return c.act, ""
}

// Report what came of it.
func (c *Commit) Report(o Outcome) {
	switch {
	case c.act == Publish && o != Applied:
		// What was published before stays without an acknowledgement, so that the producer is not to give another one.
		c.clean = c.at == 0 && o == Refused
		c.act, c.fate = Rest, RolledBack
	case c.act == Store && o == Refused:
		c.act, c.fate, c.clean = Rest, RolledBack, false
	case c.act == Store && o == Lost:
		c.act, c.fate, c.clean = Rest, Unknown, false
	case c.act == Store:
		c.act, c.fate = Acknowledge, Committed
	case c.act == Acknowledge:
		c.clean = c.clean && o == Applied
		c.advance(Rest)
	case c.act == Publish:
		c.advance(Store)
	}
}

// advance to the next journal, or the next act.
func (c *Commit) advance(to Act) {
	if c.at++; c.at == len(c.journals) {
		c.at, c.act = 0, to
	}
}

// Fate of the transaction, as far as it is known.
func (c *Commit) Fate() Fate { return c.fate }

// Finished tells that it is acknowledged in all journals.
func (c *Commit) Finished() bool { return c.act == Rest && c.fate == Committed && c.clean }

// Reusable tells whether the producer may be used for another transaction.
func (c *Commit) Reusable() bool { return c.act == Rest && c.clean }
