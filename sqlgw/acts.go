package sqlgw

import (
	"context"
	"strconv"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// actCall is one call of a function that does something to a session, in one row of a statement. Its arguments were computed
// by the engine; the call is made by the session itself when the row is sent, while the engine isn't asked for anything.
type actCall struct {
	session *session
	state   viewState
	w       pgwire.ResultWriter
	name    string
	args    []columnar.Vector
	row     int
}

func (c *actCall) null(i int) bool   { return c.args[i].IsNull(c.row) }
func (c *actCall) text(i int) string { return string(c.args[i].Str.Value(c.row)) }
func (c *actCall) truth(i int) bool  { return !c.null(i) && c.args[i].Bools[c.row] != 0 }

func (c *actCall) integer(i int) int64 {
	if v := &c.args[i]; v.Type.Kind == columnar.Int32 {
		return int64(v.I32[c.row])
	}
	return c.args[i].I64[c.row]
}

// actOf is what a function does. Its result is a bool, a text, which is empty for void, or nil for NULL.
func actOf(name string) func(context.Context, *actCall) (any, error) {
	switch name {
	case "pg_notify":
		return notifyAct
	case "set_config":
		return setConfigAct
	case "current_setting":
		return settingAct
	case "pg_sleep", "pg_sleep_for":
		return sleepAct
	case "pg_cancel_backend":
		return cancelAct
	case "pg_terminate_backend":
		return terminateAct
	case "pg_advisory_unlock_all":
		return unlockAllAct
	default:
		return lockAct
	}
}

// actColumns are the columns of a statement as it is told of: each call is one.
func (q *query) actColumns(engine []pgwire.Column) []pgwire.Column {
	acts := q.parsed.Acts()
	if len(acts) == 0 {
		return engine
	}
	var out []pgwire.Column
	for i := 0; i < len(engine); {
		if len(acts) == 0 || acts[0].Column != i {
			out = append(out, engine[i])
			i++
			continue
		}
		t, _ := q.session.gateway.pg.Type(acts[0].Returns)
		out = append(out, pgwire.Column{Name: engine[i].Name, TypeOID: t.OID, TypeSize: t.Size, TypeMod: -1})
		i += acts[0].Columns()
		acts = acts[1:]
	}
	return out
}

// write sends rows [from, to) of the batch. Calls are made row by row, from left to right, each before its row is sent.
func (e *queryExecution) write(ctx context.Context, w pgwire.ResultWriter, from, to int) error {
	acts := e.query.parsed.Acts()
	if len(acts) == 0 {
		return writeRows(w, e.batch, from, to, e.told())
	}
	for row := from; row < to; row++ {
		results := make([]any, len(acts))
		for i, a := range acts {
			call := &actCall{session: e.query.session, state: e.state, w: w, name: a.Name, args: e.batch.Cols[a.Column : a.Column+a.Args], row: row}
			var err error
			if results[i], err = actOf(a.Name)(ctx, call); err != nil {
				return err
			}
		}
		if err := e.writeActed(w, acts, results, row); err != nil {
			return err
		}
	}
	return nil
}

// writeActed sends one row with the results of its calls.
func (e *queryExecution) writeActed(w pgwire.ResultWriter, acts []parse.Act, results []any, row int) error {
	n := len(e.batch.Cols) + len(acts)
	for _, a := range acts {
		n -= a.Columns()
	}
	out := w.Row(n)
	for i, at := 0, 0; at < len(e.batch.Cols); i++ {
		if len(acts) > 0 && acts[0].Column == at {
			writeResult(out, results[0], w.Binary(i))
			at += acts[0].Columns()
			acts, results = acts[1:], results[1:]
			continue
		}
		switch v := &e.batch.Cols[at]; {
		case v.IsNull(row):
			out.Null()
		case w.Binary(i):
			out.Put(e.presenter.appendBinary(out.Begin(), at, v, row))
		default:
			out.Put(e.told().style.Append(out.Begin(), v, row))
		}
		at++
	}
	return out.End()
}

func writeResult(out pgwire.RowWriter, result any, binary bool) {
	switch r := result.(type) {
	case string:
		out.Put(append(out.Begin(), r...))
	case bool:
		b := map[bool]byte{true: 't', false: 'f'}[r]
		if binary {
			b = map[bool]byte{true: 1, false: 0}[r]
		}
		out.Put(append(out.Begin(), b))
	default:
		out.Null()
	}
}

func notifyAct(_ context.Context, c *actCall) (any, error) {
	channel, payload := "", ""
	if !c.null(0) {
		channel = c.text(0)
	}
	if !c.null(1) {
		payload = c.text(1)
	}
	return "", c.session.inTransaction().speech.notify(channel, payload)
}

// setConfigAct is SET as a function. NULL is the first value.
func setConfigAct(ctx context.Context, c *actCall) (any, error) {
	if c.null(0) {
		return nil, sqlError("22004", "SET requires parameter name")
	}
	if err := parse.ForbiddenSetting(c.text(0)); err != nil {
		return nil, parseError(err)
	}
	var value *string
	if !c.null(1) {
		text := c.text(1)
		value = &text
	}
	if err := c.session.assign(ctx, c.text(0), value, c.truth(2)); err != nil {
		return nil, err
	}
	e, err := c.session.settings.find(c.text(0))
	if err != nil {
		return nil, err
	}
	return c.session.shownNow(ctx, e.name)
}

// settingAct is current_setting beside set_config.
func settingAct(ctx context.Context, c *actCall) (any, error) {
	if c.null(0) || len(c.args) == 2 && c.null(1) {
		return nil, nil
	}
	e, _, err := c.session.settings.get(c.text(0))
	if err != nil {
		if len(c.args) == 2 && c.truth(1) {
			return nil, nil
		}
		return nil, err
	}
	return c.session.shownNow(ctx, e.name)
}

// sleepAct waits: the engine is free meanwhile.
func sleepAct(ctx context.Context, c *actCall) (any, error) {
	if c.null(0) {
		return nil, nil
	}
	var d time.Duration
	if v := &c.args[0]; v.Type.Kind == columnar.Interval {
		const day = 24 * time.Hour
		x := v.Intervals[c.row]
		d = time.Duration(x.Months)*30*day + time.Duration(x.Days)*day + time.Duration(x.Micros)*time.Microsecond
	} else {
		const most = 1 << 32 // seconds, beyond which nobody waits
		d = time.Duration(max(0, min(v.F64[c.row], most)) * float64(time.Second))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return "", nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// reach finds the session that a call is about, if the caller may act on it; nil, after a warning, if there is none.
func (c *actCall) reach(superuser, member string) (*activity, error) {
	pid := c.integer(0)
	of := c.session.gateway.roster.find(pid)
	if of == nil {
		c.session.warn(c.w, "01000", "PID "+strconv.FormatInt(pid, 10)+" is not a PostgreSQL backend process")
		return nil, nil
	}
	if c.state.mayActOn(of) {
		return of, nil
	}
	if theirs, ok := c.state.snap.Role(of.user); !ok || theirs.Superuser {
		return nil, sqlError("42501", "%s", superuser)
	}
	return nil, sqlError("42501", "%s", member)
}

func cancelAct(_ context.Context, c *actCall) (any, error) {
	if c.null(0) {
		return nil, nil
	}
	of, err := c.reach("must be a superuser to cancel superuser query", "must be a member of the role whose query is being canceled or member of pg_signal_backend")
	if of != nil {
		of.line.Cancel()
	}
	return of != nil, err
}

// terminateAct ends a session, and waits for its end if it is told for how long.
func terminateAct(ctx context.Context, c *actCall) (any, error) {
	if c.null(0) || len(c.args) == 2 && c.null(1) {
		return nil, nil
	}
	patience := time.Duration(0)
	if len(c.args) == 2 {
		ms := c.integer(1)
		if ms < 0 {
			return nil, sqlError("22003", `"timeout" must not be negative`)
		}
		patience = time.Duration(min(ms, 1<<32)) * time.Millisecond
	}
	of, err := c.reach("must be a superuser to terminate superuser process", "must be a member of the role whose process is being terminated or member of pg_signal_backend")
	if of == nil {
		return false, err
	}
	of.line.End(&pgwire.Error{Severity: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"})
	if patience == 0 || of == c.session.activity {
		return true, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-of.gone:
		return true, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
		c.session.warn(c.w, "01000", "backend with PID "+strconv.FormatInt(int64(of.pid), 10)+" did not terminate within "+
			strconv.FormatInt(patience.Milliseconds(), 10)+" milliseconds")
		return false, nil
	}
}
