package sqlgw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/atomic"
	"broadsheet.dev/broadsheet/sqlgw/staging"
)

const (
	// recordsJournal is where the records of transactions stand (docs/format/transactions.md), of the tables of all databases.
	recordsJournal = "broadsheet/transactions"
	// registerSettled has the offset before which all records are settled.
	registerSettled = "settled"
)

// atomicJournals appends for package atomic.
type atomicJournals struct{ brokers *client.Client }

// Append a body. Lines are on the disks of all members, as the record is, whatever synchronous_commit says; what acknowledges them
// needn't be.
func (a atomicJournals) Append(ctx context.Context, journal string, body io.ReadSeeker, repeat bool) (atomic.Span, error) {
	to := a.brokers.Append
	if repeat {
		to = a.brokers.AppendAtLeastOnce
	}
	r, err := to(ctx, client.AppendParams{Journal: journal, Synced: !repeat}, body)
	return atomicSpan(r), atomicError(err)
}

func atomicSpan(r *protocol.AppendResponse) atomic.Span {
	return atomic.Span{Begin: r.GetCommit().GetBegin(), End: r.GetCommit().GetEnd()}
}

// atomicError says what package atomic asks of an error.
func atomicError(err error) error {
	switch {
	case errors.Is(err, client.ErrUnknownOutcome):
		return fmt.Errorf("%w: %w", atomic.ErrLost, err)
	case isStatus(err, protocol.Status_JOURNAL_NOT_FOUND):
		return fmt.Errorf("%w: %w", atomic.ErrGone, err)
	default:
		return err
	}
}

// atomicRecords is the journal of records, which is made when it is first needed.
type atomicRecords struct {
	brokers *client.Client
	catalog *catalog.Catalog
	open    openRange
}

// Add a record, once or more often.
func (a atomicRecords) Add(ctx context.Context, line []byte, settled int64) (atomic.Span, error) {
	p := client.AppendParams{Journal: recordsJournal, Synced: true}
	if settled > 0 {
		p.Union = protocol.MustLabelSet(registerSettled, strconv.FormatInt(settled, 10))
	}
	for {
		r, err := a.brokers.AppendAtLeastOnce(ctx, p, bytes.NewReader(line))
		if !isStatus(err, protocol.Status_JOURNAL_NOT_FOUND) || errors.Is(err, client.ErrUnknownOutcome) {
			return atomicSpan(r), atomicError(err)
		}
		if err := a.create(ctx); err != nil {
			return atomic.Span{}, err
		}
	}
}

// create the journal, unless somebody else does.
func (a atomicRecords) create(ctx context.Context) error {
	_, err := a.brokers.Apply(ctx, []*protocol.ApplyRequest_Change{{Upsert: a.catalog.SystemJournal(recordsJournal)}})
	if isStatus(err, protocol.Status_ETCD_TRANSACTION_FAILED) {
		return nil
	}
	return err
}

// Span of the journal.
func (a atomicRecords) Span(ctx context.Context) (int64, int64, error) {
	b, err := a.brokers.Barrier(ctx, recordsJournal)
	switch {
	case isStatus(err, protocol.Status_JOURNAL_NOT_FOUND):
		return 0, 0, nil
	case isStatus(err, protocol.Status_SUSPENDED):
		r, err := a.brokers.Append(ctx, client.AppendParams{Journal: recordsJournal}, nil)
		if err != nil {
			return 0, 0, err
		}
		b.Head, b.Registers = r.GetCommit().GetEnd(), r.GetRegisters()
	case err != nil:
		return 0, 0, err
	}
	settled := int64(0)
	if text := b.Registers.ValueOf(registerSettled); text != "" {
		if settled, err = strconv.ParseInt(text, 10, 64); err != nil || settled < 0 || settled > b.Head {
			return 0, 0, fmt.Errorf("journal %s: its register %s is %q", recordsJournal, registerSettled, text)
		}
	}
	return settled, b.Head, nil
}

// Read a range of the journal.
func (a atomicRecords) Read(ctx context.Context, begin, end int64) (io.ReadCloser, error) {
	return a.open(ctx, recordsJournal, begin, end)
}

// coordinator is named here, for sync/atomic has the same name.
type coordinator = atomic.Coordinator

// newCoordinator returns that of a gateway.
func newCoordinator(cfg *Config, open openRange) (*coordinator, error) {
	return atomic.New(atomic.Config{
		Journals: atomicJournals{cfg.Brokers}, Logger: cfg.Logger,
		Records: atomicRecords{brokers: cfg.Brokers, catalog: cfg.Catalog, open: open},
	})
}

// runCoordinator finishes what other gateways have left, as long as there are transactional tables.
func (g *Gateway) runCoordinator(ctx context.Context) error {
	return g.atomic.Run(ctx, func() bool {
		snap, err := g.cfg.Catalog.Snapshot(ctx)
		return err == nil && slices.ContainsFunc(snap.Tables(), func(t catalog.Table) bool { return t.Transactional })
	})
}

// settle finishes what is committed of transactional tables before a cut is taken of them: so that it has all of each
// transaction. A session that reads older cuts has what was settled then.
func (s *session) settle(ctx context.Context, snap *catalog.Snapshot, tables []catalog.Table) error {
	if f, _ := parseFreshness(s.settings.value(settingFreshness)); f != (freshness{}) {
		return nil // it takes what is known
	}
	if s.tx != nil && s.tx.modes.oneCut() && s.tx.at == nil {
		tables = snap.Tables() // whatever it will read, the cut is taken now
	}
	var journals []string
	for _, t := range tables {
		if !t.Transactional {
			continue
		}
		names, err := snap.Journals(ctx, t)
		if err != nil {
			return err
		}
		journals = append(journals, names...)
	}
	if len(journals) == 0 {
		return nil
	}
	return s.gateway.atomic.Settle(ctx, journals)
}

// appendTo is how a statement's rows are appended to a table. Those of a transactional table are always staged, and a transaction
// has either such rows or others: for together they couldn't be committed as one.
func (s *session) appendTo(t catalog.Table) (openAppender, error) {
	tx := s.inTransaction()
	staged := tx.stage != nil && !tx.stage.Empty()
	switch {
	case !staged:
		tx.transactional = t.Transactional
	case tx.transactional != t.Transactional:
		return nil, hinted(sqlError("0A000", "a transaction can't write to table %q, and to others: some are transactional, some not", t.Name),
			"Write to them in transactions of their own.")
	}
	tx.writesTo(t)
	if !t.Transactional {
		return s.openAppend, nil
	}
	return func(_ context.Context, journal string) (appender, error) {
		stage, err := s.stage()
		if err != nil {
			return nil, err
		}
		return stagedAppender{stage: stage, journal: journal}, nil
	}, nil
}

// commitPlaced commits what a statement has staged for a transactional table, which is all of its transaction, so that it can
// tell where its rows are.
func (s *session) commitPlaced(ctx context.Context, sink *rowSink, places []rowPlace) error {
	tx := s.inTransaction()
	if !tx.transactional || tx.stage == nil || tx.stage.Empty() {
		return nil
	}
	journals := tx.stage.Journals()
	done, err := s.commitAtomically(ctx, tx.stage)
	if err != nil {
		return err
	}
	tx.stage.Rollback(staging.Mark{}) // it is appended
	for i, j := range journals {
		sink.begins[slices.Index(sink.journals, j)] = done.Lines[i].Begin
	}
	rows := map[int]int64{}
	for i := range places {
		p := &places[i]
		p.before += rows[p.journal] * int64(atomic.Grown)
		rows[p.journal]++
	}
	return nil
}

// commitAtomically appends what a transaction has staged for transactional tables: all of it, or nothing.
func (s *session) commitAtomically(ctx context.Context, stage *staging.Stage) (atomic.Done, error) {
	journals := stage.Journals()
	parts := make([]atomic.Part, len(journals))
	for i, j := range journals {
		content := stage.Snapshot(j)
		defer content.Close() // of all, for a part may be read again
		parts[i] = atomic.Part{Journal: j, Lines: content.Open()}
	}
	done, err := s.gateway.atomic.Commit(ctx, parts)
	switch {
	case errors.Is(err, atomic.ErrUnknown):
		e := hinted(sqlError(codeUnknownOutcome, "the outcome of the transaction is not known: %v", err), "Look whether any of its rows is there: then all are, or none.")
		e.Detail = "It is committed as a whole, or not at all: in " + strings.Join(journals, ", ") + "."
		return done, e
	case errors.Is(err, atomic.ErrLongLine):
		return done, sqlError("54000", "the transaction is rolled back: %v", err)
	case errors.Is(err, atomic.ErrLost):
		return done, hinted(sqlError("40000", "the transaction is rolled back: %v", err), "Try it again.")
	case err != nil:
		return done, appendError("commit", err)
	}
	for i, j := range journals {
		if end := done.Ends[i]; end > 0 {
			s.wrote(j, end)
		}
	}
	return done, nil
}
