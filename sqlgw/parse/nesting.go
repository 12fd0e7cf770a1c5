package parse

import "strings"

// nesting estimates from the tokens of a statement how deep its tree will be, never
// too low. Brackets nest, and so does every operator of an unbracketed chain:
// 1+1+1 is a tree of depth 2. What stands beside each other in a list doesn't: a comma
// starts anew at its bracket's level, and so do AND and OR, whose chains the grammar
// makes flat and which bind less than all operators. Joins and set operations hold
// both sides of those, so they are counted apart.
//
// Invariant: for each open bracket there is one level; the first is the statement's.
type nesting struct {
	levels []nestLevel
}

type nestLevel struct {
	open    byte // '(' '[', or 'c' for CASE; 0 at the bottom
	between int  // BETWEENs whose AND is still to come
	selects bool // a SELECT was seen
	// Depths: ops and inside are of the current term, whose depth is their sum; terms is
	// the deepest term of the current list item; joins are of that item; items is the
	// deepest item; setOps are of all items.
	ops, inside, terms, joins, items, setOps int
	dotted                                   bool // the last token was a dot: a keyword after it is a name
}

// Weights of what takes more of the C stack than one operator.
const (
	weightSelect = 3
	weightCase   = 2
)

func (l *nestLevel) endTerm() {
	l.terms = max(l.terms, l.ops+l.inside)
	l.ops, l.inside = 0, 0
}

func (l *nestLevel) endItem() {
	l.endTerm()
	l.items = max(l.items, l.terms+l.joins)
	l.terms, l.joins = 0, 0
}

// add takes the next token. It returns false once too many brackets are open.
func (n *nesting) add(kind tokenKind, text string) bool {
	if len(n.levels) == 0 {
		n.levels = append(n.levels, nestLevel{})
	}
	top := &n.levels[len(n.levels)-1]
	dotted := top.dotted
	top.dotted = kind == tokenOther && text == "."
	switch kind {
	case tokenOperator:
		top.ops++
	case tokenOther:
		n.bracket(top, text)
	case tokenWord:
		if !dotted {
			n.word(top, text)
		}
	case tokenEnd, tokenQuoted, tokenString, tokenNumber, tokenParam:
	}
	return len(n.levels) <= MaxNesting
}

func (n *nesting) bracket(top *nestLevel, text string) {
	switch text {
	case "(", "[":
		n.levels = append(n.levels, nestLevel{open: text[0]})
	case ")":
		n.close('(')
	case "]":
		n.close('[')
	case ",":
		top.endItem()
	case ".":
	default:
		top.ops++
	}
}

func (n *nesting) word(top *nestLevel, text string) {
	if len(text) < len("or") || len(text) > len("intersect") {
		return
	}
	switch strings.ToUpper(text) {
	case "AND":
		if top.between > 0 {
			top.between--
			return
		}
		top.endTerm()
	case "OR":
		top.endTerm()
	case "JOIN":
		top.endTerm()
		top.joins++
	case "UNION", "INTERSECT", "EXCEPT":
		top.setOps++
	case "SELECT":
		if !top.selects {
			top.setOps += weightSelect
		}
		top.selects = true
	case "BETWEEN":
		top.between++
		top.ops++
	case "CASE":
		n.levels = append(n.levels, nestLevel{open: 'c', setOps: weightCase - 1})
	case "END":
		if top.open == 'c' {
			n.pop()
		}
	case "NOT", "IS", "ISNULL", "NOTNULL", "COLLATE", "AT", "LIKE", "ILIKE", "SIMILAR", "IN", "ESCAPE", "OPERATOR", "OVERLAPS":
		top.ops++
	}
}

// close ends the innermost level of a bracket, and the unfinished CASEs in it. A bracket
// that was never opened is the grammar's to report.
func (n *nesting) close(open byte) {
	for i := len(n.levels) - 1; i > 0; i-- {
		if n.levels[i].open == open {
			for len(n.levels) > i {
				n.pop()
			}
			return
		}
	}
}

func (n *nesting) pop() {
	last := len(n.levels) - 1
	depth := n.levels[last].depth() + 1
	n.levels = n.levels[:last]
	above := &n.levels[last-1]
	above.inside = max(above.inside, depth)
}

func (l *nestLevel) depth() int {
	l.endItem()
	return l.items + l.setOps
}

// depth of the whole statement, at its end.
func (n *nesting) depth() int {
	for len(n.levels) > 1 {
		n.pop()
	}
	if len(n.levels) == 0 {
		return 0
	}
	return n.levels[0].depth()
}
