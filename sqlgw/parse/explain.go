package parse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Explain tells how a statement would be run: a *Select, an *Insert, or the *Declare of a query.
type Explain struct {
	at
	Statement Statement
	// Analyze: the statement is run, and what happened is told.
	Analyze bool
	// Verbose tells of each journal, Costs what the engine expects, Buffers what came from the cache of heads, Timing how
	// long each operator took, Summary how long planning and running took.
	Verbose, Costs, Buffers, Timing, Summary bool
	// JSON: it is told as one document.
	JSON bool
}

// explain converts EXPLAIN. Its options are PostgreSQL's, of which the last of a name counts.
func (s source) explain(n *pg.ExplainStmt) (*Explain, error) {
	st := &Explain{at: s.position(), Costs: true}
	r := explainOptions{explain: st}
	for _, node := range n.GetOptions() {
		def := node.GetDefElem()
		if err := r.read(def); err != nil {
			return nil, s.at(err, def.GetLocation())
		}
	}
	if err := r.finish(); err != nil {
		return nil, s.atStart(err)
	}
	var err error
	if st.Statement, err = s.statement(n.GetQuery()); err != nil {
		return nil, err
	}
	switch inner := st.Statement.(type) {
	case *Select:
		return st, nil
	case *Insert:
		if st.Analyze {
			return nil, s.atStart(refuse("EXPLAIN ANALYZE of INSERT")).hinted("EXPLAIN (ANALYZE) takes its query by itself.")
		}
		return st, nil
	case *Declare:
		if inner.Query != nil {
			return st, nil
		}
	}
	return nil, s.atStart(refuse("EXPLAIN of a statement other than SELECT, INSERT and DECLARE"))
}

// explainOptions are those of an EXPLAIN while they are read.
type explainOptions struct {
	explain            *Explain
	timing, summary    bool // given
	wal, settings, xml string
}

func (o *explainOptions) read(def *pg.DefElem) *Error {
	name, x := def.GetDefname(), o.explain
	if name == "format" {
		return o.readFormat(def)
	}
	flags := map[string]*bool{
		"analyze": &x.Analyze, "verbose": &x.Verbose, "costs": &x.Costs, "buffers": &x.Buffers, "timing": &x.Timing, "summary": &x.Summary,
		"wal": new(bool), "settings": new(bool),
	}
	flag := flags[name]
	if flag == nil {
		return errorf(CodeSyntax, "unrecognized EXPLAIN option %q", name)
	}
	value, ok := copyBoolean(def)
	if !ok {
		return errorf(CodeSyntax, "%s requires a Boolean value", name)
	}
	*flag = value
	switch name {
	case "timing":
		o.timing = true
	case "summary":
		o.summary = true
	case "wal", "settings":
		given := &o.wal
		if name == "settings" {
			given = &o.settings
		}
		*given = ""
		if value {
			*given = strings.ToUpper(name)
		}
	}
	return nil
}

func (o *explainOptions) readFormat(def *pg.DefElem) *Error {
	o.xml, o.explain.JSON = "", false
	switch value, _ := optionValue(def.GetArg()); value {
	case "text":
	case "json":
		o.explain.JSON = true
	case "xml", "yaml":
		o.xml = "FORMAT " + strings.ToUpper(value)
	default:
		return errorf(CodeInvalidParameter, "unrecognized value for EXPLAIN option %q: %q", def.GetDefname(), value)
	}
	return nil
}

// finish checks the options together, and sets those that weren't given.
func (o *explainOptions) finish() *Error {
	x := o.explain
	requires := func(name string) *Error {
		return errorf(CodeInvalidParameter, "EXPLAIN option %s requires ANALYZE", name)
	}
	switch {
	case o.wal != "" && !x.Analyze:
		return requires(o.wal)
	case x.Timing && !x.Analyze:
		return requires("TIMING")
	case x.Buffers && !x.Analyze: // there is nothing that planning would have read
		return requires("BUFFERS")
	}
	for _, name := range []string{o.wal, o.settings, o.xml} {
		if name != "" {
			return refuse("EXPLAIN option " + name)
		}
	}
	if !o.timing {
		x.Timing = x.Analyze
	}
	if !o.summary {
		x.Summary = x.Analyze
	}
	return nil
}
