package parse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// CopyOptions are how COPY writes rows. All fields are set: defaults are PostgreSQL's.
type CopyOptions struct {
	CSV       bool // or text
	Delimiter byte
	Null      string
	Header    Header
	// Quote and Escape are those of CSV; Escape is Quote if it wasn't given.
	Quote, Escape byte
}

// Header tells whether the first line names the columns.
type Header uint8

// The headers. HeaderMatch (COPY FROM only) wants the names to be those of the columns.
const (
	HeaderNone Header = iota
	HeaderLine
	HeaderMatch
)

func (s source) copyStatement(n *pg.CopyStmt) (Statement, error) {
	direction := "COPY TO"
	if n.GetIsFrom() {
		direction = "COPY FROM"
	}
	switch {
	case n.GetIsProgram():
		return nil, s.atStart(forbid(direction + " a program"))
	case n.GetFilename() != "":
		return nil, s.atStart(forbid(direction + " a file")).hinted("Use COPY ... FROM STDIN or TO STDOUT; psql's \\copy does.")
	case n.GetWhereClause() != nil:
		return nil, s.atStart(refuse("COPY FROM ... WHERE"))
	}
	options, err := s.copyOptions(n.GetOptions(), n.GetIsFrom())
	if err != nil {
		return nil, err
	}
	columns, err := s.columnNames(n.GetAttlist())
	if err != nil {
		return nil, err
	}
	if n.GetIsFrom() {
		return &CopyFrom{at: s.position(), Table: s.name(n.GetRelation()), Columns: columns, Options: options}, nil
	}
	query, err := s.copyQuery(n, columns)
	if err != nil {
		return nil, err
	}
	return &CopyTo{at: s.position(), Query: query, Options: options}, nil
}

// columnNames are those of a list of plain names, none twice.
func (s source) columnNames(list []*pg.Node) ([]string, error) {
	var names []string
	for _, node := range list {
		name := node.GetString_().GetSval()
		if slices.Contains(names, name) {
			return nil, s.atStart(errorf(CodeDuplicateColumn, "column %q specified more than once", name))
		}
		names = append(names, name)
	}
	return names, nil
}

// copyQuery is the query of COPY TO. For a table it is the one that selects its columns.
func (s source) copyQuery(n *pg.CopyStmt, columns []string) (*Select, error) {
	if n.GetRelation() == nil {
		if n.GetQuery().GetSelectStmt() == nil {
			return nil, s.atStart(refuse("COPY of a statement that changes data"))
		}
		return s.query(n.GetQuery())
	}
	query := queryOf()
	query.FromClause = []*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: n.GetRelation()}}}
	if columns == nil {
		query.TargetList = []*pg.Node{target(starRef(), "")}
	}
	for _, c := range columns {
		query.TargetList = append(query.TargetList, target(columnRef(c), ""))
	}
	return s.query(selectNode(query))
}

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
}

func (c *copyOptionReader) read(def *pg.DefElem) *Error {
	value, hasValue := "", false
	if def.GetArg() != nil {
		value, hasValue = optionValue(def.GetArg())
	}
	switch name := def.GetDefname(); name {
	case "format":
		return c.readFormat(value)
	case "header":
		return c.readHeader(value, hasValue)
	case "delimiter":
		return readByte(&c.options.Delimiter, "delimiter", value)
	case "quote":
		return readByte(&c.options.Quote, "quote", value)
	case "escape":
		return readByte(&c.options.Escape, "escape", value)
	case "null":
		if strings.ContainsAny(value, "\r\n") {
			return errorf(CodeInvalidParameter, "COPY null representation cannot use newline or carriage return")
		}
		c.options.Null = value
		return nil
	case "encoding":
		if e := strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(value)); e != "UTF8" && e != "UNICODE" {
			return refuse("COPY encoding \"" + value + "\"")
		}
		return nil
	case "freeze":
		if value == "false" || value == "off" || value == "0" {
			return nil
		}
		return errorf("55000", "cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction")
	case "force_null", "force_not_null", "force_quote", "default", "on_error", "log_verbosity":
		return refuse("COPY option " + strings.ToUpper(name))
	default:
		return errorf(CodeSyntax, "option %q not recognized", name)
	}
}

func (c *copyOptionReader) readFormat(value string) *Error {
	switch value {
	case "text":
	case "csv":
		c.options.CSV = true
	case "binary":
		return refuse("COPY format binary").hinted("Use text or csv.")
	default:
		return errorf(CodeInvalidParameter, "COPY format %q not recognized", value)
	}
	return nil
}

// readHeader reads PostgreSQL's ways to write a Boolean, and MATCH.
func (c *copyOptionReader) readHeader(value string, hasValue bool) *Error {
	switch strings.ToLower(value) {
	case "true", "on", "1":
		c.options.Header = HeaderLine
	case "false", "off", "0":
	case "match":
		if !c.from {
			return errorf(CodeInvalidParameter, `cannot use "match" with HEADER in COPY TO`)
		}
		c.options.Header = HeaderMatch
	default:
		if hasValue {
			return errorf(CodeSyntax, `header requires a Boolean value or "match"`)
		}
		c.options.Header = HeaderLine
	}
	return nil
}

func readByte(into *byte, what, value string) *Error {
	if len(value) != 1 {
		return errorf(CodeNotSupported, "COPY %s must be a single one-byte character", what)
	}
	if value == "\n" || value == "\r" {
		return errorf(CodeInvalidParameter, "COPY %s cannot be newline or carriage return", what)
	}
	*into = value[0]
	return nil
}

// finish fills in the defaults, and refuses what doesn't go together.
func (c *copyOptionReader) finish() *Error {
	o := &c.options
	if !o.CSV && (c.given["quote"] || c.given["escape"]) {
		return errorf(CodeNotSupported, "COPY quote and escape are available only in CSV mode")
	}
	setDefault := func(b *byte, value byte) {
		if *b == 0 {
			*b = value
		}
	}
	if o.CSV {
		setDefault(&o.Delimiter, ',')
		setDefault(&o.Quote, '"')
		setDefault(&o.Escape, o.Quote)
	} else {
		setDefault(&o.Delimiter, '\t')
		if !c.given["null"] {
			o.Null = `\N`
		}
	}
	switch {
	case !o.CSV && strings.IndexByte(`\.abcdefghijklmnopqrstuvwxyz0123456789`, o.Delimiter) >= 0:
		return errorf(CodeInvalidParameter, "COPY delimiter cannot be %q", string(o.Delimiter))
	case o.CSV && o.Delimiter == o.Quote:
		return errorf(CodeInvalidParameter, "COPY delimiter and quote must be different")
	case strings.IndexByte(o.Null, o.Delimiter) >= 0:
		return errorf(CodeInvalidParameter, "COPY delimiter character must not appear in the NULL specification")
	case o.CSV && strings.IndexByte(o.Null, o.Quote) >= 0:
		return errorf(CodeInvalidParameter, "CSV quote character must not appear in the NULL specification")
	}
	return nil
}
