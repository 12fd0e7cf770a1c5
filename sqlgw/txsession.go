package sqlgw

import (
	"context"
	"time"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/staging"
)

// TxStatus is that of the transaction.
func (s *session) TxStatus() byte { return s.tx.status() }

// Sync commits an implicit transaction.
func (s *session) Sync(ctx context.Context) error {
	defer s.timedOver()
	if s.tx == nil || s.tx.block {
		return nil
	}
	ctx, done := s.withTimeout(ctx)
	defer done()
	return s.guard(ctx, func() error { return s.commit(ctx) })
}

// Failed ends an implicit transaction, and makes a block wait for its end.
func (s *session) Failed() {
	s.timedOver()
	switch {
	case s.tx == nil:
	case s.tx.block:
		s.tx.failed = true
	default:
		s.finish(false)
	}
}

// inTransaction is the transaction in which a statement runs: an implicit one begins if there is none.
func (s *session) inTransaction() *transaction {
	if s.tx == nil {
		s.beginAs(&transaction{modes: s.defaultModes()})
	}
	return s.tx
}

func (s *session) beginAs(tx *transaction) {
	tx.began, s.tx = time.Now(), tx
	tx.temps = s.temps.tables
	s.activity.begins(tx.began)
}

// defaultModes are those of a transaction that doesn't say.
func (s *session) defaultModes() modes {
	return modes{
		isolation: s.settings.value("default_transaction_isolation"), readOnly: s.settings.on("default_transaction_read_only"),
		deferrable: s.settings.on("default_transaction_deferrable"),
	}
}

// admit begins a transaction if there is none, and tells whether a statement may run in it.
func (s *session) admit(x traits) error { return s.inTransaction().admit(x) }

// commit appends what the transaction has staged, and ends it. If it fails the transaction is over, too.
func (s *session) commit(ctx context.Context) error {
	if s.tx == nil {
		return nil
	}
	var err error
	if stage := s.tx.stage; stage != nil && !stage.Empty() {
		err = s.tx.fit(s.gateway.cfg.Catalog.Latest(), stage.Journals())
		switch {
		case err != nil:
		case s.tx.transactional:
			_, err = s.commitAtomically(ctx, stage)
		default:
			err = appendStage(ctx, stage, s.appendWhole)
		}
	}
	s.finish(err == nil)
	return err
}

// finish ends the transaction: what it set and said is kept or forgotten, its cursors are closed.
func (s *session) finish(committed bool) {
	tx := s.tx
	s.tx = nil
	s.endCursors(tx, committed)
	if tx.stage != nil {
		tx.stage.Close()
	}
	s.locks.release(tx.locks)
	s.endTemps(tx.temps, committed)
	switch {
	case committed:
		s.settings.endLocal()
		s.speak(&tx.speech)
	case tx.was != nil:
		s.settings.restore(tx.was)
	}
}

// stage is where the transaction's statements write to.
func (s *session) stage() (*staging.Stage, error) {
	tx := s.inTransaction()
	if tx.stage == nil {
		var err error
		if tx.stage, err = staging.New(s.gateway.staging); err != nil {
			return nil, err
		}
	}
	return tx.stage, nil
}

// remember what is set, before the transaction changes it.
func (s *session) remember() {
	if tx := s.inTransaction(); tx.was == nil {
		tx.was = s.settings.saved()
	}
}

// prepareTransaction prepares the statements that begin, end and divide transactions.
func (s *session) prepareTransaction(p parse.Statement) *statement {
	run := func(ctx context.Context, w pgwire.ResultWriter) (string, error) {
		switch p := p.(type) {
		case *parse.Begin:
			return s.beginBlock(w, p)
		case *parse.Commit:
			return s.endBlock(ctx, w, !s.inTransaction().failed, p.Chain)
		case *parse.Rollback:
			return s.endBlock(ctx, w, false, p.Chain)
		case *parse.Savepoint:
			return "SAVEPOINT", s.inTransaction().save(p.Name, s.settings.saved(), s.temps.tables)
		case *parse.Release:
			return "RELEASE", s.inTransaction().release(p.Name)
		case *parse.RollbackTo:
			values, err := s.inTransaction().rollbackTo(p.Name)
			if err == nil {
				s.settings.restore(values)
				s.unlockRolledBack()
				s.temps.tables = s.tx.saves[len(s.tx.saves)-1].temps
			}
			return "ROLLBACK", err
		default:
			return "SET", s.setTransaction(w, p.(*parse.SetTransaction))
		}
	}
	return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
		tag, err := run(ctx, w)
		if err == nil {
			w.Complete(tag)
		}
		return err
	})
}

// beginBlock makes a block of the transaction: what a message did before is part of it.
func (s *session) beginBlock(w pgwire.ResultWriter, p *parse.Begin) (string, error) {
	tx := s.inTransaction()
	if tx.block {
		s.warn(w, "25001", "there is already a transaction in progress")
	}
	if err := tx.set(p.Modes); err != nil {
		return "", err
	}
	if err := tx.modes.check(); err != nil {
		return "", err
	}
	tx.block, tx.direct = true, false
	if p.Start {
		return "START TRANSACTION", nil
	}
	return "BEGIN", nil
}

// endBlock commits a block or rolls it back, and begins another one if that is asked for.
func (s *session) endBlock(ctx context.Context, w pgwire.ResultWriter, commit, chain bool) (string, error) {
	tx := s.inTransaction()
	command := "ROLLBACK"
	if commit {
		command = "COMMIT"
	}
	switch {
	case !tx.block && chain:
		return "", sqlError("25P01", "%s AND CHAIN can only be used in transaction blocks", command)
	case !tx.block:
		s.warn(w, "25P01", "there is no transaction in progress")
	}
	if commit {
		if err := s.commit(ctx); err != nil {
			return "", err
		}
	} else {
		s.finish(false)
	}
	if chain {
		s.beginAs(&transaction{block: true, modes: tx.modes})
	}
	return command, nil
}

func (s *session) setTransaction(w pgwire.ResultWriter, p *parse.SetTransaction) error {
	if !p.Session {
		tx := s.inTransaction()
		if !tx.block {
			s.warn(w, "25P01", "SET TRANSACTION can only be used in transaction blocks")
		}
		return tx.set(p.Modes)
	}
	s.remember()
	for _, x := range []struct {
		name  string
		value string
	}{
		{"default_transaction_isolation", p.Modes.Isolation},
		{"default_transaction_read_only", onOff(p.Modes.ReadOnly)},
		{"default_transaction_deferrable", onOff(p.Modes.Deferrable)},
	} {
		if x.value == "" {
			continue
		}
		if err := s.settings.set(x.name, x.value, false); err != nil {
			return err
		}
	}
	return nil
}

func onOff(c parse.Choice) string {
	switch c {
	case parse.Yes:
		return "on"
	case parse.No:
		return "off"
	default:
		return ""
	}
}

// warn tells a client something that it may want to know.
func (s *session) warn(w pgwire.ResultWriter, code, message string) {
	s.notice(w, &pgwire.Error{Severity: "WARNING", Code: code, Message: message})
}

// notice tells it, if client_min_messages lets it through.
func (s *session) notice(w pgwire.ResultWriter, e *pgwire.Error) {
	rank := map[string]int{"log": 1, "notice": 2, "warning": 3, "error": 4} // and debug, 0
	told := map[string]int{"NOTICE": 2, "WARNING": 3}[e.Severity]
	if told >= rank[s.settings.value("client_min_messages")] {
		w.Notice(e)
	}
}
