package pgwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// runner is what a verb does.
type runner = func(ctx context.Context, p *fakePortal, w ResultWriter, limit int) (bool, error)

// verbs do what no statement of PostgreSQL does: they block, flood, panic, and break the
// contract of sessions. Each is of one column of text, or if its name begins with "copy-" of
// none.
func verbs(n int) map[string]runner {
	done := func(w ResultWriter) (bool, error) {
		w.Complete("DONE")
		return true, nil
	}
	row := func(w ResultWriter, width int) error {
		out := w.Row(1)
		out.Put(append(out.Begin(), strings.Repeat("x", width)...))
		return out.End()
	}
	return map[string]runner{
		"block":     block(func(ctx context.Context) error { return ctx.Err() }),
		"block-own": block(func(context.Context) error { return &Error{Code: "55P03", Message: "the session's own error"} }),
		"block-ok":  block(func(context.Context) error { return nil }),
		"row-and-wait": func(ctx context.Context, p *fakePortal, w ResultWriter, limit int) (bool, error) {
			if err := errors.Join(row(w, 3), w.Flush()); err != nil {
				return false, err
			}
			return block(func(ctx context.Context) error { return ctx.Err() })(ctx, p, w, limit)
		},
		"flood": func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
			return false, p.session.flood(func() error { return row(w, n) })
		},
		"flood-deaf": func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
			_ = p.session.flood(func() error { return row(w, n) })
			for range 1000 {
				_ = row(w, n)
			}
			return done(w)
		},
		"copy-flood": func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
			if err := w.CopyOut(1, false); err != nil {
				return false, err
			}
			return false, p.session.flood(func() error { return w.CopyData(make([]byte, n)) })
		},
		"rows": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			for range n {
				if err := row(w, 100); err != nil {
					return false, err
				}
			}
			return done(w)
		},
		"huge": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			if err := errors.Join(row(w, 1), row(w, n)); err != nil {
				return false, err
			}
			return done(w)
		},
		"copy-huge": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			if err := errors.Join(w.CopyOut(1, false), w.CopyData([]byte("a\n")), w.CopyData(make([]byte, n))); err != nil {
				return false, err
			}
			return true, nil
		},
		"logged": func(_ context.Context, p *fakePortal, w ResultWriter, limit int) (bool, error) {
			for sent := 0; limit == 0 || sent < limit; sent++ {
				if p.next++; p.next > n {
					return done(w)
				}
				if err := row(w, p.next); err != nil {
					return false, err
				}
			}
			return false, nil
		},
		"copy-count": func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
			size, err := countCopy(p, w)
			if err != nil {
				return false, err
			}
			w.Complete("COPY " + strconv.Itoa(size))
			return true, nil
		},
		"copy-deaf": func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
			_, _ = countCopy(p, w)
			return done(w)
		},
		"notices": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			for range n {
				w.Notice(&Error{Message: strings.Repeat("x", 1000)})
			}
			return done(w)
		},
		"odd-error": func(context.Context, *fakePortal, ResultWriter, int) (bool, error) { return false, errors.New("odd") },
		"wrapped": func(context.Context, *fakePortal, ResultWriter, int) (bool, error) {
			return false, fmt.Errorf("table t: %w", &Error{Code: "42P01", Message: "gone", Detail: "d", Hint: "h"})
		},
		"bytes-error": func(context.Context, *fakePortal, ResultWriter, int) (bool, error) {
			return false, &Error{Code: "bad", Message: "zero \x00 and \xff"}
		},
		"fatal": func(context.Context, *fakePortal, ResultWriter, int) (bool, error) {
			return false, &Error{Severity: "FATAL", Code: "57P03", Message: "not now"}
		},
		"set": func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
			p.session.params.SetParameter("a", "x")
			p.session.params.SetParameter("b", strings.Repeat("é", n))
			p.session.params.SetParameter("a", "y")
			return done(w)
		},
	}
}

// breaches are verbs that break the contract of sessions.
func breaches() map[string]runner {
	column := func(r RowWriter) { r.Put(append(r.Begin(), "x"...)) }
	boom := func(string) runner {
		return func(context.Context, *fakePortal, ResultWriter, int) (bool, error) { panic("boom") }
	}
	return map[string]runner{
		"panic":       boom(""),
		"parse-panic": boom(""),
		"panic-close": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			w.Complete("DONE")
			return true, nil
		},
		"panic-row": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			column(w.Row(2))
			panic("boom")
		},
		"error-row": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			r := w.Row(1)
			column(r)
			_ = r.End()
			column(w.Row(1))
			return false, &Error{Code: "22012", Message: "division by zero"}
		},
		"notice-row": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			r := w.Row(1)
			w.Notice(&Error{Code: "01000", Severity: "WARNING", Message: "in a row", DataType: "d", Constraint: "c"})
			column(r)
			_ = r.End()
			w.Row(1)
			w.Notice(&Error{Message: "in a row that is dropped"})
			w.Complete("DONE")
			return true, nil
		},
		"flush-row": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			r := w.Row(1)
			_ = w.Flush()
			column(r)
			_ = r.End()
			w.Complete("DONE")
			return true, nil
		},
		"short-row": rowOf(func(r RowWriter) {}),
		"long-row":  rowOf(func(r RowWriter) { column(r); r.Null() }),
		"open-row": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			column(w.Row(1))
			w.Complete("DONE")
			return true, nil
		},
		"two-rows": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			column(w.Row(1))
			r := w.Row(1)
			column(r)
			return true, r.End()
		},
		"end-twice": rowOf(func(r RowWriter) { column(r); _ = r.End() }),
		"no-tag":    func(context.Context, *fakePortal, ResultWriter, int) (bool, error) { return true, nil },
		"early":     func(context.Context, *fakePortal, ResultWriter, int) (bool, error) { return false, nil },
		"not-done": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			w.Complete("DONE")
			return false, nil
		},
		"two-tags": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			w.Complete("ONE")
			w.Complete("TWO")
			return true, nil
		},
		"row-after-end": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			w.Complete("DONE")
			r := w.Row(1)
			column(r)
			_ = r.End()
			return true, nil
		},
		"over-limit": func(_ context.Context, _ *fakePortal, w ResultWriter, limit int) (bool, error) {
			for range limit + 1 {
				r := w.Row(1)
				column(r)
				_ = r.End()
			}
			return false, nil
		},
		"copy-row": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			r := w.Row(1)
			column(r)
			_ = r.End()
			w.Complete("DONE")
			return true, nil
		},
		"copy-open": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			_ = w.CopyOut(1, false)
			w.Complete("COPY 0")
			return true, nil
		},
		"copy-twice": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			_ = w.CopyOut(1, false)
			return true, w.CopyOut(1, false)
		},
		"copy-data-alone": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			return true, w.CopyData([]byte("x"))
		},
		"copy-end-alone": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			return true, w.EndCopyOut()
		},
		"copy-unread": func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
			_, _ = w.CopyIn(1, false)
			w.Complete("COPY 0")
			return true, nil
		},
	}
}

func rowOf(write func(RowWriter)) runner {
	return func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
		r := w.Row(1)
		write(r)
		_ = r.End() // what End says is said again
		w.Complete("DONE")
		return true, nil
	}
}

// compileVerb: a verb and a number, or "wide" and "params" with a number of columns or
// parameters.
func compileVerb(text string) (behaviour, error) {
	verb, rest, _ := strings.Cut(text, " ")
	n, _ := strconv.Atoi(rest)
	b := behaviour{columns: []Column{textColumn("x")}}
	switch verb {
	case "wide":
		b.columns = make([]Column, n)
	case "params":
		b.params = make([]uint32, n)
		for i := range b.params {
			b.params[i] = 25
		}
		verb = "no-tag"
	case "bind-panic":
		b.bind = func(*fakeSession) error { panic("boom") }
	}
	if strings.HasPrefix(verb, "copy-") || verb == "set" || verb == "panic-close" || verb == "fatal" {
		b.columns = nil
	}
	run, ok := verbs(n)[verb]
	if !ok {
		run, ok = breaches()[verb]
	}
	if !ok && b.bind == nil && verb != "wide" {
		return b, &Error{Code: "42601", Message: "no verb is called " + verb}
	}
	b.run = run
	return b, nil
}

// block waits for the end of the call's context.
func block(result func(context.Context) error) runner {
	return func(ctx context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		p.session.events.add("block begins")
		<-ctx.Done()
		p.session.events.add("block ends: %v", context.Cause(ctx))
		if err := result(ctx); err != nil {
			return false, err
		}
		w.Complete("DONE")
		return true, nil
	}
}

// flood writes until that fails.
func (s *fakeSession) flood(write func() error) error {
	s.events.add("flood begins")
	for {
		if err := write(); err != nil {
			s.events.add("flood ends: %v", err)
			return err
		}
	}
}

// countCopy counts the bytes of a COPY.
func countCopy(p *fakePortal, w ResultWriter) (int, error) {
	r, err := w.CopyIn(1, false)
	if err != nil {
		return 0, err
	}
	p.session.events.add("copy begins")
	buf := make([]byte, 32<<10)
	size, told := 0, false
	for {
		n, err := r.Read(buf)
		if size += n; n > 0 && !told {
			told = true
			p.session.events.add("copy has data")
		}
		if !utf8.Valid(buf[:n]) {
			return size, &Error{Code: "22021", Message: "not text"}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return size, nil
			}
			p.session.events.add("copy ends: %v", err)
			return size, err
		}
	}
}
