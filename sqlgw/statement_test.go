package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// TestStatementErrors: what fails below a statement reaches the client with a SQLSTATE.
func TestStatementErrors(t *testing.T) {
	late, cancel := context.WithCancelCause(t.Context())
	cancel(errTimeout)
	other := errors.New("something else")
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		code string
	}{
		"a journal that is gone":    {t.Context(), fmt.Errorf("cut: %w", protocol.Status_JOURNAL_NOT_FOUND.Err()), "42P01"},
		"a journal without primary": {t.Context(), fmt.Errorf("cut: %w", protocol.Status_NO_JOURNAL_PRIMARY_BROKER.Err()), "57P03"},
		"a journal for reading":     {t.Context(), protocol.Status_NOT_ALLOWED.Err(), "25006"},
		"another status":            {t.Context(), protocol.Status_FRAGMENT_STORE_UNHEALTHY.Err(), "58000"},
		"no broker":                 {t.Context(), fmt.Errorf("fragments: %w", status.Error(codes.Unavailable, "refused")), "57P03"},
		"a broker's disk":           {t.Context(), fmt.Errorf("cut: %w", status.Error(codes.Internal, "spool failed")), "58000"},
		"rows that were removed":    {t.Context(), fmt.Errorf("scan: %w", &client.OffsetJumpError{Journal: "a/b", From: 7, To: 9}), "72000"},
		"the engine":                {t.Context(), &duck.Error{SQLSTATE: "22003", Message: "too large"}, "22003"},
		"a series that is too long": {t.Context(), &duck.Error{SQLSTATE: "22023", Raw: "Invalid Input Error: generate_series would make more than 10000 values at once"}, "54000"},
		"the timeout":               {late, context.Canceled, "57014"},
		"an outcome unknown":        {late, &pgwire.Error{Code: "40003"}, "40003"},
	} {
		var e *pgwire.Error
		require.ErrorAs(t, statementError(c.ctx, c.err), &e, name)
		require.Equal(t, c.code, e.Code, name)
	}
	require.Equal(t, other, statementError(t.Context(), other))
}

// TestWhatToDoAboutBrokers: who meets a journal that nobody serves is told what to do, by reading and by writing.
func TestWhatToDoAboutBrokers(t *testing.T) {
	lacking := &protocol.StatusError{Status: protocol.Status_NO_JOURNAL_PRIMARY_BROKER, Journal: "j", Detail: "no broker has room"}
	for _, c := range []struct {
		err  *protocol.StatusError
		hint string
	}{
		{lacking, "Raise --broker.limit"},
		{&protocol.StatusError{Status: protocol.Status_NO_JOURNAL_PRIMARY_BROKER}, "Try again in a moment"},
		{&protocol.StatusError{Status: protocol.Status_INSUFFICIENT_JOURNAL_BROKERS}, "Try again in a moment"},
	} {
		for _, err := range []error{statementError(t.Context(), fmt.Errorf("cut: %w", c.err)), appendError("table", c.err)} {
			var e *pgwire.Error
			require.ErrorAs(t, err, &e)
			require.Contains(t, e.Hint, c.hint)
			require.Contains(t, e.Message, c.err.Error())
		}
	}
	var e *pgwire.Error
	require.ErrorAs(t, appendError("table", protocol.Status_NOT_ALLOWED.Err()), &e)
	require.Empty(t, e.Hint)
}
