package parse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// CopyOptions are how COPY writes rows. All fields that its format has are set: defaults are PostgreSQL's.
type CopyOptions struct {
	Format    CopyFormat
	Delimiter byte
	Null      string
	Header    Header
	// Quote and Escape are those of CSV; Escape is Quote if it wasn't given.
	Quote, Escape byte
	// ForceQuote names columns whose values COPY TO always quotes in CSV; ForceQuoteAll is all of them.
	ForceQuote    []string
	ForceQuoteAll bool
	// ForceNotNull names columns whose values COPY FROM never takes for NULL in CSV, and ForceNull those
	// whose values it does even in quotes.
	ForceNotNull, ForceNull []string
}

// CopyFormat is one of COPY's formats.
type CopyFormat uint8

// The formats.
const (
	CopyText CopyFormat = iota
	CopyCSV
	CopyBinary
)

// Header tells whether the first line names the columns.
type Header uint8

// The headers. HeaderMatch (COPY FROM only) wants the names to be those of the columns.
const (
	HeaderNone Header = iota
	HeaderLine
	HeaderMatch
)

// copyOptions reads the options as PostgreSQL does, and refuses what isn't acted on.
func (s source) copyOptions(list []*pg.Node, from bool) (CopyOptions, error) {
	c := copyOptionReader{source: s, from: from, given: map[string]bool{}}
	for _, node := range list {
		def := node.GetDefElem()
		if c.given[def.GetDefname()] {
			return c.options, s.at(errorf(CodeSyntax, "conflicting or redundant options"), def.GetLocation())
		}
		c.given[def.GetDefname()] = true
		if err := c.read(def); err != nil {
			return c.options, s.at(err, def.GetLocation())
		}
	}
	if err := c.finish(); err != nil {
		return c.options, s.atStart(err)
	}
	return c.options, nil
}

type copyOptionReader struct {
	source
	from    bool
	given   map[string]bool
	options CopyOptions

	delimiter, quote, escape string
}

func (c *copyOptionReader) read(def *pg.DefElem) *Error {
	name, o := def.GetDefname(), &c.options
	switch name {
	case "header":
		return c.readHeader(def)
	case "freeze":
		return c.readFreeze(def)
	case "force_quote":
		if _, all := def.GetArg().GetNode().(*pg.Node_AStar); all {
			o.ForceQuoteAll = true
			return nil
		}
		return c.readColumns(def, &o.ForceQuote)
	case "force_not_null":
		return c.readColumns(def, &o.ForceNotNull)
	case "force_null":
		return c.readColumns(def, &o.ForceNull)
	case "format", "delimiter", "null", "quote", "escape", "encoding":
		return c.readText(def)
	case "default", "on_error", "log_verbosity", "convert_selectively":
		return refuse("COPY option " + strings.ToUpper(name))
	default:
		return errorf(CodeSyntax, "option %q not recognized", name)
	}
}

// readText reads an option whose value is a text.
func (c *copyOptionReader) readText(def *pg.DefElem) *Error {
	name := def.GetDefname()
	if def.GetArg() == nil {
		return errorf(CodeSyntax, "%s requires a parameter", name)
	}
	value, _ := optionValue(def.GetArg())
	switch name {
	case "format":
		return c.readFormat(value)
	case "encoding":
		return readEncoding(value)
	case "delimiter":
		c.delimiter = value
	case "null":
		c.options.Null = value
	case "quote":
		c.quote = value
	case "escape":
		c.escape = value
	}
	return nil
}

func (c *copyOptionReader) readFormat(value string) *Error {
	formats := map[string]CopyFormat{"text": CopyText, "csv": CopyCSV, "binary": CopyBinary}
	f, ok := formats[value]
	if !ok {
		return errorf(CodeInvalidParameter, "COPY format %q not recognized", value)
	}
	c.options.Format = f
	return nil
}

// readColumns reads a list of columns.
func (c *copyOptionReader) readColumns(def *pg.DefElem, into *[]string) *Error {
	list := def.GetArg().GetList()
	if list == nil {
		return errorf(CodeInvalidParameter, "argument to option %q must be a list of column names", def.GetDefname())
	}
	for _, node := range list.GetItems() {
		*into = append(*into, node.GetString_().GetSval()) // one that comes twice is refused with its table
	}
	return nil
}

// copyBoolean reads PostgreSQL's ways to write a Boolean, and tells whether it is one; no value is true.
func copyBoolean(def *pg.DefElem) (bool, bool) {
	if def.GetArg() == nil {
		return true, true
	}
	text, _ := optionValue(def.GetArg())
	switch strings.ToLower(text) {
	case "true", "on", "1":
		return true, true
	case "false", "off", "0":
		return false, true
	}
	return false, false
}

// readFreeze refuses what there is no way to do: rows have no visibility that could be frozen.
func (c *copyOptionReader) readFreeze(def *pg.DefElem) *Error {
	switch value, ok := copyBoolean(def); {
	case !ok:
		return errorf(CodeSyntax, "freeze requires a Boolean value")
	case value:
		return errorf("55000", "cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction")
	}
	return nil
}

// readHeader reads a Boolean, or MATCH.
func (c *copyOptionReader) readHeader(def *pg.DefElem) *Error {
	value, ok := copyBoolean(def)
	text, _ := optionValue(def.GetArg())
	switch {
	case ok && value:
		c.options.Header = HeaderLine
	case ok:
	case !strings.EqualFold(text, "match"):
		return errorf(CodeSyntax, `header requires a Boolean value or "match"`)
	case !c.from:
		return errorf(CodeNotSupported, `cannot use "match" with HEADER in COPY TO`)
	default:
		c.options.Header = HeaderMatch
	}
	return nil
}

// readEncoding takes the one encoding that there is, and tells others from what is none.
func readEncoding(value string) *Error {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(value))
	switch {
	case clean == "utf8" || clean == "unicode":
		return nil
	case slices.Contains(strings.Fields(encodings), clean):
		return refuse("COPY encoding \"" + value + "\"").hinted("Data is read and written in UTF8.")
	default:
		return errorf(CodeInvalidParameter, "argument to option \"encoding\" must be a valid encoding name")
	}
}

// encodings are PostgreSQL's others.
const encodings = "abc alt big5 euccn eucjis2004 eucjp euckr euctw gb18030 gbk iso88591 iso885910 iso885913 iso885914 iso885915 " +
	"iso885916 iso88592 iso88593 iso88594 iso88595 iso88596 iso88597 iso88598 iso88599 johab koi8 koi8r koi8u latin1 latin10 " +
	"latin2 latin3 latin4 latin5 latin6 latin7 latin8 latin9 mskanji muleinternal shiftjis shiftjis2004 sjis sqlascii tcvn tcvn5712 " +
	"uhc vscii win win1250 win1251 win1252 win1253 win1254 win1255 win1256 win1257 win1258 win866 win874 win932 win936 win949 win950 " +
	"windows1250 windows1251 windows1252 windows1253 windows1254 windows1255 windows1256 windows1257 windows1258 windows866 windows874 " +
	"windows932 windows936 windows949 windows950"

// finish fills in the defaults, and refuses what doesn't go together, in PostgreSQL's order.
func (c *copyOptionReader) finish() *Error {
	o := &c.options
	if o.Format == CopyBinary {
		switch {
		case c.given["delimiter"]:
			return errorf(CodeSyntax, "cannot specify DELIMITER in BINARY mode")
		case c.given["null"]:
			return errorf(CodeSyntax, "cannot specify NULL in BINARY mode")
		case o.Header != HeaderNone:
			return errorf(CodeNotSupported, "cannot specify HEADER in BINARY mode")
		}
		return c.checkOnlyCSV()
	}
	c.setDefaults()
	for _, check := range []func() *Error{c.checkCharacters, c.checkOnlyCSV, c.checkForce, c.checkNull} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *copyOptionReader) setDefaults() {
	csv := c.options.Format == CopyCSV
	setDefault := func(name string, s *string, value string) {
		if !c.given[name] {
			*s = value
		}
	}
	if csv {
		setDefault("delimiter", &c.delimiter, ",")
		setDefault("quote", &c.quote, `"`)
		setDefault("escape", &c.escape, c.quote)
	} else {
		setDefault("delimiter", &c.delimiter, "\t")
		setDefault("null", &c.options.Null, `\N`)
	}
}

// checkCharacters checks the delimiter and the null string, and in CSV quote and escape.
func (c *copyOptionReader) checkCharacters() *Error {
	o, csv := &c.options, c.options.Format == CopyCSV
	if err := readByte(&o.Delimiter, "delimiter", c.delimiter); err != nil {
		return err
	}
	switch {
	case c.delimiter == "\n" || c.delimiter == "\r":
		return errorf(CodeInvalidParameter, "COPY delimiter cannot be newline or carriage return")
	case strings.ContainsAny(o.Null, "\r\n"):
		return errorf(CodeInvalidParameter, "COPY null representation cannot use newline or carriage return")
	case !csv && strings.ContainsAny(c.delimiter, `\.abcdefghijklmnopqrstuvwxyz0123456789`):
		return errorf(CodeInvalidParameter, "COPY delimiter cannot be %q", c.delimiter)
	case !csv:
		return nil
	}
	if err := readByte(&o.Quote, "quote", c.quote); err != nil {
		return err
	}
	if o.Delimiter == o.Quote {
		return errorf(CodeInvalidParameter, "COPY delimiter and quote must be different")
	}
	return readByte(&o.Escape, "escape", c.escape)
}

func readByte(into *byte, what, value string) *Error {
	if len(value) != 1 {
		return errorf(CodeNotSupported, "COPY %s must be a single one-byte character", what)
	}
	*into = value[0]
	return nil
}

// checkOnlyCSV refuses in other formats what only CSV has.
func (c *copyOptionReader) checkOnlyCSV() *Error {
	for _, name := range []string{"quote", "escape", "force_quote", "force_not_null", "force_null"} {
		if c.given[name] && c.options.Format != CopyCSV {
			return errorf(CodeNotSupported, "COPY %s available only in CSV mode", strings.ReplaceAll(name, "_", " "))
		}
	}
	return nil
}

// checkForce refuses what only the other direction has.
func (c *copyOptionReader) checkForce() *Error {
	switch {
	case c.from && c.given["force_quote"]:
		return errorf(CodeNotSupported, "COPY force quote only available using COPY TO")
	case !c.from && c.given["force_not_null"]:
		return errorf(CodeNotSupported, "COPY force not null only available using COPY FROM")
	case !c.from && c.given["force_null"]:
		return errorf(CodeNotSupported, "COPY force null only available using COPY FROM")
	}
	return nil
}

func (c *copyOptionReader) checkNull() *Error {
	o := &c.options
	switch {
	case strings.IndexByte(o.Null, o.Delimiter) >= 0:
		return errorf(CodeNotSupported, "COPY delimiter must not appear in the NULL specification")
	case o.Format == CopyCSV && strings.IndexByte(o.Null, o.Quote) >= 0:
		return errorf(CodeNotSupported, "CSV quote character must not appear in the NULL specification")
	}
	return nil
}
