package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// statement is a prepared statement of any kind: what it takes and returns, and how it is
// begun with bound parameters.
type statement struct {
	session *session
	params  []columnar.Type
	columns []pgwire.Column
	traits  traits
	shown   string // what others see of its text; "" if the session was sent that with this message
	begin   func(ctx context.Context, args *columnar.Batch) (execution, error)
	// told are the types that parameters are told as, where they aren't those of params; names
	// leads what are names there to their OIDs.
	told  []told
	names func(ctx context.Context) (*pgcatalog.Names, error)
}

// execution is a statement that runs, perhaps in several parts.
type execution interface {
	// run goes on, for at most maxRows rows (0 is all), and tells whether it is done.
	run(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error)
	close()
}

// Params are the types of the parameters.
func (s *statement) Params() []uint32 {
	out := make([]uint32, len(s.params))
	for i, t := range s.params {
		out[i] = t.OID()
		if i < len(s.told) && s.told[i].OID != 0 {
			out[i] = s.told[i].OID
		}
	}
	return out
}

// Columns of the rows that it returns.
func (s *statement) Columns() []pgwire.Column { return s.columns }

// Close has nothing to release: a statement holds no engine's resources.
func (s *statement) Close() {}

// Bind begins an execution.
func (s *statement) Bind(ctx context.Context, args []pgwire.Arg) (pgwire.Portal, error) {
	p, err := s.bind(ctx, args)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s *statement) bind(ctx context.Context, args []pgwire.Arg) (*portal, error) {
	s.session.asksAgain(s.shown)
	if err := s.session.admit(s.traits); err != nil {
		return nil, err
	}
	ctx, done := s.session.withTimeout(ctx)
	defer done()
	var e execution
	err := s.session.guard(ctx, func() error {
		plain, err := s.plainArgs(ctx, args)
		if err != nil {
			return err
		}
		batch, err := bindArgs(s.params, plain, s.session.settings.style())
		if err != nil {
			return err
		}
		e, err = s.begin(ctx, batch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &portal{session: s.session, execution: e, traits: s.traits, columns: s.columns, shown: s.shown}, nil
}

// asksAgain notes that the session runs a text that it was sent before.
func (s *session) asksAgain(shown string) {
	if shown != "" {
		s.activity.asks(shown)
	}
}

// bindArgs makes a batch of one row of the parameters' values.
func bindArgs(types []columnar.Type, args []pgwire.Arg, as *style.Style) (*columnar.Batch, error) {
	b := &columnar.Batch{Len: 1, Cols: make([]columnar.Vector, len(types))}
	for i, t := range types {
		v := columnar.NewVectorBuilder(t)
		var err error
		switch a := args[i]; {
		case a.Data == nil:
			v.AppendNull()
		case a.Binary:
			err = columnar.ParseBinary(t, a.Data, v)
		default:
			err = as.Read(t, string(a.Data), v, time.Now())
		}
		if err != nil {
			return nil, inputError(err, fmt.Sprintf("parameter $%d", i+1))
		}
		b.Cols[i] = v.Vector()
	}
	return b, nil
}

// inputError is the error of a value that its type doesn't take.
func inputError(err error, where string) error {
	if e, ok := errors.AsType[*columnar.InputError](err); ok {
		return &pgwire.Error{Code: e.Code, Message: e.Message, Hint: e.Hint, Where: where}
	}
	return err
}

// portal is an execution as pgwire calls it, and a cursor.
type portal struct {
	session   *session
	execution execution
	traits    traits
	columns   []pgwire.Column
	shown     string       // as that of its statement
	last      bool         // an implicit transaction ends with it
	madeIn    *transaction // if it outlives it: it was declared WITH HOLD

	// As a cursor: rows that were taken, whether there are no more, and whether a fetch failed.
	at     int64
	ended  bool
	broken bool
}

// Execute runs the statement, or its next part.
func (p *portal) Execute(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	s := p.session
	s.asksAgain(p.shown)
	if err := s.admit(p.traits); err != nil {
		return false, err
	}
	ctx, done := s.withTimeout(ctx)
	defer done()
	defer s.timedOver()
	finished := false
	err := s.guard(ctx, func() error {
		var err error
		if !p.last {
			finished, err = p.execution.run(ctx, w, maxRows)
			return err
		}
		later := &laterTag{ResultWriter: w}
		finished, err = p.execution.run(ctx, later, maxRows)
		if err == nil && finished && s.tx != nil && !s.tx.block {
			err = s.commit(ctx)
		}
		if err == nil && finished {
			w.Complete(later.tag)
		}
		return err
	})
	return finished && err == nil, err
}

// laterTag keeps the tag of a statement until the transaction that ends with it is committed.
type laterTag struct {
	pgwire.ResultWriter
	tag string
}

func (l *laterTag) Complete(tag string) { l.tag = tag }

// Close ends the execution.
func (p *portal) Close() { p.execution.close() }

// errTimeout ends the context of a statement that took longer than statement_timeout.
var errTimeout = &pgwire.Error{Code: "57014", Message: "canceling statement due to statement timeout"}

// withTimeout bounds a call by the session's statement_timeout. It counts from the statement's first call: its parsing, its binding, or
// what an execution goes on with.
func (s *session) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	d := s.gateway.cfg.Limits.timeout(s.settings.timeout())
	if d == 0 {
		return ctx, func() {}
	}
	if s.since.IsZero() {
		s.since = time.Now()
	}
	return context.WithDeadlineCause(ctx, s.since.Add(d), errTimeout)
}

// timedOver is the end of what withTimeout counts: what comes next has its own time.
func (s *session) timedOver() { s.since = time.Time{} }

// statementError makes what a client is told of a failed statement.
func statementError(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Code == codeUnknownOutcome {
		return e // whatever ended it: that it may have written is what has to be told
	}
	awaitDeadline(ctx, err)
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), error(errTimeout)) {
		return errTimeout
	}
	if isWire(err) {
		return err
	}
	if e, ok := errors.AsType[*duck.Error](err); ok {
		if bound := parse.Raised(e.Raw); bound != nil {
			return parseError(bound)
		}
		return &pgwire.Error{Code: e.SQLSTATE, Message: e.Message}
	}
	return brokerError(err)
}

// awaitDeadline waits for the end of ctx where a broker was sooner to tell of its deadline than the clock here.
func awaitDeadline(ctx context.Context, err error) {
	const sooner = 100 * time.Millisecond
	if d, ok := ctx.Deadline(); ok && status.Code(err) == codes.DeadlineExceeded && time.Until(d) < sooner {
		<-ctx.Done()
	}
}

// brokerError gives what a broker answered, or that none answers, its SQLSTATE. Any other
// error stays as it is.
func brokerError(err error) error {
	if e, ok := errors.AsType[*protocol.StatusError](err); ok {
		return hinted(sqlError(brokerCode(e.Status), "%v", err), brokerHint(e))
	}
	if jump, ok := errors.AsType[*client.OffsetJumpError](err); ok {
		return hinted(sqlError("72000", "bytes %d to %d of journal %s were removed while the statement read them", jump.From, jump.To, jump.Journal),
			"They are past the journal's retention, or were pruned. Run the statement again.")
	}
	switch status.Code(err) {
	case codes.Unavailable:
		return hinted(sqlError("57P03", "%v", err), "The broker is starting, or away. Try again in a moment.")
	case codes.FailedPrecondition:
		return sqlError("55000", "%v", err)
	case codes.Internal, codes.DataLoss:
		return sqlError("58000", "%v", err) // as of a broker whose disk has failed
	default:
	}
	return err
}

// brokerCode is the SQLSTATE of a broker's status.
func brokerCode(s protocol.Status) string {
	switch s {
	case protocol.Status_JOURNAL_NOT_FOUND:
		return "42P01"
	case protocol.Status_NOT_ALLOWED:
		return "25006"
	case protocol.Status_NO_JOURNAL_PRIMARY_BROKER, protocol.Status_INSUFFICIENT_JOURNAL_BROKERS, protocol.Status_SUSPENDED:
		return "57P03"
	default:
		return "58000"
	}
}

// brokerHint is what to do about what a broker answered, if it is that nobody serves a journal.
func brokerHint(e *protocol.StatusError) string {
	switch {
	case e.Status != protocol.Status_NO_JOURNAL_PRIMARY_BROKER && e.Status != protocol.Status_INSUFFICIENT_JOURNAL_BROKERS:
		return ""
	case e.Detail != "": // a broker tells what there is too little of
		return "Raise --broker.limit of the brokers, or start another one; or drop tables that aren't needed."
	default:
		return "Its brokers are starting, or were lost. Try again in a moment; if that lasts, see that all brokers run."
	}
}

func isWire(err error) bool {
	_, ok := errors.AsType[*pgwire.Error](err)
	return ok
}

// simpleExecution runs to its end at once, without rows.
type simpleExecution func(ctx context.Context, w pgwire.ResultWriter) error

func (e simpleExecution) run(ctx context.Context, w pgwire.ResultWriter, _ int) (bool, error) {
	return true, e(ctx, w)
}

func (e simpleExecution) close() {}

// utility is a statement without parameters that runs to its end at once.
func (s *session) utility(columns []pgwire.Column, run simpleExecution) *statement {
	return &statement{
		session: s, columns: columns,
		begin: func(context.Context, *columnar.Batch) (execution, error) { return run, nil },
	}
}
