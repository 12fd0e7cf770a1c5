package protocol

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// Whoever may apply a spec hands us a program to run: Go's templates can count to
// 2^63 and double a string a hundred times. So what a path postfix template can do
// is bounded, in time and in memory, by these rules:
//
//   - Its text, and every string that a function of it makes, is at most so long.
//   - range is over labels, stores or values of a label only, and not in another.
//   - It defines and calls no other templates.
const (
	maxPostfixTemplate = 4 << 10
	maxPostfixString   = 4 << 10
	// Digits of a width or precision that a format may give.
	maxPostfixWidth = 3
)

// parsePostfix parses the template and refuses what can't be bounded.
func parsePostfix(text string) (*template.Template, error) {
	if len(text) > maxPostfixTemplate {
		return nil, invalid("path postfix template of %d bytes (expected <= %d)", len(text), maxPostfixTemplate)
	}
	tpl, err := template.New("postfix").Funcs(boundedFuncs()).Parse(text)
	if err != nil {
		return nil, invalid("%s", err)
	}
	if len(tpl.Templates()) > 1 {
		return nil, invalid("a path postfix template may not define other templates")
	}
	if tpl.Tree == nil || tpl.Root == nil { // It has no text but comments.
		return tpl, nil
	}
	return tpl, boundedNode(tpl.Root, false)
}

// boundedNode checks a node of a template and all below it.
func boundedNode(node parse.Node, ranging bool) error {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, child := range n.Nodes {
			if err := boundedNode(child, ranging); err != nil {
				return err
			}
		}
		return nil
	case *parse.IfNode:
		return boundedLists(ranging, n.List, n.ElseList)
	case *parse.WithNode:
		return boundedLists(ranging, n.List, n.ElseList)
	case *parse.RangeNode:
		if ranging {
			return invalid("a path postfix template may not range in a range (%s)", n.Pipe)
		}
		if !boundedRange(n.Pipe) {
			return invalid("a path postfix template may range over Labels, Stores and ValuesOf only (%s)", n.Pipe)
		}
		return boundedLists(true, n.List, n.ElseList)
	case *parse.TemplateNode:
		return invalid("a path postfix template may not call other templates (%q)", n.Name)
	default:
		return nil
	}
}

func boundedLists(ranging bool, lists ...*parse.ListNode) error {
	for _, list := range lists {
		if err := boundedNode(list, ranging); err != nil {
			return err
		}
	}
	return nil
}

// boundedRange tells whether the pipe is a field or method, and no number.
func boundedRange(pipe *parse.PipeNode) bool {
	if len(pipe.Cmds) != 1 {
		return false
	}
	field, ok := pipe.Cmds[0].Args[0].(*parse.FieldNode)
	return ok && slices.Contains([]string{"Labels", "Stores", "ValuesOf"}, field.Ident[len(field.Ident)-1])
}

// boundedFuncs take the place of the built-in functions that make strings.
func boundedFuncs() template.FuncMap {
	bound := func(f func(args ...any) string) func(args ...any) (string, error) {
		return func(args ...any) (string, error) { return boundedString(f(args...)) }
	}
	return template.FuncMap{
		"print":    bound(fmt.Sprint),
		"println":  bound(fmt.Sprintln),
		"html":     bound(template.HTMLEscaper),
		"js":       bound(template.JSEscaper),
		"urlquery": bound(template.URLQueryEscaper),
		"printf": func(format string, args ...any) (string, error) {
			if !boundedFormat(format) {
				return "", invalid("printf %q asks for too wide a field", format)
			}
			return boundedString(fmt.Sprintf(format, args...))
		},
	}
}

func boundedString(s string) (string, error) {
	if len(s) > maxPostfixString {
		return "", invalid("a path postfix template made a string of %d bytes (expected <= %d)", len(s), maxPostfixString)
	}
	return s, nil
}

// boundedFormat tells whether no verb of the format is wide, nor asks its arguments
// how wide it is.
func boundedFormat(format string) bool {
	digits := 0
	for _, r := range format {
		switch {
		case r == '*':
			return false
		case r >= '0' && r <= '9':
			if digits++; digits > maxPostfixWidth {
				return false
			}
		default:
			digits = 0
		}
	}
	return true
}

// postfixTime is a time, always UTC, whose Format is bounded: a layout can double
// itself too. It has those methods of time.Time that a path may need, and none that
// returns a time.Time.
type postfixTime struct{ at time.Time }

// Format is that of time.Time, as are the others.
func (t postfixTime) Format(layout string) (string, error) {
	return boundedString(t.at.Format(layout))
}

func (t postfixTime) String() string        { return t.at.String() }
func (t postfixTime) UTC() postfixTime      { return t }
func (t postfixTime) IsZero() bool          { return t.at.IsZero() }
func (t postfixTime) Unix() int64           { return t.at.Unix() }
func (t postfixTime) UnixMilli() int64      { return t.at.UnixMilli() }
func (t postfixTime) UnixNano() int64       { return t.at.UnixNano() }
func (t postfixTime) Year() int             { return t.at.Year() }
func (t postfixTime) YearDay() int          { return t.at.YearDay() }
func (t postfixTime) Month() time.Month     { return t.at.Month() }
func (t postfixTime) Weekday() time.Weekday { return t.at.Weekday() }
func (t postfixTime) Day() int              { return t.at.Day() }
func (t postfixTime) Hour() int             { return t.at.Hour() }
func (t postfixTime) Minute() int           { return t.at.Minute() }
func (t postfixTime) Second() int           { return t.at.Second() }

// boundedBuilder is a strings.Builder that takes no more than a path may have.
type boundedBuilder struct{ strings.Builder }

// Write fails once the output is too long.
func (b *boundedBuilder) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxPathComponent {
		return 0, invalid("path postfix is longer than %d bytes", maxPathComponent)
	}
	return b.Builder.Write(p)
}
