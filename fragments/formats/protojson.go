package formats

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// jsonWriter writes messages as JSON: as protobuf's own JSON, but with the names of the fields as they are declared, and 64-bit
// integers as numbers.
type jsonWriter struct {
	gatherer
	json  []byte
	depth int
}

// room fails once there is too much JSON.
func (w *jsonWriter) room() error {
	if len(w.json) > columnar.MaxLine {
		return errTooLarge
	}
	return nil
}

func (w *jsonWriter) message(m protoreflect.MessageDescriptor, pieces span) error {
	if w.depth++; w.depth > maxDepth {
		return &wireError{fmt.Sprintf("not a message: more than %d messages in one another", maxDepth)}
	}
	defer func() { w.depth-- }()
	found, err := w.gather(m, pieces)
	defer w.drop(found)
	if err != nil {
		return err
	}
	if k := wellKnownOf(m); k != wktNone {
		return w.wellKnown(m, k, found)
	}
	w.json = append(w.json, '{')
	first := true
	for at := found.from; at < found.to; {
		f := m.Fields().Get(int(w.found[at].field))
		s := w.of(span{at, found.to}, f.Index())
		at = s.to
		if !f.HasPresence() && !f.IsList() && !f.IsMap() && isZero(w.last(f, s)) {
			continue
		}
		if !first {
			w.json = append(w.json, ',')
		}
		first = false
		w.json = append(appendJSONString(w.json, string(f.Name())), ':')
		if err := w.field(f, s); err != nil {
			return err
		}
	}
	w.json = append(w.json, '}')
	return w.room()
}

func isZero(v value) bool { return v.number == 0 && len(v.bytes) == 0 }

// field writes all that a field has.
func (w *jsonWriter) field(f protoreflect.FieldDescriptor, s span) error {
	switch {
	case f.IsMap():
		return w.object(f, s)
	case f.IsList():
		w.json = append(w.json, '[')
		first := true
		err := w.each(f, s, func(v value) error {
			if !first {
				w.json = append(w.json, ',')
			}
			first = false
			return w.value(f, v)
		})
		w.json = append(w.json, ']')
		return err
	default:
		return w.value(f, w.last(f, s))
	}
}

// object writes a map, in the order of its keys. Of equal keys the last counts.
func (w *jsonWriter) object(f protoreflect.FieldDescriptor, s span) error {
	type entry struct {
		key   string
		place int
	}
	entries := make([]entry, 0, s.to-s.from)
	for i := s.from; i < s.to; i++ {
		key, err := w.key(f, span{i, i + 1})
		if err != nil {
			return err
		}
		entries = append(entries, entry{key, i})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.place, b.place)) })
	w.json = append(w.json, '{')
	for i, e := range entries {
		if i+1 < len(entries) && entries[i+1].key == e.key {
			continue
		}
		if w.json[len(w.json)-1] != '{' {
			w.json = append(w.json, ',')
		}
		w.json = append(appendJSONString(w.json, e.key), ':')
		if err := w.entry(f, span{e.place, e.place + 1}); err != nil {
			return err
		}
	}
	w.json = append(w.json, '}')
	return w.room()
}

// key of an entry of a map.
func (w *jsonWriter) key(f protoreflect.FieldDescriptor, pieces span) (string, error) {
	k := f.MapKey()
	found, err := w.gather(f.Message(), pieces)
	defer w.drop(found)
	if err != nil {
		return "", err
	}
	v := value{}
	if s := w.of(found, k.Index()); s.to > s.from {
		v = w.last(k, s)
	}
	if k.Kind() != protoreflect.StringKind {
		return string(appendScalar(nil, k, v.number)), nil
	}
	if !utf8.Valid(v.bytes) {
		return "", errUTF8(k)
	}
	return asString(v.bytes), nil
}

// entry writes the value of an entry of a map; what isn't there is the default.
func (w *jsonWriter) entry(f protoreflect.FieldDescriptor, pieces span) error {
	of := f.MapValue()
	found, err := w.gather(f.Message(), pieces)
	defer w.drop(found)
	if err != nil {
		return err
	}
	if s := w.of(found, of.Index()); s.to > s.from {
		return w.value(of, w.last(of, s))
	}
	return w.value(of, value{})
}

// value writes one value.
func (w *jsonWriter) value(f protoreflect.FieldDescriptor, v value) error {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return w.message(f.Message(), v.pieces)
	case protoreflect.StringKind:
		if !utf8.Valid(v.bytes) {
			return errUTF8(f)
		}
		w.json = appendJSONString(w.json, asString(v.bytes))
	case protoreflect.BytesKind:
		w.json = append(base64.StdEncoding.AppendEncode(append(w.json, '"'), v.bytes), '"')
	case protoreflect.EnumKind:
		w.json = appendEnumJSON(w.json, f, v.number)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		x, _ := floatOf(f.Kind(), v.number)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			w.json = append(appendScalar(append(w.json, '"'), f, v.number), '"')
			break
		}
		w.json = appendScalar(w.json, f, v.number)
	default:
		w.json = appendScalar(w.json, f, v.number)
	}
	return w.room()
}

func errUTF8(f protoreflect.FieldDescriptor) error {
	return &wireError{fmt.Sprintf("not a message %s: the field %s has invalid UTF-8", f.ContainingMessage().FullName(), f.Name())}
}

func appendEnumJSON(dst []byte, f protoreflect.FieldDescriptor, number uint64) []byte {
	e := f.Enum().Values().ByNumber(enumNumber(number))
	switch {
	case f.Enum().FullName() == "google.protobuf.NullValue":
		return append(dst, "null"...)
	case e == nil:
		return strconv.AppendInt(dst, int64(enumNumber(number)), 10)
	}
	return appendJSONString(dst, string(e.Name()))
}

// wellKnown writes what a message of google.protobuf means.
func (w *jsonWriter) wellKnown(m protoreflect.MessageDescriptor, k wkt, found span) error {
	switch k {
	case wktTimestamp:
		t, err := w.timestamp(m, found)
		w.json = t.AppendFormat(append(w.json, '"'), "2006-01-02T15:04:05")
		w.json = append(appendFraction(w.json, t.Nanosecond()), `Z"`...)
		return err
	case wktDuration:
		seconds, nanos, err := w.duration(m, found)
		w.json = append(appendSeconds(append(w.json, '"'), seconds, nanos), `s"`...)
		return err
	case wktWrapper:
		f := m.Fields().ByNumber(1)
		if s := w.of(found, f.Index()); s.to > s.from {
			return w.value(f, w.last(f, s))
		}
		return w.value(f, value{})
	case wktValue:
		if found.from == found.to {
			w.json = append(w.json, "null"...)
			return nil
		}
		f := m.Fields().Get(int(w.found[found.from].field)) // a oneof: there is no other
		return w.field(f, found)
	default: // a Struct or a ListValue is its one field
		f := m.Fields().ByNumber(1)
		return w.field(f, w.of(found, f.Index()))
	}
}

// appendSeconds appends a count of seconds with its fraction.
func appendSeconds(dst []byte, seconds int64, nanos int32) []byte {
	if seconds < 0 || nanos < 0 {
		dst, seconds, nanos = append(dst, '-'), -seconds, -nanos
	}
	return appendFraction(strconv.AppendInt(dst, seconds, 10), int(nanos))
}

// appendFraction appends nanoseconds as three, six or nine digits, or not at all.
func appendFraction(dst []byte, nanos int) []byte {
	switch {
	case nanos == 0:
		return dst
	case nanos%1_000_000 == 0:
		return fmt.Appendf(dst, ".%03d", nanos/1_000_000)
	case nanos%nanosPerMicro == 0:
		return fmt.Appendf(dst, ".%06d", nanos/nanosPerMicro)
	}
	return fmt.Appendf(dst, ".%09d", nanos)
}

// secondsAndNanos are the two fields of a timestamp or duration.
func (w *jsonWriter) secondsAndNanos(m protoreflect.MessageDescriptor, found span) (int64, int32) {
	number := func(n protowire.Number) uint64 {
		f := m.Fields().ByNumber(n)
		if s := w.of(found, f.Index()); s.to > s.from {
			return w.last(f, s).number
		}
		return 0
	}
	return int64(number(1)), int32(number(2)) //nolint:gosec // as protobuf does
}

// The bounds of google.protobuf.Timestamp and Duration.
const (
	minSeconds      = -62135596800 // 0001-01-01
	maxSeconds      = 253402300799 // 9999-12-31
	maxDuration     = 315576000000
	nanosPerSecond  = 1_000_000_000
	nanosPerMicro   = 1000
	microsPerSecond = 1_000_000
)

func (w *jsonWriter) timestamp(m protoreflect.MessageDescriptor, found span) (time.Time, error) {
	seconds, nanos := w.secondsAndNanos(m, found)
	if seconds < minSeconds || seconds > maxSeconds || nanos < 0 || nanos >= nanosPerSecond {
		return time.Time{}, fmt.Errorf("no Timestamp has %d seconds and %d nanos", seconds, nanos)
	}
	return time.Unix(seconds, int64(nanos)).UTC(), nil
}

func (w *jsonWriter) duration(m protoreflect.MessageDescriptor, found span) (int64, int32, error) {
	seconds, nanos := w.secondsAndNanos(m, found)
	if seconds < -maxDuration || seconds > maxDuration || nanos <= -nanosPerSecond || nanos >= nanosPerSecond ||
		seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0 {
		return 0, 0, fmt.Errorf("no Duration has %d seconds and %d nanos", seconds, nanos)
	}
	return seconds, nanos, nil
}

func floatOf(k protoreflect.Kind, u uint64) (float64, int) {
	if k == protoreflect.FloatKind {
		return float64(math.Float32frombits(uint32(u))), 32 //nolint:gosec // it was read as 32 bits
	}
	return math.Float64frombits(u), 64
}

// appendScalar appends the text of a boolean, a number or an enum's number.
func appendScalar(dst []byte, f protoreflect.FieldDescriptor, u uint64) []byte {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, u != 0)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		x, bits := floatOf(f.Kind(), u)
		switch {
		case math.IsInf(x, 1):
			return append(dst, "Infinity"...)
		case math.IsInf(x, -1):
			return append(dst, "-Infinity"...)
		}
		return strconv.AppendFloat(dst, x, 'g', -1, bits)
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind, protoreflect.EnumKind:
		return strconv.AppendInt(dst, int64(int32(u)), 10) //nolint:gosec // as protobuf does
	case protoreflect.Sint32Kind:
		return strconv.AppendInt(dst, int64(int32(protowire.DecodeZigZag(u&math.MaxUint32))), 10) //nolint:gosec // as protobuf does
	case protoreflect.Sint64Kind:
		return strconv.AppendInt(dst, protowire.DecodeZigZag(u), 10)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(dst, uint64(uint32(u)), 10) //nolint:gosec // as protobuf does
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(dst, u, 10)
	default:
		return strconv.AppendInt(dst, int64(u), 10) //nolint:gosec // as protobuf does
	}
}

// appendJSONString appends text as a JSON string with the fewest escapes.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
