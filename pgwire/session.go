package pgwire

import "context"

// Backend opens a session for a connection whose startup succeeded.
type Backend interface {
	Open(ctx context.Context, s Startup) (Session, error)
}

// Startup is what a client said when it connected.
type Startup struct {
	User, Database string
	// Parameters are the other startup parameters, as sent: application_name,
	// client_encoding, options, ...
	Parameters map[string]string
	// PID names the session to cancel requests and in pg_stat_activity.
	PID uint32
	// Params lets the session report the settings that clients are told of.
	Params ParameterSink
}

// ParameterSink sends ParameterStatus messages: at once during startup, otherwise
// before the next ReadyForQuery.
type ParameterSink interface {
	SetParameter(name, value string)
}

// Session executes the statements of one connection. Calls never overlap. The
// context of a call ends when the client cancels it or goes away.
type Session interface {
	// Parse splits text into its statements. The simple protocol runs them in turn;
	// the extended protocol allows one, or none for an empty text.
	Parse(ctx context.Context, sql string, paramOIDs []uint32) ([]Statement, error)
	// TxStatus is 'I', 'T' or 'E', reported with ReadyForQuery.
	TxStatus() byte
	// Sync ends an implicit transaction of the extended protocol.
	Sync(ctx context.Context) error
	// Close releases everything; no call is running then.
	Close()
}

// Statement is a prepared statement.
type Statement interface {
	// Params are the parameters' type OIDs.
	Params() []uint32
	// Columns describe the rows that an execution returns; nil if it returns none.
	Columns() []Column
	// Bind makes a portal. Args has a value for each parameter; a nil Data is NULL.
	Bind(ctx context.Context, args []Arg) (Portal, error)
	Close()
}

// Arg is one bound parameter.
type Arg struct {
	Binary bool
	Data   []byte
}

// Portal is an execution of a statement, perhaps in several parts.
type Portal interface {
	// Execute writes at most maxRows rows (0 is all) to w and tells whether the portal
	// is done; if it is, it has called w.Complete. It may be called again if not.
	Execute(ctx context.Context, w ResultWriter, maxRows int) (bool, error)
	Close()
}

// Column of a result.
type Column struct {
	Name     string
	TableOID uint32
	AttrNum  int16
	TypeOID  uint32
	TypeSize int16 // -1 is variable
	TypeMod  int32 // -1 is none
}

// ResultWriter takes what an execution produces. Rows stay in a bounded buffer
// that is sent when full, on Flush, and when the server waits for the client.
type ResultWriter interface {
	RowSink
	CopySink
}

// RowSink takes rows and the end of a statement.
type RowSink interface {
	// Binary tells in which format the client wants column i.
	Binary(i int) bool
	// Row starts a DataRow of n columns. Append the columns in order with the returned
	// RowWriter, then End.
	Row(n int) RowWriter
	// Flush sends what is buffered. It fails when the client is gone.
	Flush() error
	// Notice sends a NoticeResponse.
	Notice(e *Error)
	// Complete sends CommandComplete with a tag such as "SELECT 3".
	Complete(tag string)
	// Empty sends EmptyQueryResponse.
	Empty()
}

// CopySink moves the data of COPY.
type CopySink interface {
	// CopyOut begins a COPY TO STDOUT of n columns; CopyData then sends one CopyData
	// message; EndCopyOut sends CopyDone.
	CopyOut(n int, binary bool) error
	CopyData(p []byte) error
	EndCopyOut() error
	// CopyIn begins a COPY FROM STDIN of n columns and returns the client's data. Reading
	// yields io.EOF at CopyDone and a CopyFailError at CopyFail.
	CopyIn(n int, binary bool) (CopyReader, error)
}

// RowWriter appends the columns of one row, each by Null, or by Begin, appending to the
// slice that it returns, and Put with the result.
type RowWriter interface {
	Null()
	Begin() []byte
	Put(dst []byte)
	// End completes the row; it sends the buffer if it is full.
	End() error
}

// CopyReader reads the payload of CopyData messages.
type CopyReader interface {
	Read(p []byte) (int, error)
}
