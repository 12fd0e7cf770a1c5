package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/staging"
)

// appendWhole appends the whole of a body, which can be rewound, to a journal.
type appendWhole func(ctx context.Context, journal string, body io.Reader) error

// appendParams of the session's appends to a journal.
func (s *session) appendParams(journal string) client.AppendParams {
	_, level, _ := s.settings.get("synchronous_commit") // It is a setting.
	return client.AppendParams{Journal: journal, Synced: ofDisk(level)}
}

func (s *session) appendWhole(ctx context.Context, journal string, body io.Reader) error {
	r, err := s.gateway.cfg.Brokers.Append(ctx, s.appendParams(journal), body)
	if err == nil {
		s.writes(journal, r)
	}
	return err
}

// appendStage appends what a transaction has staged: to one journal after the other, in the order of
// their names. If one fails after another was made, or its outcome isn't known, the error is
// 40003 and names the journals.
func appendStage(ctx context.Context, stage *staging.Stage, to appendWhole) error {
	journals := stage.Journals()
	for i, journal := range journals {
		content := stage.Snapshot(journal)
		err := to(ctx, journal, content.Open())
		content.Close()
		if err == nil {
			continue
		}
		made, rest, unknown := journals[:i], journals[i+1:], journal
		if !errors.Is(err, client.ErrUnknownOutcome) {
			rest, unknown = journals[i:], ""
		}
		if unknown == "" && len(made) == 0 {
			return appendError("commit", err)
		}
		return unknownOutcome("transaction", made, unknown, rest, err)
	}
	return nil
}

// unknownOutcome is the error of what may have been made in part.
func unknownOutcome(what string, made []string, unknown string, rest []string, cause error) *pgwire.Error {
	var detail []string
	add := func(what string, names []string) {
		if len(names) > 0 {
			detail = append(detail, what+": "+strings.Join(names, ", "))
		}
	}
	add("appended to", made)
	if unknown != "" {
		add("unknown whether appended to", []string{unknown})
	}
	add("not appended to", rest)
	return &pgwire.Error{
		Code: codeUnknownOutcome, Message: fmt.Sprintf("the outcome of the %s is not known: %v", what, cause),
		Detail: strings.Join(detail, "; ") + ".",
		Hint:   "Look whether the rows are there before you repeat it.",
	}
}

// appendError is the error of an append that certainly left nothing behind.
func appendError(what string, err error) error {
	if e, ok := errors.AsType[*protocol.StatusError](err); ok {
		return hinted(sqlError(brokerCode(e.Status), "%s: %v", what, err), brokerHint(e))
	}
	if st := status.Convert(err); isDiskFull(st) {
		return hinted(sqlError("53100", "%s: a broker's disk is full: %s", what, st.Message()), "Make room on the disk of the broker.")
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isDiskFull tells whether a broker had no room: it says so by the code, which others say too, and in the
// operating system's words.
func isDiskFull(st *status.Status) bool {
	return st.Code() == codes.ResourceExhausted &&
		(strings.Contains(st.Message(), syscall.ENOSPC.Error()) || strings.Contains(st.Message(), syscall.EDQUOT.Error()))
}

// stagedAppender appends to a journal when the transaction commits.
type stagedAppender struct {
	stage   *staging.Stage
	journal string
}

func (a stagedAppender) Write(p []byte) (int, error) {
	if err := a.stage.Append(a.journal, p); err != nil {
		return 0, stageError(err)
	}
	return len(p), nil
}

// Commit leaves it to the transaction.
func (a stagedAppender) Commit() (*protocol.AppendResponse, error) { return nil, nil }

// Abort leaves it to the transaction too, which has failed: what is staged is dropped by its end, or goes
// back to a savepoint.
func (a stagedAppender) Abort() {}

// stageError is why a stage took no more.
func stageError(err error) error {
	const hint = "Commit in smaller parts, or write in a statement by itself, outside of a transaction block and by the simple protocol."
	switch {
	case errors.Is(err, staging.ErrFull), errors.Is(err, staging.ErrBudget):
		return hinted(sqlError("53400", "%v", err), hint)
	case errors.Is(err, syscall.ENOSPC):
		return hinted(sqlError("53100", "no room for what the transaction is to append: %v", err), hint)
	default:
		return err
	}
}

// openAppend begins an append of a statement, which is made with the transaction unless the
// statement is one by itself.
func (s *session) openAppend(ctx context.Context, journal string) (appender, error) {
	if s.inTransaction().direct {
		a, err := s.gateway.openAppend(ctx, s.appendParams(journal))
		if err != nil {
			return nil, err
		}
		return notedAppender{appender: a, journal: journal, session: s}, nil
	}
	stage, err := s.stage()
	if err != nil {
		return nil, err
	}
	return stagedAppender{stage: stage, journal: journal}, nil
}
