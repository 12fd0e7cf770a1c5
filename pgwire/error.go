package pgwire

// Error is an error or notice as Postgres reports it. Sessions return it (or wrap
// it); any other error reaches the client as XX000 with its text.
type Error struct {
	Severity string // ERROR, FATAL, WARNING, NOTICE; "" is ERROR
	Code     string // SQLSTATE
	Message  string
	Detail   string
	Hint     string
	Position int // 1-based character position in the statement, 0 is none
	Where    string
	Schema   string
	Table    string
	Column   string
}

func (e *Error) Error() string { return e.Message + " (SQLSTATE " + e.Code + ")" }
