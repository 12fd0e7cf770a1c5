package pgwire

import (
	"cmp"
	"encoding/binary"
	"net"
)

// flushAt is the size at which the buffer is sent.
const flushAt = 32 << 10

// keep is the largest buffer that is kept after it was sent.
const keep = 256 << 10

// writer builds messages in one buffer. After a write failed it takes no more.
type writer struct {
	nc  net.Conn
	buf []byte
	err error

	msg int // where the length of the message being built stands
}

// begin starts a message; end completes it.
func (w *writer) begin(kind byte) {
	w.buf = append(w.buf, kind)
	w.msg = len(w.buf)
	w.buf = append(w.buf, 0, 0, 0, 0)
}

func (w *writer) end() {
	binary.BigEndian.PutUint32(w.buf[w.msg:], uint32(len(w.buf)-w.msg))
}

func (w *writer) byte(b byte)     { w.buf = append(w.buf, b) }
func (w *writer) int16(v int)     { w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(v)) }
func (w *writer) int32(v uint32)  { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }
func (w *writer) cstr(s string)   { w.buf = append(append(w.buf, s...), 0) }
func (w *writer) message(k byte)  { w.begin(k); w.end() }
func (w *writer) full() bool      { return len(w.buf) >= flushAt }
func (w *writer) tag(text string) { w.begin('C'); w.cstr(text); w.end() }

// flush sends the buffer.
func (w *writer) flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	_, w.err = w.nc.Write(w.buf)
	if cap(w.buf) > keep {
		w.buf = nil
	}
	w.buf = w.buf[:0]
	return w.err
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
	w.begin(kind)
	field := func(k byte, v string) {
		if v != "" {
			w.byte(k)
			w.cstr(v)
		}
	}
	field('S', severity)
	field('V', severity)
	field('C', cmp.Or(e.Code, "XX000"))
	field('M', cmp.Or(e.Message, "unknown error"))
	field('D', e.Detail)
	field('H', e.Hint)
	if e.Position > 0 {
		field('P', itoa(e.Position))
	}
	field('W', e.Where)
	field('s', e.Schema)
	field('t', e.Table)
	field('c', e.Column)
	w.byte(0)
	w.end()
}

func (w *writer) parameterDescription(oids []uint32) {
	w.begin('t')
	w.int16(len(oids))
	for _, o := range oids {
		w.int32(o)
	}
	w.end()
}

// rowDescription describes rows, or says that there are none.
func (w *writer) rowDescription(cols []Column, formats formats) {
	if cols == nil {
		w.message('n')
		return
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
		w.int16(int(formats.of(i)))
	}
	w.end()
}

// formats are the format codes of columns or parameters, as a Bind message has them:
// none is all text, one is for all.
type formats []int16

func (f formats) of(i int) int16 {
	switch len(f) {
	case 0:
		return 0
	case 1:
		return f[0]
	default:
		return f[i]
	}
}

// valid tells whether the codes are known and their number fits n columns.
func (f formats) valid(n int) bool {
	if len(f) > 1 && len(f) != n {
		return false
	}
	for _, c := range f {
		if c != 0 && c != 1 {
			return false
		}
	}
	return true
}
