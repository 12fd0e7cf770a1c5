package parse

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// AsOf says where tables are read:
//
//	AS OF CUT '...' | AS OF CUT $n
//	AS OF TIMESTAMP value { + | - INTERVAL '...' }
//
// where value is a string, $n, now() or CURRENT_TIMESTAMP, perhaps cast to timestamptz. It stands after a
// table (with its alias, or before it), or at the end of a statement for all tables that have none.
// Exactly one of Text, Param and Now is set.
type AsOf struct {
	Cut      bool    // else a time
	Text     *string // a constant
	Param    int     // the number of a parameter
	Now      bool    // the time of the statement
	Shifts   []Shift // of a time, in their order
	Position int
}

// Shift moves a time by an interval.
type Shift struct {
	Back     bool
	Interval string
}

// Clause is the clause's name.
func (a *AsOf) Clause() string {
	if a.Cut {
		return "AS OF CUT"
	}
	return "AS OF TIMESTAMP"
}

// travels are the AS OF clauses of a statement, which are masked for the grammar.
type travels struct {
	parser   ourParser // of the whole text
	found    []travel
	attached bool // to a query
}

// travel is a clause: its value, and the tokens first to last.
type travel struct {
	asOf        *AsOf
	first, last int
}

// cutTravels blanks the clauses in a piece's text. A column or table can be called "of", but then neither
// "cut" and a string or parameter can follow, nor "timestamp": so these are never PostgreSQL's.
func cutTravels(p Piece) (Piece, error) {
	scan, err := pg.Scan(p.Text)
	if err != nil {
		return p, nil //nolint:nilerr // The grammar meets the same error, and reports it with its position.
	}
	t := &travels{parser: ourParser{source: p.source(), tokens: withoutComments(scan.GetTokens()), masked: []byte(p.Text)}}
	o := &t.parser
	for i := 0; i < len(o.tokens); i++ {
		if !o.travelsAt(i) {
			continue
		}
		x := travel{first: i}
		o.pos = i + 3
		if x.asOf, err = o.asOf(i); err != nil {
			return p, err
		}
		x.last = o.pos - 1
		o.blank(x.first, x.last)
		t.found = append(t.found, x)
		i = x.last
	}
	if len(t.found) > 0 {
		p.masked, p.travels = string(o.masked), t
	}
	return p, nil
}

// travelsAt tells whether a clause begins at token i.
func (o *ourParser) travelsAt(i int) bool {
	if o.word(i) != "as" || o.word(i+1) != "of" {
		return false
	}
	switch o.word(i + 2) {
	case "cut":
		return o.isString(i+3) || o.isParam(i+3)
	case "timestamp":
		return true
	}
	return false
}

func (o *ourParser) isParam(i int) bool {
	return i < len(o.tokens) && o.tokens[i].GetToken() == pg.Token_PARAM
}

// asOf parses a clause that begins at token i, from its value at pos on.
func (o *ourParser) asOf(i int) (*AsOf, error) {
	a := &AsOf{Cut: o.word(i+2) == "cut", Position: o.at(&Error{}, o.tokens[i].GetStart()).Position}
	if err := o.asOfValue(a); err != nil || a.Cut {
		return a, err
	}
	if err := o.asOfCast(); err != nil {
		return a, err
	}
	for o.symbol(o.pos) == "+" || o.symbol(o.pos) == "-" {
		shift := Shift{Back: o.symbol(o.pos) == "-"}
		if o.word(o.pos+1) != "interval" || !o.isString(o.pos+2) {
			return a, o.atToken(refuse("an expression other than a time and intervals in AS OF TIMESTAMP"), o.pos+1).
				hinted("Write it as AS OF TIMESTAMP now() - INTERVAL '1 hour'.")
		}
		var err error
		if shift.Interval, err = o.stringValue(o.pos + 2); err != nil {
			return a, err
		}
		a.Shifts = append(a.Shifts, shift)
		o.pos += 3
	}
	return a, nil
}

// asOfValue parses what a cut is, or what the expression of a time begins with.
func (o *ourParser) asOfValue(a *AsOf) error {
	if w := o.word(o.pos); !a.Cut && (w == "timestamptz" || w == "timestamp") && o.isString(o.pos+1) {
		o.pos++
	}
	switch w := o.word(o.pos); {
	case o.isString(o.pos):
		text, err := o.stringValue(o.pos)
		if err != nil {
			return err
		}
		a.Text = &text
		o.pos++
	case o.isParam(o.pos):
		n, err := strconv.Atoi(strings.TrimPrefix(o.raw(o.pos), "$"))
		if err != nil || n < 1 || n > 65535 {
			return o.atToken(errorf("42P02", "there is no parameter %s", o.raw(o.pos)), o.pos)
		}
		a.Param = n
		o.pos++
	case w == "current_timestamp":
		a.Now = true
		o.pos++
	case w == "now" && o.symbol(o.pos+1) == "(" && o.symbol(o.pos+2) == ")":
		a.Now = true
		o.pos += 3
	case o.pos >= len(o.tokens):
		return o.syntaxError(o.pos)
	default:
		return o.atToken(refuse("an expression other than a time and intervals in AS OF TIMESTAMP"), o.pos).
			hinted("Write it as AS OF TIMESTAMP now() - INTERVAL '1 hour'.")
	}
	return nil
}

// asOfCast skips casts to the type that the value has anyway.
func (o *ourParser) asOfCast() error {
	for o.raw(o.pos) == "::" {
		switch o.word(o.pos + 1) {
		case "timestamptz", "timestamp":
			o.pos += 2
			if (o.word(o.pos) == "with" || o.word(o.pos) == "without") && o.word(o.pos+1) == "time" && o.word(o.pos+2) == "zone" {
				o.pos += 3
			}
		default:
			return o.atToken(refuse("a cast to "+o.raw(o.pos+1)+" in AS OF TIMESTAMP"), o.pos)
		}
	}
	return nil
}

// admit refuses clauses in statements that don't read by them: whatever doesn't know of them would lose
// them.
func (t *travels) admit(st Statement) error {
	if e, ok := st.(*Explain); ok {
		st = e.Statement
	}
	knows := false
	switch s := st.(type) {
	case *Select, *Insert, *Prepare: // of either of them
		knows = true
	case *CopyTo:
		knows = s.Query != nil
	case *Declare:
		knows = s.Query != nil
	}
	if knows && t.attached {
		return nil
	}
	x := t.found[0]
	return t.parser.atToken(refuse(commandName(t.parser.text)+" ... "+x.asOf.Clause()), x.first)
}

// attach gives a query's relations their clauses, and the query their parameters.
func (t *travels) attach(q *Select) error {
	t.attached = true
	var rest []travel
	for _, x := range t.found {
		i := t.tableBefore(q, x.first)
		if i < 0 {
			rest = append(rest, x)
			continue
		}
		if q.relations[i].AsOf != nil {
			return t.misplaced(x)
		}
		q.relations[i].AsOf = x.asOf
	}
	if len(rest) > 0 && (len(t.found) > 1 || !t.ends(rest[0])) {
		return t.misplaced(rest[0])
	}
	if len(rest) == 1 {
		if len(q.relations) == 0 {
			return t.parser.atToken(errorf(CodeSyntax, "%s in a statement that reads no table", rest[0].asOf.Clause()), rest[0].first)
		}
		for i := range q.relations {
			q.relations[i].AsOf = rest[0].asOf
		}
	}
	for _, x := range t.found {
		q.addParam(x.asOf)
	}
	return nil
}

func (t *travels) misplaced(x travel) error {
	return t.parser.atToken(errorf(CodeSyntax, "syntax error at or near %q", t.parser.raw(x.first)), x.first).
		hinted(x.asOf.Clause() + " stands after a table, once, or at the end of the statement.")
}

// ends tells whether a clause ends the statement, or the query of COPY.
func (t *travels) ends(x travel) bool {
	o := &t.parser
	if x.last == len(o.tokens)-1 {
		return true
	}
	return o.word(0) == "copy" && o.symbol(1) == "(" && x.last+1 == o.closing(1, len(o.tokens))
}

// tableBefore is the relation that ends right before token i, with its alias; -1 if none does.
func (t *travels) tableBefore(q *Select, i int) int {
	o := &t.parser
	before, start := -1, int32(-1)
	for n, r := range q.relations {
		if r.location > start && r.location < o.tokens[i].GetStart() {
			before, start = n, r.location
		}
	}
	k := slices.IndexFunc(o.tokens, func(x *pg.ScanToken) bool { return x.GetStart() == start })
	if before < 0 || k < 0 {
		return -1
	}
	for k++; o.symbol(k) == "."; k += 2 {
	}
	if o.symbol(k) == "*" { // those that inherit: none do
		k++
	}
	if k < i && o.word(k) == "as" {
		k++
	}
	if k < i && o.symbol(k) == "" && o.tokens[k].GetKeywordKind() != pg.KeywordKind_RESERVED_KEYWORD { // an alias
		k++
	}
	if k < i && o.symbol(k) == "(" { // and its columns
		k = o.closing(k, i) + 1
	}
	if k != i {
		return -1
	}
	return before
}

// addParam notes the parameter of a clause.
func (q *Select) addParam(a *AsOf) {
	if a.Param == 0 || slices.ContainsFunc(q.params, func(p Parameter) bool { return p.Number == a.Param }) {
		return
	}
	q.params = append(q.params, Parameter{Number: a.Param, Type: map[bool]string{true: "text", false: "timestamptz"}[a.Cut], Position: a.Position})
	slices.SortFunc(q.params, func(x, y Parameter) int { return x.Number - y.Number })
}
