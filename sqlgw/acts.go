package sqlgw

import (
	"context"
	"strconv"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// acting is a dialect with the functions that do something to a session. A call is a query of one
// value, which is done when the engine reads it: once for each execution, and not when a statement is only
// described. Its arguments have to be constants or parameters.
type acting struct {
	parse.Dialect
	state  viewState
	tokens *[]string
}

// Function answers for pg_cancel_backend and pg_terminate_backend.
func (a acting) Function(c parse.Call) (*parse.Template, error) {
	do := a.act(c)
	if do == nil {
		return a.Dialect.Function(c)
	}
	pid, err := a.pid(c)
	if err != nil {
		return nil, err
	}
	columns := []columnar.Column{{Name: "done", Type: columnar.Type{Kind: columnar.Bool}}}
	token := a.state.session.gateway.scans.add(duck.Scan{Columns: columns, Open: func(context.Context, []int) (duck.Source, error) {
		v := columnar.NewVectorBuilder(columns[0].Type)
		of := a.state.session.gateway.roster.find(pid())
		if of != nil && !a.state.mayActOn(of) {
			return nil, sqlError("42501", "must be a member of the role whose process is to be ended or canceled")
		}
		v.AppendBool(do(of))
		return &batchSource{left: []*columnar.Batch{{Len: 1, Cols: []columnar.Vector{v.Vector()}}}}, nil
	}})
	*a.tokens = append(*a.tokens, token)
	return parse.NewTemplate("(SELECT bs_call.done FROM " + scanFunction + "('" + token + "') AS bs_call WHERE CAST($1 AS INTEGER) IS NOT NULL)")
}

// pid is the process id that a call is about, once the query runs. That of none is -1.
func (a acting) pid(c parse.Call) (func() int64, error) {
	switch arg := c.Args[0]; arg.Kind {
	case parse.Number:
		pid, err := strconv.ParseInt(arg.Text, 10, 32)
		if err != nil {
			return nil, &parse.Error{Code: "22003", Message: "integer out of range"}
		}
		return func() int64 { return pid }, nil
	case parse.Param:
		return func() int64 { return integerArg(a.state.args, arg.Param) }, nil
	default:
		return nil, &parse.Error{
			Code: parse.CodeNotSupported, Message: "function " + c.Name + " of anything but a constant or a parameter is not supported",
			Hint: "Ask for the process id first, and call the function with it.",
		}
	}
}

// integerArg is an argument, -1 if it is NULL or no integer.
func integerArg(args *columnar.Batch, number int) int64 {
	if args == nil || number > len(args.Cols) {
		return -1
	}
	v := &args.Cols[number-1]
	switch {
	case v.IsNull(0):
	case v.Type.Kind == columnar.Int16:
		return int64(v.I16[0])
	case v.Type.Kind == columnar.Int32:
		return int64(v.I32[0])
	case v.Type.Kind == columnar.Int64:
		return v.I64[0]
	}
	return -1
}

// act is what a function does to another session, and whether that was there; nil if it is none of these.
func (a acting) act(c parse.Call) func(*activity) bool {
	if c.Schema != "" || c.Star || c.InFrom {
		return nil
	}
	switch {
	case c.Name == "pg_cancel_backend" && len(c.Args) == 1:
		return func(of *activity) bool {
			if of != nil {
				of.line.Cancel()
			}
			return of != nil
		}
	case c.Name == "pg_terminate_backend" && len(c.Args) == 1:
		return func(of *activity) bool {
			if of != nil {
				of.line.End(&pgwire.Error{Severity: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"})
			}
			return of != nil
		}
	}
	return nil
}
