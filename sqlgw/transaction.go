package sqlgw

import (
	"slices"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/staging"
)

// transaction is what a session has begun and not ended: a block between BEGIN and COMMIT, or what a
// message of the simple protocol, or the messages up to a Sync, are without one (implicit).
//
// It is a state machine without I/O: what it stages, and the cut at which it reads, are put into
// it by others.
type transaction struct {
	block  bool // BEGIN was said
	failed bool // only its end is still possible, or a savepoint
	// direct: it is one statement by itself, so that what it writes is appended at once.
	direct  bool
	many    bool // it is a message of several statements
	modes   modes
	began   time.Time
	queried bool // a statement ran that reads or writes
	// transactional: what is staged is for transactional tables.
	transactional bool
	// written are the tables that it made rows for, by their ids, as they were then.
	written map[int64]catalog.Table

	stage *staging.Stage // what is to be appended; nil if that is nothing
	saves []savepoint
	saved int // bytes of settings that saves keep
	// savedTemps is how many temporary tables saves have, each counted in each.
	savedTemps int
	was        *settingValues  // what was set when it began; nil if nothing was since
	at         *transactionCut // nil until it is fixed
	speech     speech
	locks      []txLock // that it took, in order
	// unlocked are those of them that a rollback to a savepoint took back.
	unlocked []txLock
	number   int64      // as txid_current tells it; zero until it is asked for
	temps    tempTables // as they were when it began
}

// modes of a transaction.
type modes struct {
	isolation            string
	readOnly, deferrable bool
}

// oneCut tells whether all statements of the transaction are evaluated at one cut.
func (m modes) oneCut() bool {
	return m.readOnly || m.isolation == "repeatable read" || m.isolation == "serializable"
}

// check refuses what isn't acted on.
func (m modes) check() error {
	if m.isolation == "serializable" && !m.readOnly {
		return hinted(sqlError("0A000", "SERIALIZABLE transactions that write are not supported"), "Use REPEATABLE READ, or READ ONLY with it.")
	}
	return nil
}

// with are modes with those that were asked for.
func (m modes) with(p parse.TransactionModes) modes {
	if p.Isolation != "" {
		m.isolation = strings.ToLower(p.Isolation)
	}
	if p.ReadOnly != parse.Unset {
		m.readOnly = p.ReadOnly == parse.Yes
	}
	if p.Deferrable != parse.Unset {
		m.deferrable = p.Deferrable == parse.Yes
	}
	return m
}

// savepoint is what a transaction goes back to.
type savepoint struct {
	name   string
	mark   staging.Mark
	values *settingValues
	size   int // of values; zero if those of the savepoint before are the same
	speech speechMark
	locks  int
	temps  tempTables
}

// status as ReadyForQuery tells it. A nil transaction is none.
func (t *transaction) status() byte {
	switch {
	case t == nil || !t.block:
		return 'I'
	case t.failed:
		return 'E'
	default:
		return 'T'
	}
}

// mark the present point of what is staged.
func (t *transaction) mark() staging.Mark {
	if t.stage == nil {
		return staging.Mark{}
	}
	return t.stage.Mark()
}

// save makes a savepoint.
func (t *transaction) save(name string, values *settingValues, temps tempTables) error {
	if !t.block {
		return sqlError("25P01", "SAVEPOINT can only be used in transaction blocks")
	}
	if len(t.saves) == maxSavepoints {
		return hinted(sqlError("53400", "a transaction may have %d savepoints", maxSavepoints), "Release those that are no longer used.")
	}
	size := 0
	if n := len(t.saves); n == 0 || t.saves[n-1].values != values {
		size = values.bytes()
	}
	if t.saved+size > maxSaved {
		return hinted(sqlError("53400", "the savepoints of a transaction may keep %d bytes of settings", maxSaved),
			"Release those that are no longer used, or set less between them.")
	}
	if t.savedTemps+len(temps) > maxSavedTemps {
		return hinted(sqlError("53400", "the savepoints of a transaction may keep %d states of temporary tables", maxSavedTemps),
			"Release those that are no longer used, or drop temporary tables.")
	}
	t.saved += size
	t.savedTemps += len(temps)
	t.saves = append(t.saves, savepoint{
		name: name, mark: t.mark(), values: values, size: size, speech: t.speech.mark(), locks: len(t.locks), temps: temps,
	})
	return nil
}

// maxSavepoints bounds those of a transaction, maxSaved the bytes of settings that they keep, and maxSavedTemps the temporary tables, each
// counted in each savepoint.
const (
	maxSavepoints = 10_000
	maxSaved      = 4 << 20
	maxSavedTemps = 100_000
)

// forget all savepoints but the first.
func (t *transaction) forget(first int) {
	for _, x := range t.saves[first:] {
		t.saved -= x.size
		t.savedTemps -= len(x.temps)
	}
	clear(t.saves[first:])
	t.saves = t.saves[:first]
}

// find the latest savepoint of a name.
func (t *transaction) find(command, name string) (int, error) {
	if !t.block {
		return 0, sqlError("25P01", "%s can only be used in transaction blocks", command)
	}
	for i, x := range slices.Backward(t.saves) {
		if x.name == name {
			return i, nil
		}
	}
	return 0, sqlError("3B001", "savepoint %q does not exist", name)
}

// release forgets a savepoint and those after it.
func (t *transaction) release(name string) error {
	i, err := t.find("RELEASE SAVEPOINT", name)
	if err == nil {
		t.forget(i)
	}
	return err
}

// rollbackTo goes back to a savepoint, which stays, and returns what was set then.
func (t *transaction) rollbackTo(name string) (*settingValues, error) {
	i, err := t.find("ROLLBACK TO SAVEPOINT", name)
	if err != nil {
		return nil, err
	}
	x := t.saves[i]
	t.forget(i + 1)
	if t.stage != nil {
		t.stage.Rollback(x.mark)
	}
	t.speech.rollback(x.speech)
	t.unlocked = append(t.unlocked, t.locks[x.locks:]...)
	t.locks = t.locks[:x.locks]
	t.failed = false
	return x.values, nil
}

// set changes the modes of a transaction that has begun.
func (t *transaction) set(p parse.TransactionModes) error {
	to := t.modes.with(p)
	switch {
	case t.queried && to.isolation != t.modes.isolation:
		return sqlError("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query")
	case t.queried && t.modes.readOnly && !to.readOnly:
		return sqlError("25001", "transaction read-write mode must be set before any query")
	case t.queried && t.modes.deferrable != to.deferrable:
		return sqlError("25001", "SET TRANSACTION [NOT] DEFERRABLE must be called before any query")
	}
	if err := to.check(); err != nil {
		return err
	}
	t.modes = to
	return nil
}

// traits are what matters of a statement to the transaction that it runs in.
type traits struct {
	command string // as messages name it
	queries bool   // it reads or writes tables
	writes  bool
	alone   bool // what it does can't be undone
	ends    bool // it may end a transaction that has failed
	offsets bool // it tells where rows are that it appends
}

func traitsOf(p parse.Statement) traits {
	switch p := p.(type) {
	case *parse.Select, *parse.CopyTo, *parse.Subscribe, *parse.Declare, *parse.Explain:
		return traits{command: "SELECT", queries: true}
	case *parse.Insert:
		return traits{command: "INSERT", queries: true, writes: true, offsets: p.Returning.Offset()}
	case *parse.CopyFrom:
		return traits{command: "COPY FROM", queries: true, writes: true}
	case *parse.Change:
		return traits{command: p.Command(), queries: true, writes: true}
	case *parse.Truncate:
		return traits{command: "TRUNCATE TABLE", queries: true, writes: true}
	case *parse.CreateTempAs:
		return traits{command: "CREATE TABLE AS", queries: true, writes: true}
	case *parse.CreateTable:
		return traits{command: "CREATE TABLE", writes: true, alone: !p.Temp}
	case *parse.DropTable:
		return traits{command: "DROP TABLE", writes: true, alone: true}
	case *parse.CreateSchema:
		return traits{command: "CREATE SCHEMA", writes: true, alone: true}
	case *parse.DropSchema:
		return traits{command: "DROP SCHEMA", writes: true, alone: true}
	case *parse.CreateIndex:
		return traits{command: "CREATE INDEX", writes: true, alone: true}
	case *parse.CreateSequence:
		return traits{command: "CREATE SEQUENCE", writes: true, alone: true}
	case *parse.CreateFunction:
		return traits{command: "CREATE FUNCTION", writes: true, alone: true}
	case *parse.Comment:
		return traits{command: "COMMENT", writes: true, alone: true}
	case *parse.Drop:
		return traits{command: "DROP " + strings.ToUpper(p.Kind), writes: true, alone: true}
	case *parse.Maintain:
		return traits{command: "VACUUM", alone: p.Command == "VACUUM"}
	case *parse.Discard:
		return traits{command: "DISCARD ALL", alone: p.What == "ALL"}
	case *parse.Commit, *parse.Rollback, *parse.RollbackTo:
		return traits{ends: true}
	case *parse.CreateView:
		return traits{command: "CREATE VIEW", writes: true, alone: true}
	case *parse.AlterView:
		return traits{command: "ALTER VIEW", writes: true, alone: true}
	case *parse.DropView:
		return traits{command: "DROP VIEW", writes: true, alone: true}
	default:
		if x, ok := materializedTraits(p); ok {
			return x
		}
		if x, ok := alterTraits(p); ok {
			return x
		}
		return roleTraits(p)
	}
}

// admit tells whether a statement may run now.
func (t *transaction) admit(x traits) error {
	switch {
	case t.failed && !x.ends:
		return errFailedTransaction()
	case x.writes && t.modes.readOnly:
		return sqlError("25006", "cannot execute %s in a read-only transaction", x.command)
	case x.alone && (t.block || t.many || (t.stage != nil && !t.stage.Empty())):
		return hinted(sqlError("25001", "%s cannot run inside a transaction block", x.command),
			"What it does can't be undone. Send it by itself.")
	}
	if x.offsets && (t.block || t.many || (t.stage != nil && !t.stage.Empty())) {
		return hinted(sqlError("0A000", "RETURNING _offset inside a transaction block is not supported"),
			"It is known only once the transaction is committed. Send the statement by itself.")
	}
	if x.queries || x.writes {
		if err := t.modes.check(); err != nil {
			return err
		}
	}
	t.queried = t.queried || x.queries
	return nil
}

func errFailedTransaction() *pgwire.Error {
	return sqlError("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}
