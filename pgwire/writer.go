package pgwire

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
)

const (
	// flushAt is the size at which the buffer is sent.
	flushAt = 32 << 10
	// bufferSize is the capacity of a new buffer: some rows fit behind flushAt.
	bufferSize = 40 << 10
	// keep is the largest buffer that is used again.
	keep = 128 << 10
)

// pool has the buffers of those writers that have something to send.
type pool struct{ buffers sync.Pool }

func newPool() *pool {
	return &pool{sync.Pool{New: func() any {
		b := make([]byte, 0, bufferSize)
		return &b
	}}}
}

// writer builds messages in one buffer and sends it. What it sends are whole messages: one
// that was begun and not ended is dropped by the next.
//
// A write that failed for good leaves err: nothing is taken or sent any more. One that was
// interrupted leaves blocked, and what wasn't sent in the buffer: nothing is sent until
// resume.
type writer struct {
	dst  io.Writer
	why  func(error) error // tells what an error of dst means; errGone is for good
	pool *pool

	buf   []byte
	from  *[]byte // what buf was taken from the pool as
	start int     // where the unfinished message begins,
	open  bool    // if there is one

	err     error
	blocked error
}

// begin starts a message; end completes it.
func (w *writer) begin(kind byte) {
	if w.buf == nil {
		w.from = w.pool.buffers.Get().(*[]byte)
		w.buf = (*w.from)[:0]
	}
	w.drop()
	w.start, w.open = len(w.buf), true
	w.buf = append(w.buf, kind, 0, 0, 0, 0)
}

func (w *writer) end() {
	binary.BigEndian.PutUint32(w.buf[w.start+1:], uint32(len(w.buf)-w.start-1))
	w.open = false
	if w.err != nil {
		w.buf = w.buf[:0]
	}
}

// drop forgets the unfinished message.
func (w *writer) drop() {
	if w.open {
		w.buf, w.open = w.buf[:w.start], false
	}
}

// size of the unfinished message.
func (w *writer) size() int { return len(w.buf) - w.start }

func (w *writer) byte(b byte)    { w.buf = append(w.buf, b) }
func (w *writer) int16(v int)    { w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(v)) }
func (w *writer) int32(v uint32) { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }

// cstr appends a string as clients can take it: UTF-8, and no zero but the last.
func (w *writer) cstr(s string) {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", `\0`)
	}
	w.buf = append(append(w.buf, strings.ToValidUTF8(s, "\uFFFD")...), 0)
}

func (w *writer) message(kind byte) {
	w.begin(kind)
	w.end()
}

// flushFull sends the buffer if it is full.
func (w *writer) flushFull() error {
	if len(w.buf) >= flushAt {
		return w.flush()
	}
	return cmp.Or(w.err, w.blocked)
}

// flush sends the buffer, unless a message is unfinished.
func (w *writer) flush() error {
	if err := cmp.Or(w.err, w.blocked); err != nil || w.open || len(w.buf) == 0 {
		return err
	}
	n, err := w.dst.Write(w.buf)
	rest := copy(w.buf, w.buf[n:])
	w.buf = w.buf[:rest]
	if err != nil {
		if err = w.why(err); errors.Is(err, errGone) {
			w.err, w.buf = err, w.buf[:0]
		} else {
			w.blocked = err
		}
	}
	if len(w.buf) == 0 && cap(w.buf) > keep {
		w.buf, w.from = nil, nil
	}
	return err
}

// resume sends again, after an interruption is over.
func (w *writer) resume() { w.blocked = nil }

// release gives the buffer back while there is nothing to send.
func (w *writer) release() {
	if w.buf == nil || len(w.buf) > 0 {
		return
	}
	*w.from = w.buf
	w.pool.buffers.Put(w.from)
	w.buf, w.from = nil, nil
}

func (w *writer) tag(text string) {
	w.begin('C')
	w.cstr(text)
	w.end()
}

func (w *writer) parameter(name, value string) {
	w.begin('S')
	w.cstr(name)
	w.cstr(value)
	w.end()
}

func (w *writer) readyForQuery(status byte) {
	w.begin('Z')
	w.byte(status)
	w.end()
}

func (w *writer) error(e *Error)  { w.report('E', cmp.Or(e.Severity, "ERROR"), e) }
func (w *writer) notice(e *Error) { w.report('N', cmp.Or(e.Severity, "NOTICE"), e) }

func (w *writer) report(kind byte, severity string, e *Error) {
	code := e.Code
	if len(code) != 5 {
		code = "XX000"
		if kind == 'N' {
			code = "00000"
		}
	}
	w.begin(kind)
	w.field('S', severity)
	w.field('V', severity)
	w.field('C', code)
	w.field('M', cmp.Or(e.Message, "unknown error"))
	w.field('D', e.Detail)
	w.field('H', e.Hint)
	if e.Position > 0 {
		w.field('P', strconv.Itoa(e.Position))
	}
	w.field('W', e.Where)
	w.field('s', e.Schema)
	w.field('t', e.Table)
	w.field('c', e.Column)
	w.field('d', e.DataType)
	w.field('n', e.Constraint)
	w.byte(0)
	w.end()
}

// field appends a field of an error or notice, if it has a value.
func (w *writer) field(kind byte, value string) {
	if value != "" {
		w.byte(kind)
		w.cstr(value)
	}
}

func (w *writer) parameterDescription(oids []uint32) {
	w.begin('t')
	w.int16(len(oids))
	for _, o := range oids {
		w.int32(o)
	}
	w.end()
}

// maxColumns is what the count of a message holds, for clients that read it as signed.
const maxColumns = 1<<15 - 1

// rowDescription describes rows, or says that there are none.
func (w *writer) rowDescription(cols []Column, f formats) error {
	if cols == nil {
		w.message('n')
		return nil
	}
	if len(cols) > maxColumns {
		return &Error{Code: "54011", Message: "rows can have at most " + strconv.Itoa(maxColumns) + " columns"}
	}
	w.begin('T')
	w.int16(len(cols))
	for i, c := range cols {
		w.cstr(c.Name)
		w.int32(c.TableOID)
		w.int16(int(c.AttrNum))
		w.int32(c.TypeOID)
		w.int16(int(c.TypeSize))
		w.int32(uint32(c.TypeMod))
		w.int16(int(f.of(i)))
	}
	w.end()
	return nil
}
