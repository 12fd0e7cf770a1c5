package parse

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// grammarVersion is that of the trees of pg_query_go v6.2.5, which it wants to be told.
const grammarVersion = 170007

// placeholder is the name that stands for source i until the tree is printed. It is
// hard to guess.
func (b *binder) placeholder(i int) string { return "bs_source_" + b.nonce + "_" + strconv.Itoa(i) }

// print gives DuckDB's text of a tree: PostgreSQL's, with the sources in their places, and in
// double quotes the names that DuckDB takes for words of its grammar.
func (b *binder) print(tree *pg.Node) (string, error) {
	var text string
	var err error
	left := b.binding.apart(func() {
		text, err = pg.Deparse(&pg.ParseResult{Version: grammarVersion, Stmts: []*pg.RawStmt{{Stmt: tree}}})
	})
	if left != nil {
		return "", left
	}
	if err != nil {
		return "", b.src.atStart(notPrinted("statement", err))
	}
	prefix := b.placeholder(0)
	prefix = prefix[:len(prefix)-1]
	var out strings.Builder
	lex := lexer{text: text}
	done := 0
	for t := lex.next(); t.kind != tokenEnd; t = lex.next() {
		word := text[t.begin:t.end]
		if t.kind != tokenWord {
			continue
		}
		replacement := ""
		if number, ok := strings.CutPrefix(word, prefix); ok {
			i, err := strconv.Atoi(number)
			if err != nil || i >= len(b.sources) {
				return "", b.src.atStart(errorf(CodeSyntax, "name %q stands for nothing", word))
			}
			replacement = b.sources[i]
		} else if isDuckDBWord(word) {
			replacement = `"` + word + `"`
		}
		if replacement != "" {
			out.WriteString(text[done:t.begin])
			out.WriteString(replacement)
			done = t.end
		}
	}
	out.WriteString(text[done:])
	return out.String(), nil
}

// isDuckDBWord tells whether a name that PostgreSQL prints without quotes is a word that DuckDB
// keeps for its grammar. PostgreSQL prints the words of its own grammar in capitals.
func isDuckDBWord(word string) bool {
	switch word {
	case "describe", "lambda", "pivot", "pivot_longer", "pivot_wider", "qualify", "show", "summarize", "unpivot",
		"anti", "asof", "at", "by", "columns", "generated", "glob", "map", "positional", "semi", "struct", "try_cast", "unpack":
		return true
	}
	return false
}
