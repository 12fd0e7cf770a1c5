package parse

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// tables is the catalog of the scenario files.
func tables() map[string][]string {
	return map[string][]string{
		"t": {"a", "b", "c"}, "u": {"a", "d"}, "v": {"a", "b", "e"}, "subscribe": {"journals", "cut"},
		"pg_class": {"oid", "relname", "relnamespace", "relkind", "relowner", "relam"},
	}
}

// bindTo resolves names in tables. Relations have metadata columns if the query names any.
func bindTo(q *Select, dialect Dialect) Binding {
	return Binding{Dialect: dialect, Relation: func(r Relation) (Target, error) {
		cols, ok := tables()[r.Name.Name]
		if !ok {
			return Target{}, errorf(CodeUndefinedTable, "relation %q does not exist", r.String())
		}
		target := Target{SQL: "scan('" + r.Name.Name + "')", Schema: "public", Columns: cols}
		if q.UsesMeta() {
			target.Hidden = metaColumns()
		}
		return target, nil
	}}
}

// TestScenarios runs the scenario files. Their commands:
//
//	split    the statements of a text, with their byte offsets
//	parse    what each statement of a text is
//	sql      a query's relations and parameters, and the SQL that DuckDB gets
//	refuse   for each line: the SQLSTATE, position and message of its error
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "split":
				return splitText(d.Input)
			case "parse":
				return parseText(d.Input)
			case "sql":
				return printText(d.Input)
			case "refuse":
				return refuseLines(d.Input)
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

func splitText(input string) string {
	pieces, err := Split(input)
	if err != nil {
		return describe(err)
	}
	var out strings.Builder
	for _, p := range pieces {
		fmt.Fprintf(&out, "[%d,%d) %q\n", p.Begin, p.End, p.Text)
	}
	return out.String()
}

// describe an error in full.
func describe(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return "not an *Error: " + err.Error() + "\n"
	}
	s := fmt.Sprintf("%s at %d: %s\n", e.Code, e.Position, e.Message)
	if e.Detail != "" {
		s += "  detail: " + e.Detail + "\n"
	}
	if e.Hint != "" {
		s += "  hint: " + e.Hint + "\n"
	}
	return s
}

func parseText(input string) string {
	pieces, err := Split(input)
	if err != nil {
		return describe(err)
	}
	var out strings.Builder
	for _, p := range pieces {
		st, err := Parse(p)
		if err != nil {
			out.WriteString(describe(err))
			continue
		}
		fmt.Fprintf(&out, "%d %s\n", st.Position(), show(st))
	}
	return out.String()
}

// show prints a statement; queries in it as PostgreSQL would.
func show(st Statement) string {
	kind := strings.TrimPrefix(fmt.Sprintf("%T", st), "*parse.")
	switch s := st.(type) {
	case *Select:
		return kind + " " + showQuery(s)
	case *Insert:
		text := fmt.Sprintf("%s %s columns=%q %s", kind, s.Table, s.Columns, showQuery(s.Source))
		if s.Returning != nil {
			text += fmt.Sprintf(" returning %+v from %+v", s.Returning.Items, s.Returning.Query.Relations())
		}
		return text
	case *CopyFrom:
		return fmt.Sprintf("%s %s columns=%q %s", kind, s.Table, s.Columns, showOptions(s.Options))
	case *CopyTo:
		if s.Subscribe != nil {
			return kind + " (" + show(s.Subscribe) + ") " + showOptions(s.Options)
		}
		return kind + " (" + showQuery(s.Query) + ") " + showOptions(s.Options)
	case *Subscribe:
		if s.Table != nil {
			return kind + " table " + s.Table.String() + ": " + showQuery(s.Query)
		}
		return kind + " " + showQuery(s.Query)
	case *CreateTable, *DropTable, *CreateSchema, *DropSchema:
		return showTable(kind, s)
	case *CreateView:
		return fmt.Sprintf("%s %s columns=%q replace=%t invoker=%t: %s", kind, s.View, s.Columns, s.Replace, s.SecurityInvoker, showQuery(s.Query))
	case *DropView:
		return fmt.Sprintf("%s %v ifExists=%t cascade=%t", kind, s.Views, s.IfExists, s.Cascade)
	case *AlterView:
		invoker := "as it is"
		if s.SecurityInvoker != nil {
			invoker = strconv.FormatBool(*s.SecurityInvoker)
		}
		return fmt.Sprintf("%s %s ifExists=%t rename=%q schema=%q owner=%v invoker=%s", kind, s.View, s.IfExists, s.Rename, s.Schema, s.Owner, invoker)
	case *Show:
		return fmt.Sprintf("%s %q", kind, s.Name)
	case *Set:
		return fmt.Sprintf("%s %q to %q local=%v", kind, s.Name, s.Values, s.Local)
	case *Reset:
		return fmt.Sprintf("%s %q", kind, s.Name)
	case *SetTransaction:
		return fmt.Sprintf("%s session=%v %+v", kind, s.Session, s.Modes)
	case *Begin:
		return fmt.Sprintf("%s start=%v %+v", kind, s.Start, s.Modes)
	case *Commit:
		return fmt.Sprintf("%s chain=%v", kind, s.Chain)
	case *Rollback:
		return fmt.Sprintf("%s chain=%v", kind, s.Chain)
	case *Savepoint:
		return fmt.Sprintf("%s %q", kind, s.Name)
	case *Release:
		return fmt.Sprintf("%s %q", kind, s.Name)
	case *RollbackTo:
		return fmt.Sprintf("%s %q", kind, s.Name)
	default:
		return showNamed(kind, s)
	}
}

// showNamed describes the statements about what has a name in the session.
func showNamed(kind string, st Statement) string {
	switch s := st.(type) {
	case *Explain:
		return kind + " of " + show(s.Statement)
	case *CreateTempAs:
		return fmt.Sprintf("%s %s columns=%q %+v: %s", kind, s.Table, s.Columns, s.OnCommit, showQuery(s.Query))
	case *Change:
		return fmt.Sprintf("%s %s %s columns=%q: %s", kind, s.Command(), s.Table, s.Columns, showQuery(s.Query))
	case *Prepare:
		return fmt.Sprintf("%s %q %v\n  %s", kind, s.Name, s.Types, show(s.Statement))
	case *Execute:
		out := fmt.Sprintf("%s %q", kind, s.Name)
		if s.Args != nil {
			literals, ok := s.Args.Literals()
			out += fmt.Sprintf(" literals=%v %v", ok, literals)
		}
		return out
	case *Deallocate:
		return fmt.Sprintf("%s %q", kind, s.Name)
	case *Discard:
		return fmt.Sprintf("%s %s", kind, s.What)
	case *Declare:
		out := fmt.Sprintf("%s %q hold=%v binary=%v scroll=%d", kind, s.Name, s.Hold, s.Binary, s.Scroll)
		if s.Subscribe != nil {
			return out + "\n  " + show(s.Subscribe)
		}
		return out + "\n  " + showQuery(s.Query)
	case *Fetch:
		out := fmt.Sprintf("%s %q move=%v direction=%d count=%d", kind, s.Cursor, s.Move, s.Direction, s.Count)
		if s.Timeout != nil {
			out += fmt.Sprintf(" timeout=%q", *s.Timeout)
		}
		return out
	case *CloseCursor:
		return fmt.Sprintf("%s %q", kind, s.Name)
	case *Listen:
		return fmt.Sprintf("%s %q", kind, s.Channel)
	case *Unlisten:
		return fmt.Sprintf("%s %q", kind, s.Channel)
	case *Notify:
		return fmt.Sprintf("%s %q %q", kind, s.Channel, s.Payload)
	default:
		return showDeclared(kind, st)
	}
}

// showTable shows the statements that make and drop tables and schemas.
func showTable(kind string, st Statement) string {
	switch s := st.(type) {
	case *CreateTable:
		var out strings.Builder
		fmt.Fprintf(&out, "%s %s ifNotExists=%v journals=%q", kind, s.Table, s.IfNotExists, s.Journals)
		for _, c := range s.Columns {
			fmt.Fprintf(&out, "\n  %s %s notNull=%v", c.Name, c.Type, c.NotNull)
			if c.Default != "" {
				fmt.Fprintf(&out, " default=%s", c.Default)
			}
		}
		out.WriteString(showConstraints(s.Constraints))
		for _, o := range s.Options {
			fmt.Fprintf(&out, "\n  with %s=%q at %d", o.Name, o.Value, o.Position)
		}
		return out.String()
	case *DropTable:
		return fmt.Sprintf("%s %v ifExists=%v", kind, s.Tables, s.IfExists)
	case *CreateSchema:
		return fmt.Sprintf("%s %q ifNotExists=%v", kind, s.Name, s.IfNotExists)
	default:
		drop := st.(*DropSchema)
		return fmt.Sprintf("%s %q ifExists=%v", kind, drop.Names, drop.IfExists)
	}
}

func showConstraints(list []Constraint) string {
	var out strings.Builder
	for _, c := range list {
		fmt.Fprintf(&out, "\n  constraint %c %q %q", c.Kind, c.Name, c.Columns)
		if c.Kind == ForeignKey {
			fmt.Fprintf(&out, " references %s %q update=%s delete=%s full=%v", c.References, c.RefColumns, c.OnUpdate, c.OnDelete, c.MatchFull)
		}
		if c.Check != "" {
			out.WriteString(" check=" + c.Check)
		}
		if c.Deferrable {
			fmt.Fprintf(&out, " deferrable deferred=%v", c.Deferred)
		}
	}
	return out.String()
}

// showDeclared prints the statements that declare things.
func showDeclared(kind string, st Statement) string {
	switch s := st.(type) {
	case *AlterTable:
		return fmt.Sprintf("%s %s ifExists=%v%s", kind, s.Table, s.IfExists, showActions(s.Actions))
	case *RenameIndex:
		return fmt.Sprintf("%s %s ifExists=%v to %q", kind, s.Object, s.IfExists, s.To)
	case *RenameSequence:
		return fmt.Sprintf("%s %s ifExists=%v to %q", kind, s.Object, s.IfExists, s.To)
	case *CreateIndex:
		return fmt.Sprintf("%s %q on %s %s %q %v unique=%v where=%q ifNotExists=%v", kind, s.Name, s.Table, s.Method, s.Columns, s.Options, s.Unique, s.Where, s.IfNotExists)
	case *CreateSequence:
		var numbers strings.Builder
		for _, n := range []*int64{s.Start, s.Increment, s.Min, s.Max, s.Cache} {
			if n == nil {
				numbers.WriteString(" -")
			} else {
				fmt.Fprintf(&numbers, " %d", *n)
			}
		}
		return fmt.Sprintf("%s %s %s%s cycle=%v", kind, s.Sequence, s.Type, numbers.String(), s.Cycle)
	case *CreateFunction:
		return fmt.Sprintf("%s %s %v returns %s set=%v language %s %q %s strict=%v replace=%v", kind, s.Function, s.Arguments, s.Returns, s.Set, s.Language, s.Body, s.Volatility, s.Strict, s.Replace)
	case *Comment:
		text := "none"
		if s.Text != nil {
			text = fmt.Sprintf("%q", *s.Text)
		}
		return fmt.Sprintf("%s on %s %s %q is %s", kind, s.Kind, s.Object, s.Member, text)
	case *Drop:
		return fmt.Sprintf("%s %s %v ifExists=%v", kind, s.Kind, s.Objects, s.IfExists)
	case *Maintain:
		return fmt.Sprintf("%s %s %v", kind, s.Command, s.Tables)
	default:
		return showRole(kind, st)
	}
}

// showQuery is the query with each relation as it was named, or why it can't be printed.
func showQuery(q *Select) string {
	text, err := q.SQL(Binding{Relation: func(r Relation) (Target, error) {
		return Target{SQL: r.String(), Columns: tables()[r.Name.Name]}, nil
	}})
	if err != nil {
		return "| " + strings.TrimSpace(describe(err))
	}
	return "| " + text
}

func showAsOf(a *AsOf) string {
	if a == nil {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, " %s at %d", a.Clause(), a.Position)
	switch {
	case a.Now:
		s.WriteString(" now")
	case a.Text != nil:
		fmt.Fprintf(&s, " %q", *a.Text)
	default:
		fmt.Fprintf(&s, " $%d", a.Param)
	}
	for _, x := range a.Shifts {
		s.WriteString(map[bool]string{true: " -", false: " +"}[x.Back] + x.Interval)
	}
	return s.String()
}

func showOptions(o CopyOptions) string {
	switch o.Format {
	case CopyBinary:
		return "binary"
	case CopyText:
		return fmt.Sprintf("text header=%d delimiter=%q null=%q", o.Header, o.Delimiter, o.Null)
	default:
		forced := ""
		if o.ForceQuoteAll || o.ForceQuote != nil || o.ForceNotNull != nil || o.ForceNull != nil {
			forced = fmt.Sprintf(" forceQuote=%t,%q forceNotNull=%q forceNull=%q", o.ForceQuoteAll, o.ForceQuote, o.ForceNotNull, o.ForceNull)
		}
		return fmt.Sprintf("csv header=%d delimiter=%q null=%q quote=%q escape=%q", o.Header, o.Delimiter, o.Null, o.Quote, o.Escape) + forced
	}
}

func printText(input string) string {
	pieces, err := Split(input)
	if err != nil {
		return describe(err)
	}
	var out strings.Builder
	for _, p := range pieces {
		q, err := queryOfPiece(p)
		if err != nil {
			out.WriteString(describe(err))
			continue
		}
		for _, r := range q.Relations() {
			fmt.Fprintf(&out, "relation %d at %d: %s as %s meta=%q%s\n", r.Index, r.Position, r, r.Alias, r.Meta, showAsOf(r.AsOf))
		}
		for _, p := range q.Parameters() {
			fmt.Fprintf(&out, "parameter $%d at %d: %q%v\n", p.Number, p.Position, p.Type, p.TypeMods)
		}
		text, err := q.SQL(bindTo(q, nil))
		if err != nil {
			out.WriteString(describe(err))
			continue
		}
		out.WriteString(text + "\n")
	}
	return out.String()
}

// queryOfPiece is the query of a statement that is or holds one.
func queryOfPiece(p Piece) (*Select, error) {
	st, err := Parse(p)
	if err != nil {
		return nil, err
	}
	return queryIn(st)
}

func queryIn(st Statement) (*Select, error) {
	switch s := st.(type) {
	case *Select:
		return s, nil
	case *Insert:
		return s.Source, nil
	case *Prepare:
		return queryIn(s.Statement)
	case *Explain:
		return queryIn(s.Statement)
	case *Change:
		return s.Query, nil
	case *CreateTempAs:
		return s.Query, nil
	case *Execute:
		if s.Args != nil {
			return s.Args, nil
		}
	case *Declare:
		if s.Query != nil {
			return s.Query, nil
		}
		return s.Subscribe.Query, nil
	case *CopyTo:
		if s.Query != nil {
			return s.Query, nil
		}
		return s.Subscribe.Query, nil
	case *Subscribe:
		return s.Query, nil
	}
	return nil, refuse("a statement without a query")
}

// refuseLines gives the error of each line; a line that has none is told.
func refuseLines(input string) string {
	var out strings.Builder
	for line := range strings.SplitSeq(input, "\n") {
		out.WriteString(refuseLine(line))
	}
	return out.String()
}

func refuseLine(line string) string {
	pieces, err := Split(line)
	if err != nil {
		return describe(err)
	}
	if len(pieces) == 0 {
		return "no statement\n"
	}
	for _, p := range pieces {
		st, err := Parse(p)
		if err != nil {
			return describe(err)
		}
		q, err := queryOfPiece(p)
		if err != nil {
			continue // no query, and nothing to refuse
		}
		if text, err := q.SQL(bindTo(q, nil)); err != nil {
			return describe(err)
		} else if p.End == pieces[len(pieces)-1].End {
			return fmt.Sprintf("ACCEPTED %T: %s\n", st, text)
		}
	}
	return "ACCEPTED\n"
}

func mustQuery(t *testing.T, sql string) *Select {
	t.Helper()
	pieces, err := Split(sql)
	require.NoError(t, err)
	require.Len(t, pieces, 1)
	q, err := queryOfPiece(pieces[0])
	require.NoError(t, err, sql)
	return q
}
