package pgwire

import (
	"context"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// These are the statements of PostgreSQL that a fakeSession knows by heart.

func intColumn(name string) Column {
	return Column{Name: name, TypeOID: 23, TypeSize: 4, TypeMod: -1}
}

func textColumn(name string) Column {
	return Column{Name: name, TypeOID: 25, TypeSize: -1, TypeMod: -1}
}

// known statement: a pattern, and what it does with what the pattern found.
type known struct {
	pattern *regexp.Regexp
	make    func(found []string) behaviour
}

// learn returns all known statements.
func learn() []known {
	divided := func(k, n string) func(i int) (*string, error) {
		at, _ := strconv.Atoi(k)
		return func(i int) (*string, error) {
			if i == at {
				return nil, &Error{Code: "22012", Message: "division by zero"}
			}
			return number(1 / (at - i)), nil
		}
	}
	plain := func(i int) (*string, error) { return number(i), nil }
	var all []known
	for pattern, do := range map[string]func([]string) behaviour{
		`select`:                  func([]string) behaviour { return constants(nil) },
		`select (\d+(?:, ?\d+)*)`: func(f []string) behaviour { return constants(strings.Split(f[1], ",")) },
		`select 1/0`:              func([]string) behaviour { return dividedByZero() },
		`select generate_series\(1, ?(\d{1,4})\)`:                                       func(f []string) behaviour { return rows("generate_series", f[1], plain) },
		`select 1/\((\d+)-g\) from generate_series\(1,(\d{1,4})\) g`:                    func(f []string) behaviour { return rows("?column?", f[2], divided(f[1], f[2])) },
		`select \$1::(int|text)`:                                                        func(f []string) behaviour { return parameter(f[1]) },
		`select count\(\*\) from t`:                                                     func([]string) behaviour { return counted() },
		`insert into t values \(1\)(.*?)( returning a)?`:                                func(f []string) behaviour { return inserted(1+strings.Count(f[1], "("), f[2] != "") },
		`create temp table t\(a int\)`:                                                  func([]string) behaviour { return tagged("CREATE TABLE") },
		`copy t from stdin`:                                                             func([]string) behaviour { return copiedIn() },
		`copy \(select generate_series\(1,(\d{1,4})\)\) to stdout( binary)?`:            func(f []string) behaviour { return copiedOut(f[1], f[2] != "", plain) },
		`copy \(select 1/\((\d+)-g\) from generate_series\(1,(\d{1,4})\) g\) to stdout`: func(f []string) behaviour { return copiedOut(f[2], false, divided(f[1], f[2])) },
		`set application_name ?= ?'(.*)'`:                                               func(f []string) behaviour { return assigned(f[1]) },
		`show application_name`:                                                         func([]string) behaviour { return shown() },
		`do \$\$begin raise notice '(.*)'; end\$\$`:                                     func(f []string) behaviour { return noticed(f[1]) },
		`begin`:    func([]string) behaviour { return transaction("BEGIN", 'T') },
		`commit`:   func([]string) behaviour { return transaction("COMMIT", 'I') },
		`rollback`: func([]string) behaviour { return transaction("ROLLBACK", 'I') },
	} {
		all = append(all, known{regexp.MustCompile("^" + pattern + "$"), do})
	}
	return append(all, learnNames()...)
}

// compile finds out what a statement does.
func (b *fakeBackend) compile(sql string) (behaviour, error) {
	if verb, ok := strings.CutPrefix(sql, "!"); ok && !b.plain {
		return compileVerb(verb)
	}
	for _, k := range b.known {
		if found := k.pattern.FindStringSubmatch(sql); found != nil {
			return k.make(found), nil
		}
	}
	first, _, _ := strings.Cut(sql, " ")
	return behaviour{}, &Error{Code: "42601", Message: fmt.Sprintf("syntax error at or near %q", first), Position: 1}
}

func constants(values []string) behaviour {
	cols := make([]Column, len(values))
	texts := make([]*string, len(values))
	for i := range values {
		v := strings.TrimSpace(values[i])
		cols[i], texts[i] = intColumn("?column?"), &v
	}
	return behaviour{columns: cols, run: func(_ context.Context, p *fakePortal, w ResultWriter, limit int) (bool, error) {
		if p.next++; p.next > 1 {
			w.Complete("SELECT 0")
			return true, nil
		}
		if err := writeValues(w, cols, texts...); err != nil {
			return false, err
		}
		if limit == 1 {
			return false, nil
		}
		w.Complete("SELECT 1")
		return true, nil
	}}
}

func dividedByZero() behaviour {
	return behaviour{columns: []Column{intColumn("?column?")}, bind: func(*fakeSession) error { return &Error{Code: "22012", Message: "division by zero"} }}
}

func rows(name, n string, value func(int) (*string, error)) behaviour {
	count, _ := strconv.Atoi(n)
	cols := []Column{intColumn(name)}
	return behaviour{columns: cols, run: series(cols, count, "SELECT", value)}
}

func parameter(typ string) behaviour {
	cols := []Column{intColumn("int4")}
	if typ == "text" {
		cols = []Column{textColumn("text")}
	}
	return behaviour{params: []uint32{cols[0].TypeOID}, columns: cols, run: func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		if err := writeValues(w, cols, p.args...); err != nil {
			return false, err
		}
		w.Complete("SELECT 1")
		return true, nil
	}}
}

func counted() behaviour {
	cols := []Column{{Name: "count", TypeOID: 20, TypeSize: 8, TypeMod: -1}}
	return behaviour{columns: cols, run: func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		if err := writeValues(w, cols, number(p.session.table)); err != nil {
			return false, err
		}
		w.Complete("SELECT 1")
		return true, nil
	}}
}

func inserted(n int, returning bool) behaviour {
	cols := []Column{intColumn("a")}
	write := series(cols, n, "INSERT 0", func(i int) (*string, error) { return number(i), nil })
	b := behaviour{run: func(ctx context.Context, p *fakePortal, w ResultWriter, limit int) (bool, error) {
		if p.next == 0 {
			p.session.table += n
		}
		if returning {
			return write(ctx, p, w, limit)
		}
		w.Complete("INSERT 0 " + strconv.Itoa(n))
		return true, nil
	}}
	if returning {
		b.columns = cols
	}
	return b
}

func tagged(tag string) behaviour {
	return behaviour{run: func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
		w.Complete(tag)
		return true, nil
	}}
}

func transaction(tag string, status byte) behaviour {
	return behaviour{run: func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		if tag == "COMMIT" && p.session.tx == 'E' {
			tag = "ROLLBACK"
		}
		p.session.tx = status
		if tag == "ROLLBACK" {
			p.session.names.DropPortals(func(string, Portal) bool { return true })
		}
		w.Complete(tag)
		return true, nil
	}}
}

func copiedIn() behaviour {
	return behaviour{run: func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		r, err := w.CopyIn(1, false)
		if err != nil {
			return false, err
		}
		end := false
		kept := 0
		_, err = readCopy(r, func(line string) error {
			if end = end || line == `\.`; end {
				return nil
			}
			if _, err := strconv.ParseInt(line, 10, 32); err != nil {
				return &Error{Code: "22P02", Message: fmt.Sprintf("invalid input syntax for type integer: %q", line)}
			}
			kept++
			return nil
		})
		if err != nil {
			return false, err
		}
		p.session.table += kept
		w.Complete("COPY " + strconv.Itoa(kept))
		return true, nil
	}}
}

func copiedOut(n string, bin bool, value func(int) (*string, error)) behaviour {
	count, _ := strconv.Atoi(n)
	return behaviour{run: func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
		if err := w.CopyOut(1, bin); err != nil {
			return false, err
		}
		header := []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
		for i := 1; i <= count; i++ {
			v, err := value(i)
			if err != nil {
				return false, err
			}
			data := []byte(*v + "\n")
			if bin {
				data = binary.BigEndian.AppendUint32(append(header, 0, 1, 0, 0, 0, 4), uint32(i))
				header = nil
			}
			if err := w.CopyData(data); err != nil {
				return false, err
			}
		}
		if bin {
			if err := w.CopyData([]byte{0xff, 0xff}); err != nil {
				return false, err
			}
		}
		if err := w.EndCopyOut(); err != nil {
			return false, err
		}
		w.Complete("COPY " + n)
		return true, nil
	}}
}

func assigned(value string) behaviour {
	return behaviour{run: func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		p.session.application = value
		p.session.params.SetParameter("application_name", value)
		w.Complete("SET")
		return true, nil
	}}
}

func shown() behaviour {
	cols := []Column{textColumn("application_name")}
	return behaviour{columns: cols, run: func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		if err := writeValues(w, cols, &p.session.application); err != nil {
			return false, err
		}
		w.Complete("SHOW")
		return true, nil
	}}
}

func noticed(text string) behaviour {
	return behaviour{run: func(_ context.Context, _ *fakePortal, w ResultWriter, _ int) (bool, error) {
		w.Notice(&Error{Code: "00000", Message: text})
		w.Complete("DO")
		return true, nil
	}}
}
