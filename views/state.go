package views

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// The keys of a state begin with what they are of: see docs/format/views.md.
const (
	keyShape = 0x01 // what is kept, written once
	keyEpoch = 0x02 // the last transaction
	keyRow   = 0x03 // a group's row, behind its key; or rows of a view of rows, behind their epoch and a number
	keyDelta = 0x04 // what an epoch has changed
)

// formatVersion of states, and planVersion of how queries are taken apart: a program of other ones can't go on with a state.
const (
	formatVersion = 1
	planVersion   = 1
)

// shape says what is kept.
type shape struct {
	Format  int           `json:"format"`
	Plan    int           `json:"plan"`
	Kind    string        `json:"kind"`
	Keys    int           `json:"keys"`
	Columns []shapeColumn `json:"columns"`
}

type shapeColumn struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Engine string `json:"engine"`
}

// shapeOf what a definition keeps, whose columns have types of these names in DuckDB.
func shapeOf(def *Definition, columns []columnar.Column, names []string) shape {
	s := shape{Format: formatVersion, Plan: planVersion, Kind: def.Plan.Kind.String(), Keys: def.Plan.Keys}
	for i, c := range columns {
		s.Columns = append(s.Columns, shapeColumn{c.Name, c.Type.SQL(), names[i]})
	}
	return s
}

// encode the shape, which has no way to fail.
func (s shape) encode() []byte {
	b, _ := json.Marshal(s) //nolint:errchkjson // strings and numbers
	return b
}

// errShape is of a state that isn't of the view's query, as this program takes it apart.
var errShape = errors.New("the state isn't that of the view's query: drop the view and create it again")

func (s shape) check(stored []byte) error {
	var was shape
	if err := json.Unmarshal(stored, &was); err != nil {
		return fmt.Errorf("the shape of the state: %w", err)
	}
	if was.Format != s.Format || was.Plan != s.Plan || was.Kind != s.Kind || was.Keys != s.Keys || !slices.Equal(was.Columns, s.Columns) {
		return fmt.Errorf("%w (it is %s, and would be %s)", errShape, stored, s.encode())
	}
	return nil
}

// epoch says how far a state is.
type epoch struct {
	// number of the last transaction.
	number uint64
	// half tells that it ended between two messages of one transaction of a producer: it isn't shown.
	half bool
	// rows there are.
	rows uint64
	// floor is the greatest epoch after which changes aren't known any more.
	floor uint64
}

func (e epoch) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, e.number)
	b = append(b, 0)
	if e.half {
		b[8] = 1
	}
	b = binary.AppendUvarint(b, e.rows)
	return binary.AppendUvarint(b, e.floor)
}

var errEpoch = errors.New("the state's epoch can't be read")

func decodeEpoch(b []byte) (epoch, error) {
	if len(b) < 9 || b[8] > 1 {
		return epoch{}, errEpoch
	}
	e := epoch{number: binary.BigEndian.Uint64(b), half: b[8] == 1}
	rest := b[9:]
	for _, into := range []*uint64{&e.rows, &e.floor} {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return epoch{}, errEpoch
		}
		*into, rest = v, rest[n:]
	}
	if len(rest) != 0 || e.floor > e.number || !bytes.Equal(b, e.encode()) {
		return epoch{}, errEpoch
	}
	return e, nil
}

// groupKey is the key of a group's row.
func groupKey(dst []byte, key string) []byte { return append(append(dst, keyRow), key...) }

// numbered is a key of an epoch, and of a part of it.
func numbered(kind byte, epoch uint64, part uint32) []byte {
	b := binary.BigEndian.AppendUint64([]byte{kind}, epoch)
	return binary.BigEndian.AppendUint32(b, part)
}

// numberedSize is the length of such a key.
const numberedSize = 1 + 8 + 4

// epochOf a numbered key.
func epochOf(key []byte) (uint64, bool) {
	if len(key) != numberedSize {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[1:]), true
}

// within are the bounds of keys of a kind whose epochs are after one and up to another: the first, and one behind the last.
func within(kind byte, after, until uint64) ([]byte, []byte) {
	return numbered(kind, after+1, 0), append(numbered(kind, until, 1<<32-1), 0)
}

// all are the bounds of the keys of a kind.
func all(kind byte) ([]byte, []byte) { return []byte{kind}, []byte{kind + 1} }

// A change in a delta: bits say what follows.
const (
	changeRemoves = 1
	changeAdds    = 2
)

func appendChange(dst []byte, x swap) []byte {
	bits := byte(0)
	if x.removed != nil {
		bits |= changeRemoves
	}
	if x.added != nil {
		bits |= changeAdds
	}
	dst = append(dst, bits)
	for _, row := range [][]byte{x.removed, x.added} {
		if row != nil {
			dst = append(binary.AppendUvarint(dst, uint64(len(row))), row...)
		}
	}
	return dst
}

var errDelta = errors.New("a change of the state can't be read")

// swap is a change of a state: a row was removed, added, or one for the other. Nil is no row.
type swap struct{ removed, added []byte }

// nextChange takes a change off a delta, and returns the rest.
func nextChange(delta []byte) (swap, []byte, error) {
	if len(delta) == 0 || delta[0] == 0 || delta[0] > changeRemoves|changeAdds {
		return swap{}, nil, errDelta
	}
	bits, rest := delta[0], delta[1:]
	var out swap
	for _, x := range []struct {
		bit byte
		row *[]byte
	}{{changeRemoves, &out.removed}, {changeAdds, &out.added}} {
		if bits&x.bit == 0 {
			continue
		}
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return swap{}, nil, errDelta
		}
		*x.row = rest[size : size+int(n)] //nolint:gosec // no more than there are
		rest = rest[size+int(n):]         //nolint:gosec // as above
	}
	return out, rest, nil
}

// deltaHead is the first part of a delta: when it was made, and how many bytes its other parts have.
type deltaHead struct {
	micros int64
	bytes  uint64
}

func (h deltaHead) encode() []byte {
	return binary.AppendUvarint(binary.AppendVarint(nil, h.micros), h.bytes)
}

func decodeDeltaHead(b []byte) (deltaHead, error) {
	micros, n := binary.Varint(b)
	if n <= 0 {
		return deltaHead{}, errDelta
	}
	size, m := binary.Uvarint(b[n:])
	h := deltaHead{micros, size}
	if m <= 0 || !bytes.Equal(b, h.encode()) {
		return deltaHead{}, errDelta
	}
	return h, nil
}
