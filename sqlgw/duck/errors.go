package duck

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The errors that callers decide on.
var (
	// ErrClosed is returned by what was closed, or whose connection or instance was.
	ErrClosed = errors.New("duck: closed")
	// ErrBusy is returned when a connection is used while another call on it runs or while
	// rows of it are open. Use another connection, or close the rows.
	ErrBusy = errors.New("duck: connection is busy")
)

// Class is DuckDB's own name of a kind of error.
type Class string

// The classes that callers decide on; the others are passed on under DuckDB's name.
const (
	ClassParser      Class = "Parser"
	ClassBinder      Class = "Binder"
	ClassCatalog     Class = "Catalog"
	ClassConversion  Class = "Conversion"
	ClassOutOfMemory Class = "Out of Memory"
	ClassInterrupt   Class = "INTERRUPT"
	ClassPermission  Class = "Permission"
	// ClassFatal means that the instance answers nothing any more: end the process.
	ClassFatal Class = "FATAL"
	// ClassInternal is a failed check inside DuckDB; the instance refuses everything after it.
	ClassInternal Class = "INTERNAL"
	// ClassUnsupported is this package's: DuckDB can, but the door doesn't.
	ClassUnsupported Class = "Unsupported"
)

// Error is a statement's failure as DuckDB reports it. Message names no file, no
// other object's name and no text of the statement, so that it can be shown to whoever
// sent the statement; Raw is what DuckDB said, for the server's log only.
type Error struct {
	Class    Class
	Message  string
	SQLSTATE string
	// Position is the byte in the statement's text, from 0, or -1 if not known.
	Position int
	Raw      string
}

func (e *Error) Error() string { return e.Message }

// PanicError is a panic in a scan's Go code, turned into the query's error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprint("panic: ", e.Value) }

// unsupported returns this package's own refusals.
func unsupported(format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{Class: ClassUnsupported, Message: message, SQLSTATE: "0A000", Position: -1, Raw: message}
}

// outOfMemory is the error of a process that has no memory left, where DuckDB doesn't say so: it had none for the words, or says
// that of something that it was about to say.
func outOfMemory(raw string) *Error {
	return &Error{Class: ClassOutOfMemory, Message: "out of memory", SQLSTATE: "53200", Position: -1, Raw: raw}
}

// report is an error as DuckDB writes it under errors_as_json.
type report struct {
	Type     Class  `json:"exception_type"`
	Message  string `json:"exception_message"`
	Subtype  string `json:"error_subtype"`
	Position string `json:"position"`
	Object   string `json:"type"` // of what is missing or exists already
}

// parseReport reads DuckDB's text, which some paths write as JSON behind a prefix,
// and some plainly as "Type Error: message".
func parseReport(raw string) report {
	var r report
	if i := strings.Index(raw, `{"exception_type"`); i >= 0 && json.Unmarshal([]byte(raw[i:]), &r) == nil {
		return r
	}
	if class, message, ok := strings.Cut(raw, " Error: "); ok && len(class) < 40 {
		return report{Type: Class(class), Message: message}
	}
	return report{Type: ClassInternal, Message: raw}
}

// scrubber takes out of messages what isn't the client's to know.
type scrubber struct {
	paths map[string]string // directory -> what is said instead of a path under it
}

// newError makes an Error of DuckDB's text.
func (s scrubber) newError(raw string) *Error {
	if raw == "" || strings.Contains(raw, "std::bad_alloc") {
		return outOfMemory(raw)
	}
	r := parseReport(raw)
	e := &Error{Class: r.Type, Message: s.scrub(r.Message), SQLSTATE: sqlState(r), Position: -1, Raw: raw}
	if p, err := strconv.Atoi(r.Position); err == nil {
		e.Position = p
	}
	if after, ok := strings.CutPrefix(e.Message, raisedPrefix); ok { // what the statement raised itself
		if state, message, ok := strings.Cut(after, ": "); ok {
			e.SQLSTATE, e.Message = state, message
		}
	}
	return e
}

// advice begins the parts of messages that name other objects, settings, or
// the statement's text, which isn't the one that the client sent.
func advice() []string {
	return []string{
		"\n\nLINE ", "\nDid you mean", "\n\nDid you mean", "\nPossible solutions", "\n\nPossible solutions", " Try setting ",
		"  Try increasing", " Try auto-detecting", "\nIf this error", "  If this error", "\n\nUse \"SET ", "\n* ", " - file system operations are disabled",
		"\n\tCandidate functions", "\nCandidate tables", "\n\nCandidate time zones", "\nCandidate bindings", "\n\nCandidate bindings", "\nEither add it", "\nUnused blocks", "\nPlease make sure", "\nDatabase is launched", "\nThis limit was set by",
	}
}

func (s scrubber) scrub(message string) string {
	for _, a := range advice() {
		if i := strings.Index(message, a); i > 0 {
			message = message[:i]
		}
	}
	for dir, instead := range s.paths {
		message = replacePaths(message, dir, instead)
	}
	return strings.TrimRight(message, "\n ")
}

// replacePaths replaces every path that begins with dir.
func replacePaths(message, dir, instead string) string {
	var out strings.Builder
	for {
		i := strings.Index(message, dir)
		if i < 0 {
			out.WriteString(message)
			return out.String()
		}
		rest := message[i+len(dir):]
		end := strings.IndexAny(rest, "\"'\n")
		if end < 0 {
			end = len(rest)
		}
		out.WriteString(message[:i])
		out.WriteString(instead)
		message = rest[end:]
	}
}
