package columnar

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Inference finds columns for lines that nobody has declared any for: every line that it was given is a row of them. It holds
// nothing of lines but their keys.
type Inference struct {
	lexer

	maxColumns, maxName int
	columns             []inferred
	byKey, byFold       map[string]int
	line                int64
	judges              [candidates]*lineDecoder
}

// inferred is a key of the lines, and as what all of its values can be read.
type inferred struct {
	key  string
	seen int64 // the last line that had it
	can  uint8 // bits of candidates
	any  bool  // a value wasn't null
}

// The types that are tried, best first.
const (
	asBool = iota
	asInt64
	asInteger // of up to 38 digits
	asFloat64
	asTimestampTZ
	asText
	asJSONB
	asJSON
	candidates
)

func candidateTypes() [candidates]Type {
	return [candidates]Type{
		{Kind: Bool}, {Kind: Int64}, {Kind: Decimal, Precision: 38}, {Kind: Float64}, {Kind: TimestampTZ}, {Kind: Text}, {Kind: JSONB}, {Kind: JSON},
	}
}

// NewInference finds at most so many columns, whose names have at most so many bytes.
func NewInference(maxColumns, maxName int) *Inference {
	f := &Inference{maxColumns: maxColumns, maxName: maxName, byKey: map[string]int{}, byFold: map[string]int{}}
	for i, t := range candidateTypes() {
		f.judges[i] = newLineDecoder(Schema{Columns: []Column{{Name: "c", Type: t}}}, func(int) bool { return false })
	}
	return f
}

// Rows are the lines that were added and aren't blank.
func (f *Inference) Rows() int64 { return f.line }

// Columns are those of the lines so far, in the order in which they were met. None is NOT NULL: what was not seen may be.
func (f *Inference) Columns() []Column {
	types := candidateTypes()
	out := make([]Column, len(f.columns))
	for i, c := range f.columns {
		out[i] = Column{Name: c.key, Type: Type{Kind: JSONB}} // what was always null may become anything
		for t := range candidates {
			if c.any && c.can&(1<<t) != 0 {
				out[i].Type = types[t]
				break
			}
		}
	}
	return out
}

// Add a line, without its newline. A line that can't be a row of any columns, or has keys that can't be columns, is an *InputError; nothing
// can be added any more then.
func (f *Inference) Add(line []byte) error {
	if len(line) > MaxLine {
		return &InputError{Code: codeProgramLimit, Message: errLineTooLong(MaxLine)}
	}
	f.s = line
	p := skipBlanks(line, 0)
	if p == len(line) {
		return nil
	}
	f.line++
	if line[p] != '{' {
		if f.atEnd(f.value(p)) {
			return &InputError{Code: codeInvalidText, Message: "a row is a JSON object, not " + jsonType(line[p])}
		}
		return f.invalid()
	}
	if p = skipBlanks(line, p+1); p < len(line) && line[p] == '}' {
		p++
	} else {
		var err error
		if p, err = f.pairs(p); err != nil {
			return err
		}
	}
	if !f.atEnd(p) {
		return f.invalid()
	}
	return nil
}

// pairs reads keys and values up to the closing bracket, and returns the position behind it.
func (f *Inference) pairs(p int) (int, error) {
	s := f.s
	for {
		key, value, err := f.pair(p)
		if err != nil {
			return -1, err
		}
		end := f.value(value)
		if end < 0 {
			return -1, f.invalid()
		}
		if err := f.judge(key, s[value:end]); err != nil {
			return -1, err
		}
		p = skipBlanks(s, end)
		switch {
		case p < len(s) && s[p] == ',':
			p = skipBlanks(s, p+1)
		case p < len(s) && s[p] == '}':
			return p + 1, nil
		default:
			f.failAt(p, "a comma or }")
			return -1, f.invalid()
		}
	}
}

// pair reads a key and its colon, and returns where its value begins.
func (f *Inference) pair(p int) (string, int, error) {
	if p >= len(f.s) || f.s[p] != '"' {
		f.failAt(p, "a key")
		return "", -1, f.invalid()
	}
	f.shape = 0
	end := f.str(p + 1)
	if end < 0 {
		return "", -1, f.invalid()
	}
	name := f.s[p+1 : end]
	if len(name) > 6*f.maxName { // an escape of a character is no longer
		return "", -1, f.tooLong(name)
	}
	if f.shape&hasEscape != 0 {
		name = appendUnescaped(nil, name)
	}
	p = skipBlanks(f.s, end+1)
	if p >= len(f.s) || f.s[p] != ':' {
		f.failAt(p, "a colon")
		return "", -1, f.invalid()
	}
	return string(name), skipBlanks(f.s, p+1), nil
}

func (f *Inference) tooLong(name []byte) error {
	return &InputError{Code: "42622", Message: fmt.Sprintf("key %q has %d bytes, a column's name at most %d", excerpt(string(name)), len(name), f.maxName)}
}

// judge a value of a key: as what it can't be read, the column isn't.
func (f *Inference) judge(key string, value []byte) error {
	c, err := f.column(key)
	if err != nil || value[0] == 'n' {
		return err
	}
	c.any = true
	c.can &= candidatesOf(value)
	for i := range candidates {
		if d := f.judges[i]; c.can&(1<<i) != 0 {
			if d.s = value; d.read(&d.fields[0], 0) != len(value) {
				c.can &^= 1 << i
			}
		}
	}
	return nil
}

// column of a key, which the line doesn't have yet.
func (f *Inference) column(key string) (*inferred, error) {
	if i, ok := f.byKey[key]; ok {
		c := &f.columns[i]
		if c.seen == f.line {
			return nil, &InputError{Code: "42701", Message: fmt.Sprintf("key %q appears twice in a line", key)}
		}
		c.seen = f.line
		return c, nil
	}
	folded := strings.ToLower(key)
	switch i, ok := f.byFold[folded]; {
	case key == "":
		return nil, &InputError{Code: "42602", Message: "a key is empty, which is no column's name"}
	case len(key) > f.maxName:
		return nil, f.tooLong([]byte(key))
	case strings.ContainsRune(key, 0) || !utf8.ValidString(key):
		return nil, &InputError{Code: "42602", Message: fmt.Sprintf("key %q can't be a column's name", excerpt(key))}
	case ok:
		return nil, &InputError{Code: "42701", Message: fmt.Sprintf("keys %q and %q differ in case only, which is not supported", f.columns[i].key, key)}
	case len(f.columns) == f.maxColumns:
		return nil, &InputError{Code: "54011", Message: fmt.Sprintf("lines have more than %d keys, and a table at most as many columns", f.maxColumns)}
	}
	f.byKey[key], f.byFold[folded] = len(f.columns), len(f.columns)
	f.columns = append(f.columns, inferred{key: key, seen: f.line, can: 1<<candidates - 1})
	return &f.columns[len(f.columns)-1], nil
}

// candidatesOf are the types of which a value may be by what it looks like: a column doesn't become boolean for the string "yes", nor
// a number for "1".
func candidatesOf(value []byte) uint8 {
	const documents = 1<<asJSONB | 1<<asJSON
	switch value[0] {
	case 't', 'f':
		return 1<<asBool | documents
	case '"':
		if isISO8601(value[1 : len(value)-1]) {
			return 1<<asTimestampTZ | 1<<asText | documents
		}
		return 1<<asText | documents
	case '{', '[':
		return documents
	}
	can := uint8(documents)
	digits, whole := 0, true
	for _, c := range value {
		switch {
		case isDigit(c):
			digits++
		case c != '-':
			whole = false
		}
	}
	if whole {
		can |= 1<<asInt64 | 1<<asInteger
	}
	if digits <= maxFloatDigits || !whole && digits <= maxFloatDigits+3 { // with those of an exponent
		can |= 1 << asFloat64
	}
	return can
}

// maxFloatDigits are as many as who prints a double writes: one with more says more than a double holds.
const maxFloatDigits = 17

// isISO8601 tells whether a string begins with a date and a time of day as ISO 8601 has them, or PostgreSQL.
func isISO8601(s []byte) bool {
	const form = "0000-00-00T00:00"
	if len(s) < len(form) {
		return false
	}
	for i := range len(form) {
		switch c := s[i]; form[i] {
		case '0':
			if !isDigit(c) {
				return false
			}
		case 'T':
			if c != 'T' && c != ' ' {
				return false
			}
		default:
			if c != form[i] {
				return false
			}
		}
	}
	return true
}

func (f *Inference) atEnd(p int) bool {
	if p < 0 {
		return false
	}
	if p = skipBlanks(f.s, p); p < len(f.s) {
		f.failAt(p, "the end of the line")
		return false
	}
	return true
}

func (f *Inference) invalid() error {
	return &InputError{Code: codeInvalidText, Message: fmt.Sprintf("not valid JSON at byte %d: %s", f.errPos, f.errWhat)}
}
