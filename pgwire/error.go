package pgwire

import "errors"

// Error is an error or notice as Postgres reports it. Sessions return it (or wrap
// it); any other error reaches the client as XX000 with its text.
type Error struct {
	Severity   string // ERROR, FATAL, WARNING, NOTICE; "" is ERROR
	Code       string // SQLSTATE
	Message    string
	Detail     string
	Hint       string
	Position   int // 1-based character position in the statement, 0 is none
	Where      string
	Schema     string
	Table      string
	Column     string
	DataType   string
	Constraint string
}

func (e *Error) Error() string { return e.Message + " (SQLSTATE " + e.Code + ")" }

// CopyFailError is the end of a COPY FROM STDIN that the client gave up.
type CopyFailError struct{ Message string }

func (e *CopyFailError) Error() string { return "COPY from stdin failed: " + e.Message }

// Causes with which the context of a call ends, and reasons for the end of a session.
var (
	errCancelled = &Error{Code: "57014", Message: "canceling statement due to user request"}
	errTooSlow   = &Error{Severity: "FATAL", Code: "57014", Message: "canceling authentication due to timeout"}
	errShutdown  = &Error{
		Severity: "FATAL", Code: "57P01",
		Message: "terminating connection due to administrator command",
	}
	errPanicked = &Error{
		Severity: "FATAL", Code: "XX000", Message: "the session ended by an internal error",
		Hint: "The server's log has more.",
	}
	errGone      = errors.New("the client is gone")
	errTerminate = errors.New("the client said goodbye")
	errWoken     = errors.New("the connection was woken")
)

// asError returns the *Error in err, or makes one of it.
func asError(err error) *Error {
	if fail, ok := errors.AsType[*CopyFailError](err); ok {
		return &Error{Code: "57014", Message: fail.Error()}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		copied := *e
		return &copied
	}
	return &Error{Code: "XX000", Message: err.Error()}
}

// fatal tells whether a session ends by err.
func fatal(err error) bool {
	if errors.Is(err, errGone) || errors.Is(err, errTerminate) {
		return true
	}
	e, ok := errors.AsType[*Error](err)
	return ok && e.Severity == "FATAL"
}

// violation is an error that ends the session: the client doesn't speak the protocol.
func violation(text string) *Error {
	return &Error{Severity: "FATAL", Code: "08P01", Message: text}
}

// malformed is an error in a message after which the next one can be read.
func malformed(text string) error { return &Error{Code: "08P01", Message: text} }
