package parse

import (
	"bytes"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Our own statements and clauses. Each is recognized where PostgreSQL's grammar has a
// syntax error, so no statement of PostgreSQL changes its meaning:
//
//	SUBSCRIBE [TO] name | SUBSCRIBE [TO] ( query )
//	COPY ( SUBSCRIBE ... ) TO STDOUT ...
//	CREATE TABLE t [(...)] ON JOURNALS 'prefix/' [FORMAT JSON | CSV | RAW | PROTOBUF] ...
//	SHOW TABLES
//	DECLARE ... CURSOR FOR SUBSCRIBE ...
//	FETCH ... WITH (timeout = '...')
//	VERIFY MATERIALIZED VIEW name
//	ALTER MATERIALIZED VIEW name SKIP (journal = '...', offset = n)
//
// AS OF CUT and AS OF TIMESTAMP are cut out before (asof.go).
//
// What is ours is overwritten with blanks, byte for byte, and the grammar
// parses what remains: its positions stay true.

// ourParser reads the token stream of PostgreSQL's scanner.
type ourParser struct {
	source
	tokens []*pg.ScanToken
	pos    int
	masked []byte
}

// parseOurs returns nil, nil for a statement that is PostgreSQL's.
func parseOurs(p Piece) (Statement, error) {
	scan, err := pg.Scan(p.Text)
	if err != nil {
		return nil, nil //nolint:nilerr // The grammar meets the same error, and reports it with its position.
	}
	o := &ourParser{source: p.source(), tokens: withoutComments(scan.GetTokens()), masked: []byte(p.forGrammar())}
	switch o.word(0) {
	case "subscribe":
		return asStatement(o.subscribe(len(o.tokens)))
	case "copy":
		if o.symbol(1) == "(" && o.word(2) == "subscribe" {
			return o.copySubscribe()
		}
	case "create":
		return o.createOnJournals()
	case "show":
		return o.showTables()
	case "declare":
		for i := range o.tokens {
			if o.word(i) == "for" && o.word(i+1) == "subscribe" {
				return o.declareSubscribe(i + 1)
			}
		}
	case "fetch":
		for i := range o.tokens {
			if o.word(i) == "with" {
				return o.fetchWith(i)
			}
		}
	case "alter":
		return o.skipRow()
	case "verify":
		if o.word(1) == "materialized" {
			return asStatement(o.verify())
		}
	}
	return nil, nil
}

func withoutComments(tokens []*pg.ScanToken) []*pg.ScanToken {
	kept := tokens[:0]
	for _, t := range tokens {
		if t.GetToken() != pg.Token_SQL_COMMENT && t.GetToken() != pg.Token_C_COMMENT {
			kept = append(kept, t)
		}
	}
	return kept
}

// raw is the text of token i, "" past the end.
func (o *ourParser) raw(i int) string {
	if i < 0 || i >= len(o.tokens) {
		return ""
	}
	return o.text[o.tokens[i].GetStart():o.tokens[i].GetEnd()]
}

// word is token i in lower case if it is an unquoted identifier or a keyword.
func (o *ourParser) word(i int) string {
	if raw := o.raw(i); raw != "" && isWordStart(raw[0]) {
		if t := o.tokens[i]; t.GetToken() == pg.Token_IDENT || t.GetKeywordKind() != pg.KeywordKind_NO_KEYWORD {
			return strings.ToLower(raw)
		}
	}
	return ""
}

// symbol is token i if it is one of punctuation.
func (o *ourParser) symbol(i int) string {
	if raw := o.raw(i); raw != "" && !isWordStart(raw[0]) && o.tokens[i].GetToken() < pg.Token_IDENT {
		return raw
	}
	return ""
}

func (o *ourParser) isString(i int) bool {
	if i >= len(o.tokens) {
		return false
	}
	t := o.tokens[i].GetToken()
	return t == pg.Token_SCONST || t == pg.Token_USCONST
}

func (o *ourParser) atToken(e *Error, i int) *Error {
	if i >= len(o.tokens) {
		return e
	}
	if start := o.tokens[i].GetStart(); start > 0 {
		return o.at(e, start)
	}
	return o.atStart(e)
}

// syntaxError is PostgreSQL's, at token i.
func (o *ourParser) syntaxError(i int) *Error {
	if i >= len(o.tokens) {
		e := errorf(CodeSyntax, "syntax error at end of input")
		return o.at(e, int32(len(o.text)))
	}
	return o.atToken(errorf(CodeSyntax, "syntax error at or near %q", o.raw(i)), i)
}

// blank overwrites tokens first to last, and all between them.
func (o *ourParser) blank(first, last int) {
	begin, end := o.tokens[first].GetStart(), o.tokens[last].GetEnd()
	copy(o.masked[begin:end], bytes.Repeat([]byte{' '}, int(end-begin)))
}

// put writes words over what was blanked at token i, which is long enough for them.
func (o *ourParser) put(i int, words string) {
	copy(o.masked[o.tokens[i].GetStart():], words)
}

// showTables recognizes SHOW TABLES; SHOW "tables" is a setting.
func (o *ourParser) showTables() (Statement, error) {
	if o.word(1) != "tables" {
		return nil, nil
	}
	if len(o.tokens) > 2 {
		return nil, o.atToken(refuse("SHOW TABLES "+strings.ToUpper(o.raw(2))), 2)
	}
	return &ShowTables{at: o.position()}, nil
}

// subscribe parses SUBSCRIBE at pos, and what belongs to it up to token end.
func (o *ourParser) subscribe(end int) (*Subscribe, error) {
	first := o.pos
	o.pos++
	if o.word(o.pos) == "to" {
		o.pos++
	}
	s := &Subscribe{at: at{position: o.chars + 1}}
	if start := o.tokens[first].GetStart(); start > 0 {
		s.position = o.at(&Error{}, start).Position
	}
	var err error
	if o.symbol(o.pos) == "(" {
		err = o.subscribeQuery(s, first, end)
	} else {
		err = o.subscribeTable(s, first, end)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (o *ourParser) subscribeQuery(s *Subscribe, first, end int) error {
	closing := o.closing(o.pos, end)
	if closing < 0 {
		return o.syntaxError(end)
	}
	if err := o.nothingAfter(closing+1, end); err != nil {
		return err
	}
	node, err := o.inner(first, o.pos-1, closing)
	if err != nil {
		return err
	}
	if node.GetSelectStmt() == nil {
		return o.syntaxError(o.pos + 1)
	}
	s.Query, err = o.query(node)
	return err
}

// subscribeTable parses a name of up to three parts.
func (o *ourParser) subscribeTable(s *Subscribe, first, end int) error {
	last := o.pos
	for o.symbol(last+1) == "." && last+2 < end {
		last += 2
	}
	if o.pos >= end {
		return o.syntaxError(end)
	}
	if err := o.nothingAfter(last+1, end); err != nil {
		return err
	}
	node, err := o.inner(first, o.pos-1, last, "TABLE")
	if err != nil {
		return err
	}
	if s.Query, err = o.query(node); err != nil {
		return err
	}
	if relations := s.Query.Relations(); len(relations) == 1 {
		s.Table = &relations[0].Name
		return nil
	}
	return o.syntaxError(o.pos)
}

// inner gives the grammar only tokens after drop up to last; first to drop are
// overwritten with the words.
func (o *ourParser) inner(first, drop, last int, words ...string) (*pg.Node, error) {
	masked := bytes.Repeat([]byte{' '}, len(o.text))
	begin, end := o.tokens[drop].GetEnd(), o.tokens[last].GetEnd()
	copy(masked[begin:end], o.masked[begin:end])
	copy(masked[o.tokens[first].GetStart():], strings.Join(words, " "))
	return o.grammar(string(masked))
}

// closing is the bracket that closes the one at token open, -1 if none before end does.
func (o *ourParser) closing(open, end int) int {
	depth := 0
	for i := open; i < end; i++ {
		switch o.symbol(i) {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// nothingAfter refuses the clauses of SUBSCRIBE by their names; there is none yet.
func (o *ourParser) nothingAfter(i, end int) error {
	if i >= end {
		return nil
	}
	switch w := o.word(i); w {
	case "with", "envelope", "within":
		return o.atToken(refuse("SUBSCRIBE ... "+strings.ToUpper(w)), i)
	case "as", "up":
		return o.atToken(refuse("SUBSCRIBE ... "+strings.ToUpper(w+" "+o.word(i+1))), i)
	}
	return o.syntaxError(i)
}

// copySubscribe parses COPY (SUBSCRIBE ...) TO STDOUT: SUBSCRIBE by itself, COPY by the
// grammar with a query in its place.
func (o *ourParser) copySubscribe() (Statement, error) {
	closing := o.closing(1, len(o.tokens))
	if closing < 0 {
		return nil, o.syntaxError(len(o.tokens))
	}
	o.pos = 2
	subscribe, err := o.subscribe(closing)
	if err != nil {
		return nil, err
	}
	o.blank(2, closing-1)
	o.put(2, "SELECT 1")
	node, err := o.grammar(string(o.masked))
	if err != nil {
		return nil, err
	}
	st, err := o.copyStatement(node.GetCopyStmt())
	if err != nil {
		return nil, err
	}
	to, ok := st.(*CopyTo)
	if !ok {
		return nil, o.syntaxError(closing + 1)
	}
	to.Query, to.Subscribe = nil, subscribe
	return to, nil
}

// createOnJournals cuts ON JOURNALS out of CREATE TABLE, wherever it stands
// outside brackets.
func (o *ourParser) createOnJournals() (Statement, error) {
	i := o.findOnJournals()
	if i < 0 || commandName(o.text) != "CREATE TABLE" {
		return nil, nil
	}
	prefix, err := o.stringValue(i + 2)
	if err != nil {
		return nil, err
	}
	format, err := o.journalsFormat(i + 3)
	if err != nil {
		return nil, err
	}
	last := i + 2
	if format != nil {
		last += 2
	}
	inferred := !o.hasColumns()
	o.blank(i, last)
	if inferred {
		o.put(i, "()") // the grammar's, of a table without columns
	}
	node, err := o.grammar(string(o.masked))
	if err != nil {
		return nil, err
	}
	create := node.GetCreateStmt()
	if create == nil {
		return nil, o.atToken(refuse("CREATE TABLE AS ... ON JOURNALS"), i)
	}
	table, err := o.createTable(create)
	if err != nil {
		return nil, err
	}
	if len(table.Columns) == 0 && !inferred {
		return nil, o.atStart(refuse("CREATE TABLE without columns")).hinted("Leave the parentheses out to have columns inferred.")
	}
	if err := checkPrefix(prefix); err != nil {
		return nil, o.atToken(err, i+2)
	}
	table.Journals = prefix
	if format == nil {
		return table, nil
	}
	if slices.ContainsFunc(table.Options, func(x Option) bool { return x.Name == "format" }) {
		return nil, o.atToken(errorf(CodeSyntax, "option \"format\" specified more than once"), i+3)
	}
	table.Options = append(table.Options, *format)
	return table, nil
}

// journalsFormat is FORMAT name at token i, nil if something else is there.
func (o *ourParser) journalsFormat(i int) (*Option, error) {
	if o.word(i) != "format" {
		return nil, nil
	}
	format := o.word(i + 1)
	switch format {
	case "json", "csv", "raw", "protobuf":
		return &Option{Name: "format", Value: format, Position: o.atToken(&Error{}, i).Position}, nil
	}
	return nil, o.atToken(refuse("FORMAT "+strings.ToUpper(o.raw(i+1))), i)
}

// checkPrefix wants a folder of journals. Whether its names are valid is the broker's to say.
func checkPrefix(prefix string) *Error {
	if !strings.HasSuffix(prefix, "/") || strings.HasPrefix(prefix, "/") {
		return errorf(CodeInvalidParameter, "prefix of journals %q must end, and may not begin, with a slash", prefix).
			hinted("Write it as ON JOURNALS 'acme/rides/'.")
	}
	return nil
}

// findOnJournals returns the token ON of ON JOURNALS '...', or -1.
func (o *ourParser) findOnJournals() int {
	depth := 0
	for i := range o.tokens {
		switch o.symbol(i) {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth == 0 && o.word(i) == "on" && o.word(i+1) == "journals" && o.isString(i+2) {
			return i
		}
	}
	return -1
}

// hasColumns tells whether a bracket follows the table's name.
func (o *ourParser) hasColumns() bool {
	for i := 1; i < len(o.tokens); i++ {
		if o.word(i-1) == "table" || o.word(i-1) == "exists" {
			for o.symbol(i+1) == "." {
				i += 2
			}
			if o.symbol(i+1) == "(" {
				return true
			}
		}
	}
	return false
}

// stringValue decodes the string at token i, with its escapes, by the grammar.
func (o *ourParser) stringValue(i int) (string, error) {
	text := "SELECT " + o.raw(i)
	node, err := source{text: text}.grammar(text)
	if err != nil {
		return "", o.syntaxError(i)
	}
	if targets := node.GetSelectStmt().GetTargetList(); len(targets) == 1 {
		if value := targets[0].GetResTarget().GetVal().GetAConst().GetSval(); value != nil {
			return value.GetSval(), nil
		}
	}
	return "", o.syntaxError(i)
}
