package pgwire

import (
	"encoding/binary"
	"fmt"
)

// result is the ResultWriter of one execution. It holds the session to its contract: the
// first thing that goes wrong makes the execution fail, whatever the session returns.
type result struct {
	c       *conn
	formats formats
	columns int // that were described, -1 is no rows
	limit   int // of rows, 0 is none

	rows    int
	tag     string // of Complete
	done    bool   // Complete or Empty was called
	copying copying
	row     rowWriter
	waiting []*Error // notices that came in the middle of a row
	failed  error
}

// copying is what an execution has begun and not ended.
type copying int

const (
	notCopying copying = iota
	copyingOut
	copyingIn
)

func (c *conn) newResult(columns []Column, f formats, limit int) *result {
	r := &result{c: c, formats: f, columns: -1, limit: limit}
	if columns != nil {
		r.columns = len(columns)
	}
	r.row.r, r.row.w = r, &c.out
	return r
}

// fail notes that the execution failed, unless it did before.
func (r *result) fail(err error) error {
	if r.failed == nil {
		r.failed = err
	}
	return err
}

// breach notes that the session broke its contract.
func (r *result) breach(format string, args ...any) error {
	return r.fail(&Error{Code: "XX000", Message: "the session broke its contract: " + fmt.Sprintf(format, args...)})
}

// outcome is the error of an execution that returned done and err.
func (r *result) outcome(done bool, err error) error {
	r.c.out.drop()
	r.sendWaiting()
	switch {
	case err != nil && !fatal(r.failed):
		return err
	case r.failed != nil:
		return r.failed
	case done && !r.done:
		return r.breach("the statement is done without a tag")
	case !done && r.done:
		return r.breach("the statement is complete, and yet not done")
	case !done && r.limit == 0:
		return r.breach("the statement stopped without a limit")
	default:
		return nil
	}
}

// Binary tells in which format the client wants column i.
func (r *result) Binary(i int) bool { return r.formats.of(i) == 1 }

// Row starts a row.
func (r *result) Row(n int) RowWriter {
	w := &r.c.out
	if w.open {
		_ = r.breach("a row was begun before the last one ended")
	}
	w.begin('D')
	w.int16(n)
	r.row.declared, r.row.got, r.row.tooLong = n, 0, 0
	return &r.row
}

// Flush sends what is buffered.
func (r *result) Flush() error {
	if err := r.c.out.flush(); err != nil {
		return r.fail(err)
	}
	return nil
}

// Notice sends a notice, after the row that is being built.
func (r *result) Notice(e *Error) {
	if r.c.out.open {
		r.waiting = append(r.waiting, e)
		return
	}
	if r.c.out.blocked == nil {
		r.c.out.notice(e)
		_ = r.c.out.flushFull() // fails again when it matters
	}
}

func (r *result) sendWaiting() {
	waiting := r.waiting
	r.waiting = nil
	for _, e := range waiting {
		r.Notice(e)
	}
}

// Complete ends the execution with a tag.
func (r *result) Complete(tag string) {
	if r.finish() {
		r.tag = tag
		r.c.out.tag(tag)
		_ = r.c.out.flushFull() // fails again when it matters
	}
}

// Empty ends the execution of nothing.
func (r *result) Empty() {
	if r.finish() {
		r.c.out.message('I')
	}
}

// finish tells whether the execution can end here.
func (r *result) finish() bool {
	switch {
	case r.done:
		_ = r.breach("the statement completed twice")
	case r.c.out.open:
		_ = r.breach("the statement completed in the middle of a row")
	case r.copying != notCopying:
		_ = r.breach("the statement completed in the middle of a COPY")
	}
	r.done = true
	return r.failed == nil
}

// rowWriter appends columns to the row that is being built.
type rowWriter struct {
	r *result
	w *writer

	declared, got int
	at            int // where the length of the column being built stands, from the row's start
	tooLong       int // the size of the row when it was found to be, or 0
}

// rowHeader is how many bytes of a row come before its columns.
const rowHeader = 7

// Null appends a NULL.
func (r *rowWriter) Null() {
	r.got++
	r.w.int32(0xffff_ffff)
}

// Begin a column.
func (r *rowWriter) Begin() []byte {
	r.at = r.w.size()
	r.w.int32(0)
	return r.w.buf
}

// Put ends the column.
func (r *rowWriter) Put(dst []byte) {
	r.got++
	w := r.w
	w.buf = dst
	if size := w.size(); size > r.r.c.cfg.MaxRow {
		r.tooLong = size
		w.buf = w.buf[:w.start+rowHeader]
		return
	}
	binary.BigEndian.PutUint32(dst[w.start+r.at:], uint32(w.size()-r.at-4))
}

// End completes the row.
func (r *rowWriter) End() error {
	if err := r.check(); err != nil {
		r.w.drop()
		return r.r.fail(err)
	}
	r.w.end()
	r.r.rows++
	if r.r.waiting != nil {
		r.r.sendWaiting()
	}
	if err := r.w.flushFull(); err != nil {
		return r.r.fail(err)
	}
	return nil
}

// check tells why the row can't be sent.
func (r *rowWriter) check() error {
	switch res := r.r; {
	case res.failed != nil:
		return res.failed
	case r.w.blocked != nil:
		return r.w.blocked
	case r.tooLong > 0:
		return &Error{
			Code: "54000", Message: fmt.Sprintf("a row of %d bytes is too long", r.tooLong),
			Hint: fmt.Sprintf("A row may have up to %d bytes.", res.c.cfg.MaxRow),
		}
	case !r.w.open:
		return res.breach("a row ended twice")
	case res.done:
		return res.breach("a row after the end")
	case res.copying != notCopying:
		return res.breach("a row in the middle of a COPY")
	case r.declared != res.columns || r.got != r.declared:
		return res.breach("a row of %d columns has %d, where %d were described", r.declared, r.got, max(res.columns, 0))
	case res.limit > 0 && res.rows == res.limit:
		return res.breach("more rows than the limit of %d", res.limit)
	default:
		return nil
	}
}
