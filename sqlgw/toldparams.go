package sqlgw

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
)

// Parameters have the types that PostgreSQL gives them, also where the engine has no such type: clients
// send their values as that type says.

// tellParams gives the parameters that nobody declared the types that the query tells.
func (q *query) tellParams(declared []columnar.Type) {
	q.toldParams = make([]told, len(declared))
	for i := range declared {
		if i >= len(q.asked) || q.asked[i] == "" || declared[i].Kind != 0 {
			continue
		}
		t, ok := q.session.gateway.pg.Type(q.asked[i])
		if !ok {
			continue
		}
		if typ, ok := paramType(q.asked[i]); ok {
			declared[i], q.toldParams[i] = typ, told{name: q.asked[i], Type: t}
		}
	}
}

// paramType is the engine's type for a parameter of a type that pg_type has.
func paramType(name string) (columnar.Type, bool) {
	element, isArray := strings.CutPrefix(name, "_")
	var t columnar.Type
	switch {
	case element == "name" || element == "char" || element == "bpchar" && !isArray:
		t = columnar.Type{Kind: columnar.Text}
	case element == "oid" || element == "xid" || element == "cid" || strings.HasPrefix(element, "reg"):
		t = columnar.Type{Kind: columnar.Int64}
	default:
		var err error
		if t, err = columnar.TypeFromSQL(element, nil); err != nil || element == "bpchar" { // of arrays
			return t, false
		}
	}
	if isArray {
		t = columnar.ArrayOf(t)
	}
	return t, true
}

// visible are the names that the session sees now.
func (s *session) visible(ctx context.Context) (*pgcatalog.Names, error) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s.gateway.pg.Names(s.viewState(snap).catalog), nil
}

// plainArgs are the arguments as the engine's types are read: OIDs are numbers, whether they came as
// four bytes or by the name of what has them.
func (s *statement) plainArgs(ctx context.Context, args []pgwire.Arg) ([]pgwire.Arg, error) {
	var out []pgwire.Arg
	for i, a := range args {
		if i >= len(s.told) || a.Data == nil || !isPlainedType(s.told[i].name) {
			continue
		}
		if out == nil {
			out = append(out, args...)
		}
		plain, err := s.plainOID(ctx, s.told[i], a)
		if err != nil {
			return nil, err
		}
		out[i] = plain
	}
	if out == nil {
		return args, nil
	}
	return out, nil
}

// isPlainedType tells whether arguments of a type are read as another's.
func isPlainedType(name string) bool { return isOIDType(name) || name == "_name" || name == "_char" }

func isOIDType(name string) bool {
	name = strings.TrimPrefix(name, "_")
	return name == "oid" || name == "xid" || name == "cid" || strings.HasPrefix(name, "reg")
}

func (s *statement) plainOID(ctx context.Context, t told, a pgwire.Arg) (pgwire.Arg, error) {
	switch {
	case !isOIDType(t.name):
		return textsOf(a), nil
	case a.Binary && strings.HasPrefix(t.name, "_"):
		return plainOIDs(a)
	case a.Binary && len(a.Data) == 4:
		return pgwire.Arg{Data: strconv.AppendUint(nil, uint64(binary.BigEndian.Uint32(a.Data)), 10)}, nil
	case a.Binary:
		return a, sqlError("22P03", "incorrect binary data format in bind parameter")
	case t.name == "oid":
		return plainNumber(a)
	case !strings.HasPrefix(strings.TrimPrefix(t.name, "_"), "reg"):
		return a, nil
	}
	names, err := s.names(ctx)
	if err != nil {
		return a, err
	}
	if element, isArray := strings.CutPrefix(t.name, "_"); isArray {
		return foundOIDs(a, func(name string) (int64, error) { return names.Find(element, name) })
	}
	oid, err := names.Find(t.name, string(a.Data))
	if err != nil {
		return a, parseError(err)
	}
	return pgwire.Arg{Data: strconv.AppendInt(nil, oid, 10)}, nil
}

// The OIDs of "char" and name.
const (
	charOID = 18
	nameOID = 19
)

// textsOf is a binary array of a type that is made of texts as one of those.
func textsOf(a pgwire.Arg) pgwire.Arg {
	const element = 8 // where its OID stands
	be := binary.BigEndian
	if !a.Binary || len(a.Data) < element+4 {
		return a
	}
	if of := be.Uint32(a.Data[element:]); of != nameOID && of != charOID {
		return a
	}
	data := bytes.Clone(a.Data)
	be.PutUint32(data[element:], columnar.Type{Kind: columnar.Text}.OID())
	return pgwire.Arg{Data: data, Binary: true}
}

// plainNumber reads an OID as PostgreSQL does: below zero it counts from the end.
func plainNumber(a pgwire.Arg) (pgwire.Arg, error) {
	text := strings.TrimSpace(string(a.Data))
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && (n < math.MinInt32 || n > math.MaxUint32):
		return a, sqlError("22003", "value %q is out of range for type oid", text)
	case err != nil:
		return a, sqlError("22P02", "invalid input syntax for type oid: %q", text)
	}
	return pgwire.Arg{Data: strconv.AppendUint(nil, uint64(uint32(n)), 10)}, nil
}

// foundOIDs is the text of an array of names as one of the OIDs that have them.
func foundOIDs(a pgwire.Arg, find func(string) (int64, error)) (pgwire.Arg, error) {
	elements, ok := columnar.SplitArray(string(a.Data))
	if !ok {
		return a, nil // which is no array, and is told so
	}
	out := []byte("{")
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		if e == nil {
			out = append(out, "NULL"...)
			continue
		}
		oid, err := find(*e)
		if err != nil {
			return a, parseError(err)
		}
		out = strconv.AppendInt(out, oid, 10)
	}
	return pgwire.Arg{Data: append(out, '}')}, nil
}

// plainOIDs is the text of an array of OIDs that came in binary: its elements have four bytes.
func plainOIDs(a pgwire.Arg) (pgwire.Arg, error) {
	const head, dimension = 12, 8
	bad := sqlError("22P03", "incorrect binary data format in bind parameter")
	be := binary.BigEndian
	if len(a.Data) < head || be.Uint32(a.Data) > 1 {
		return a, bad
	}
	rest := a.Data[head:]
	text := []byte("{")
	if be.Uint32(a.Data) == 1 {
		if len(rest) < dimension {
			return a, bad
		}
		rest = rest[dimension:]
	}
	for len(rest) > 0 {
		if len(text) > 1 {
			text = append(text, ',')
		}
		switch {
		case len(rest) >= 4 && be.Uint32(rest) == 0xFFFFFFFF:
			text, rest = append(text, "NULL"...), rest[4:]
		case len(rest) >= 8 && be.Uint32(rest) == 4:
			text, rest = fmt.Append(text, be.Uint32(rest[4:])), rest[8:]
		default:
			return a, bad
		}
	}
	return pgwire.Arg{Data: append(text, '}')}, nil
}
