package columnar

import "strings"

// quoted reads a string, from the byte after its opening quote, into its column.
func (d *lineDecoder) quoted(f *field, p int) int {
	d.shape = 0
	end := d.str(p)
	if end < 0 {
		d.invalid()
		return -1
	}
	inside := d.s[p:end]
	if d.shape&hasEscape != 0 {
		d.scratch = appendUnescaped(d.scratch[:0], inside)
		inside = d.scratch
	}
	if err := d.text(f, text(inside)); err != nil {
		d.rejectValue(f, err)
		return -1
	}
	return end + 1
}

// text reads what a string says, as COPY would read it from a text file.
func (d *lineDecoder) text(f *field, s string) error {
	switch f.typ.Kind {
	case Text, Varchar, Char:
		return d.characters(f, s)
	case Bytea:
		return d.bytea(f, s)
	case Date:
		if days, ok := isoDate(s); ok && len(s) == dateLen {
			if f.out != nil {
				f.out.AppendInt32(int32(days))
			}
			return nil
		}
	case Time:
		if micros, rest, ok := isoClock(s); ok && rest == "" {
			if f.out != nil {
				f.out.AppendInt64(micros)
			}
			return nil
		}
	case Timestamp, TimestampTZ:
		if x, ok := isoTimestamp(s, f.typ.Kind == TimestampTZ); ok {
			if f.out != nil {
				f.out.AppendInt64(x)
			}
			return nil
		}
	default:
	}
	if d.proving && !isClean(f.typ, s) {
		d.dirty = true
	}
	return ParseText(f.typ, s, f.out)
}

// characters reads a string, which the lexer has found to be UTF-8, into a column of
// text.
func (d *lineDecoder) characters(f *field, s string) error {
	if d.shape&hasNUL != 0 && strings.IndexByte(s, 0) >= 0 {
		return errEncoding("\x00")
	}
	if f.typ.Kind == Text {
		if f.out != nil {
			f.out.AppendString(s)
		}
		return nil
	}
	if d.proving {
		kept, _, err := fitCharacters(f.typ, s)
		d.dirty = d.dirty || err != nil || len(kept) != len(s)
	}
	if f.typ.Kind == Char && f.out != nil {
		d.grown += int(f.typ.Length)
	}
	return appendCharacters(f.typ, s, f.out)
}

// bytea reads hexadecimal digits after \x. PostgreSQL's escape format isn't read from
// JSON: nearly any string, such as one in base64, would be taken for it.
func (d *lineDecoder) bytea(f *field, s string) error {
	digits, ok := strings.CutPrefix(s, `\x`)
	if !ok {
		return &InputError{Code: codeInvalidText, Message: `invalid input syntax for type bytea: a string in hexadecimal begins with \x`}
	}
	var err error
	d.bytes, err = appendHexBytea(d.bytes[:0], digits)
	if err != nil {
		return err
	}
	d.dirty = d.dirty || len(digits) != 2*len(d.bytes)
	if f.out != nil {
		f.out.AppendBytes(d.bytes)
	}
	return nil
}
