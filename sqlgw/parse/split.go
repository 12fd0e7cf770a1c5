package parse

import (
	"strings"
	"unicode/utf8"
)

// Limits of what reaches the grammar. It is C: it can't be interrupted, takes some
// seventy bytes of memory for each byte of dense text, and its stack can't grow.
const (
	MaxText       = 16 << 20  // bytes of a text
	MaxStatements = 10_000    // statements of a text
	MaxTokens     = 1_000_000 // tokens of a statement
	// MaxNesting bounds how deep a statement's tree may be, estimated from its tokens
	// (see nesting). A thread's stack of 2 MiB, the least that Linux gives, holds twice that.
	MaxNesting = 1000
)

// Piece is one statement of a text, not parsed yet. Split makes them.
type Piece struct {
	// Text is the statement without its semicolon and without white space and comments around it.
	Text string
	// Begin and End are the byte offsets of Text in the text that was split.
	Begin, End int
	// Keep is kept for as long as there is anything that was made of the statement's queries.
	Keep    any
	tokens  int
	chars   int      // characters before Begin
	words   ours     // which words of our own statements occur
	masked  string   // the text without AS OF clauses, if it has any
	travels *travels // those clauses
}

func (p Piece) source() source {
	return source{text: p.Text, chars: p.chars, travels: p.travels, keep: p.Keep}
}

// Memory is about how many bytes parsing takes while it lasts, and, second, the statement afterwards. A name, a number and a comma are a token
// each; what was measured for dense texts is twice a node of the grammar's in C, and one in Go.
func (p Piece) Memory() (int64, int64) {
	const (
		perTokenDuring, perTokenAfter = 450, 350
		perByte                       = 3
	)
	return int64(p.tokens)*perTokenDuring + perByte*int64(len(p.Text)), int64(p.tokens)*perTokenAfter + perByte*int64(len(p.Text))
}

// forGrammar is the text that PostgreSQL's grammar knows, but for our own statements.
func (p Piece) forGrammar() string {
	if p.travels != nil {
		return p.masked
	}
	return p.Text
}

// ours are words that our own statements and clauses have and PostgreSQL's haven't.
type ours uint8

const (
	oursSubscribe ours = 1 << iota
	oursJournals
	oursOf // of AS OF CUT and AS OF TIMESTAMP
	oursShow
	oursVerify
	oursSkip
	oursFetch
)

// Split takes a text apart at its semicolons, as PostgreSQL does: not in strings,
// quoted identifiers, comments or brackets. Statements that are empty, or
// only comments, are left out. Parse all pieces before running the first:
// PostgreSQL refuses a text as a whole if any statement in it can't be parsed.
//
// Errors are *Error: text that isn't UTF-8 (22021), a limit (54000, 54001).
func Split(sql string) ([]Piece, error) {
	if len(sql) > MaxText {
		return nil, errorf(CodeLimit, "text of %d bytes is longer than %d bytes", len(sql), MaxText).hinted(hintCopy)
	}
	if err := checkEncoding(sql); err != nil {
		return nil, err
	}
	s := splitter{lex: lexer{text: sql}}
	for {
		t := s.lex.next()
		if t.kind == tokenEnd || s.isSeparator(t) {
			if err := s.endPiece(); err != nil {
				return nil, err
			}
			if t.kind == tokenEnd {
				return s.pieces, nil
			}
			continue
		}
		if err := s.add(t); err != nil {
			return nil, err
		}
	}
}

const hintCopy = "Send many rows with COPY ... FROM STDIN."

// checkEncoding refuses what PostgreSQL's UTF-8 can't hold. A zero byte would end the
// text for the grammar, and hide the rest of it.
func checkEncoding(sql string) error {
	if strings.Contains(sql, "\x00") {
		return errorf(CodeBadEncoding, `invalid byte sequence for encoding "UTF8": 0x00`)
	}
	if utf8.ValidString(sql) {
		return nil
	}
	for i, r := range sql {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(sql[i:]); size == 1 {
				return errorf(CodeBadEncoding, `invalid byte sequence for encoding "UTF8": 0x%02x`, sql[i])
			}
		}
	}
	return errorf(CodeBadEncoding, `invalid byte sequence for encoding "UTF8"`)
}

// splitter holds the piece being read: its tokens so far, and the characters counted
// up to the byte offset counted.
type splitter struct {
	lex    lexer
	pieces []Piece

	tokens     int
	begin, end int
	words      ours
	nest       nesting
	brackets   int

	chars, counted int
}

// isSeparator tells whether t ends a statement. Rules and SQL function bodies in
// parentheses hold semicolons too.
func (s *splitter) isSeparator(t token) bool {
	if t.kind != tokenOther || t.end-t.begin != 1 {
		return false
	}
	switch s.lex.text[t.begin] {
	case '(', '[':
		s.brackets++
	case ')', ']':
		s.brackets = max(0, s.brackets-1)
	case ';':
		return s.brackets == 0
	}
	return false
}

func (s *splitter) add(t token) error {
	if s.tokens == 0 {
		s.begin = t.begin
	}
	s.tokens++
	s.end = t.end
	if s.tokens > MaxTokens {
		return s.tooMuch(errorf(CodeLimit, "statement has more than %d tokens", MaxTokens).hinted(hintCopy))
	}
	text := s.lex.text[t.begin:t.end]
	if t.kind == tokenWord {
		s.words |= wordOf(text)
	}
	if !s.nest.add(t.kind, text) {
		return s.tooMuch(errTooDeep())
	}
	return nil
}

func errTooDeep() *Error {
	return errorf(CodeTooComplex, "stack depth limit exceeded").
		hinted("The statement is nested too deeply: at most 500 operators, calls or set operations may stand within each other, and 250 queries.")
}

// tooMuch gives an error the position of the statement that is being read.
func (s *splitter) tooMuch(e *Error) error {
	e.Position = s.countTo(s.begin) + 1
	return e
}

// endPiece ends the statement that is being read, if it has any tokens.
func (s *splitter) endPiece() error {
	defer func() { s.tokens, s.words, s.brackets, s.nest = 0, 0, 0, nesting{levels: s.nest.levels[:0]} }()
	if s.tokens == 0 {
		return nil
	}
	if s.nest.depth() > MaxNesting {
		return s.tooMuch(errTooDeep())
	}
	if len(s.pieces) == MaxStatements {
		return s.tooMuch(errorf(CodeLimit, "text has more than %d statements", MaxStatements))
	}
	s.pieces = append(s.pieces, Piece{
		Text: s.lex.text[s.begin:s.end], Begin: s.begin, End: s.end, chars: s.countTo(s.begin), words: s.words, tokens: s.tokens,
	})
	return nil
}

// countTo returns the number of characters before offset, which never goes back.
func (s *splitter) countTo(offset int) int {
	s.chars += utf8.RuneCountInString(s.lex.text[s.counted:offset])
	s.counted = offset
	return s.chars
}

// wordOf tells which of our own words a word is.
func wordOf(word string) ours {
	switch len(word) {
	case len("of"):
		if strings.EqualFold(word, "of") {
			return oursOf
		}
	case len("show"):
		switch {
		case strings.EqualFold(word, "show"):
			return oursShow
		case strings.EqualFold(word, "skip"):
			return oursSkip
		}
	case len("fetch"):
		if strings.EqualFold(word, "fetch") {
			return oursFetch
		}
	case len("verify"):
		if strings.EqualFold(word, "verify") {
			return oursVerify
		}
	case len("journals"):
		if strings.EqualFold(word, "journals") {
			return oursJournals
		}
	case len("subscribe"):
		if strings.EqualFold(word, "subscribe") {
			return oursSubscribe
		}
	}
	return 0
}
