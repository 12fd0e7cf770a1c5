package pgwire

import (
	"context"
	"time"
)

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
	// Peer is where the client comes from, and how it has proved to be the User.
	Peer Peer
	// Params lets the session report the settings that clients are told of.
	Params ParameterSink
	// Names are the connection's prepared statements and portals.
	Names Names
	// Line lets others reach the session.
	Line Line
}

// ParameterSink sends ParameterStatus messages, for values that the client doesn't know
// yet: when the session was opened, and later before the next ReadyForQuery.
type ParameterSink interface {
	SetParameter(name, value string)
}

// Line lets others reach a session: its methods may be called at any time, by any goroutine, also
// after the session has ended.
type Line interface {
	// Cancel ends the call that runs, as a cancel request does.
	Cancel()
	// End ends the session, which tells its client why.
	End(reason *Error)
	// Wake makes the server ask the session for its Notifications as soon as it may be asked.
	Wake()
}

// Names are the prepared statements and portals of a connection. Messages of the protocol make, use
// and close them; the session may do so too, during its calls, because PREPARE and EXECUTE,
// DECLARE and FETCH are about the same ones. All count against the server's limits.
type Names interface {
	// Statement of a name; the error is 26000 if there is none.
	Statement(name string) (Statement, error)
	// AddStatement takes a statement for which the client sent size bytes. If it fails, it is
	// closed already.
	AddStatement(name string, s Statement, size int) error
	// DropStatement closes a statement, and tells whether there was one.
	DropStatement(name string) bool
	// DropStatements closes all but the unnamed one.
	DropStatements()
	// Portal of a name; the error is 34000 if there is none.
	Portal(name string) (Portal, error)
	// AddPortal takes a portal that has these columns, and for which the client sent size bytes. With
	// hold it isn't closed when the transaction ends. If it fails, it is closed already.
	AddPortal(name string, p Portal, columns []Column, hold bool, size int) error
	// DropPortals closes the portals that which chooses, but for the one that is running, and
	// returns how many.
	DropPortals(which func(name string, p Portal) bool) int
}

// Notification is a message from another session, or from this one.
type Notification struct {
	PID              uint32 // of who sent it
	Channel, Payload string
}

// Session executes the statements of one connection. Calls never overlap. The context of a
// call ends when the client cancels it or goes away, or the server stops; the cause is then
// what the client is to be told, if it still is there: a call may return it, or its own
// error. A panic ends the session, whose Close is then called as ever.
type Session interface {
	// Parse splits text, which is UTF-8 without zeros, into its statements. The simple
	// protocol runs them in turn, and has no paramOIDs: they are nil. The extended protocol allows
	// one statement, or none for an empty text.
	Parse(ctx context.Context, sql string, paramOIDs []uint32) ([]Statement, error)
	// TxStatus is 'I', 'T' or 'E', reported with ReadyForQuery. With 'I', portals are closed.
	TxStatus() byte
	// Sync ends an implicit transaction: at the end of a simple query that didn't fail, and at Sync.
	Sync(ctx context.Context) error
	// Failed is called when the client was told of an error, whoever found it: the transaction
	// has failed.
	Failed()
	// Patience is how long the session waits for its client, from a ReadyForQuery to the next
	// message, and the reason for which it ends then. Zero is for ever.
	Patience() (time.Duration, *Error)
	// Notifications are taken before each ReadyForQuery, and after Wake; both only with a
	// TxStatus of 'I', and between two cycles of the protocol.
	Notifications() []Notification
	// Close releases everything; no call is running then.
	Close()
}

// Statement is a prepared statement.
type Statement interface {
	// Params are the parameters' type OIDs.
	Params() []uint32
	// Columns describe the rows that an execution returns; nil if it returns none. The
	// simple protocol asks for them after Bind.
	Columns() []Column
	// Bind makes a portal. Args has a value for each parameter; a nil Data is NULL.
	Bind(ctx context.Context, args []Arg) (Portal, error)
	// Close is called after that of the last of its portals.
	Close()
}

// Arg is one bound parameter. If it isn't Binary, it is UTF-8 without zeros. Data is valid
// until Bind returns.
type Arg struct {
	Binary bool
	Data   []byte
}

// Portal is an execution of a statement, perhaps in several parts.
type Portal interface {
	// Execute writes at most maxRows rows (0 is all) to w and tells whether the portal
	// is done; if it is, it has called w.Complete. It may be called again if not, which a
	// limit only allows for. Clients take fewer rows than the limit for the end.
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

// ResultWriter takes what an execution produces, until Execute returns. Rows stay in a
// bounded buffer that is sent when full, on Flush, and when the server waits for the client.
// An execution in which a method failed fails, whatever Execute returns.
type ResultWriter interface {
	RowSink
	CopySink
}

// RowSink takes rows and the end of a statement.
type RowSink interface {
	// Binary tells in which format the client wants column i.
	Binary(i int) bool
	// Row starts a DataRow of n columns, as many as were described. Append the columns in
	// order with the returned RowWriter, then End.
	Row(n int) RowWriter
	// Flush sends what is buffered, up to the last End. It fails when the client is gone,
	// and when the call is cancelled while the client doesn't read.
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
	// yields io.EOF at CopyDone and a CopyFailError at CopyFail; one of them has to be read
	// before Complete. It ends with the call's context.
	CopyIn(n int, binary bool) (CopyReader, error)
}

// RowWriter appends the columns of one row, each by Null, or by Begin, appending to the
// slice that it returns, and Put with the result. No other method of the ResultWriter may
// come between Begin and Put. A row that isn't ended is not sent.
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
