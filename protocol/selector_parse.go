package protocol

import "strings"

// ParseLabelSelector reads expressions that are separated by commas:
//
//	k = v, k == v     the name has the value
//	k != v            the name doesn't have the value
//	k in (a, b)       the name has one of the values
//	k notin (a, b)    the name has none of the values ("not in" does as well)
//	k                 the name has a value
//	!k                the name has no value
//
// A name may end in ":prefix", and then values are prefixes. One space may stand
// between tokens, and a comma at the end. The empty text is the selector that
// matches all.
func ParseLabelSelector(text string) (*LabelSelector, error) {
	out := &LabelSelector{Include: new(LabelSet), Exclude: new(LabelSet)}
	for p := (selectorParser{rest: text}); p.rest != ""; {
		e, err := p.expression()
		if err != nil {
			return nil, within("selector", err)
		}
		set := out.GetInclude()
		if e.exclude {
			set = out.GetExclude()
		}
		for _, v := range e.values {
			set.add(&Label{Name: e.name, Value: v, Prefix: e.prefix})
		}
	}
	if err := out.Validate(); err != nil {
		return nil, within("selector", err)
	}
	return out, nil
}

// selectorExpression is one expression. It has at least one value.
type selectorExpression struct {
	name    string
	prefix  bool
	exclude bool
	values  []string
}

// selectorParser consumes expressions from the front of its text.
type selectorParser struct{ rest string }

// expression takes one expression, and the comma after it.
func (p *selectorParser) expression() (selectorExpression, error) {
	start := p.rest
	var e selectorExpression
	p.space()
	bang := p.token("!")
	p.space()
	e.name = p.run(tokenRunes)
	e.prefix = p.token(prefixSuffix)
	if e.name == "" {
		return e, invalid("expected a label name at %q", start)
	}
	spaced := p.space()
	switch {
	case bang:
		e.exclude, e.values = true, []string{""}
	case p.token("=="), p.token("="):
		e.values = []string{p.value()}
	case p.token("!="):
		e.exclude, e.values = true, []string{p.value()}
	case spaced && p.token("in"):
		e.values = p.list()
	case spaced && (p.token("notin") || p.token("not in")):
		e.exclude, e.values = true, p.list()
	default:
		e.values = []string{""}
	}
	p.space()
	if e.values == nil {
		return e, invalid("expected values in parentheses at %q", start)
	}
	if p.rest != "" && !p.token(",") {
		return e, invalid("expected an expression, and then a comma or the end, at %q", start)
	}
	return e, nil
}

// token takes the token if it is next.
func (p *selectorParser) token(t string) bool {
	rest, found := strings.CutPrefix(p.rest, t)
	p.rest = rest
	return found
}

// space takes one space if it is next.
func (p *selectorParser) space() bool { return p.token(" ") }

// run takes all runes of the alphabet that are next.
func (p *selectorParser) run(a alphabet) string {
	n := strings.IndexFunc(p.rest, func(r rune) bool { return !a.has(r) })
	if n < 0 {
		n = len(p.rest)
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

// value takes a value, possibly empty, and the space before it.
func (p *selectorParser) value() string {
	p.space()
	return p.run(pathRunes)
}

// list takes values in parentheses, with a comma between them and perhaps after
// the last. It returns nil if there are none.
func (p *selectorParser) list() []string {
	p.space()
	if !p.token("(") {
		return nil
	}
	for out := []string(nil); ; {
		p.space()
		if p.token(")") {
			return out
		}
		out = append(out, p.run(pathRunes))
		p.space()
		if !p.token(",") && !strings.HasPrefix(p.rest, ")") {
			return nil
		}
	}
}
