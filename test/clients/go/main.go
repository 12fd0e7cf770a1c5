// Command clients runs the steps of a Go client, pgx or lib/pq, and prints a line for each. It is a module of its
// own, so that nothing of lib/pq is in ours.
package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
)

const (
	long = "SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n::bigint * b.n % 7 = 3"
	// active counts the sessions of a number that run it.
	active = "SELECT count(*) FROM bs_catalog.sessions WHERE pid = %d AND state = 'active' AND query LIKE '%%generate_series%%'"
)

var (
	table  = os.Getenv("CLIENT_TABLE")
	secure = os.Getenv("PGSSLMODE") != "disable"
)

func main() {
	clients := map[string]func() error{"pgx": pgxSteps, "pq": pqSteps}
	run, known := clients[strings.Join(os.Args[1:], " ")]
	if !known {
		fmt.Fprintln(os.Stderr, "it is 'clients pgx' or 'clients pq'")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Println("connect:", err)
	}
}

// step says how one ended.
func step(name string, err error) {
	if err == nil {
		fmt.Println(name + ": ok")
		return
	}
	fmt.Println(name + ": " + strings.Join(strings.Fields(err.Error()), " "))
}

func same(got, want any) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("it is %#v, not %#v", got, want)
}

// fails wants an error of an SQLSTATE, which both clients' errors tell.
func fails(err error, state string) error {
	var coded interface{ SQLState() string }
	if !errors.As(err, &coded) {
		return fmt.Errorf("it is %w, not %s", err, state)
	}
	return same(coded.SQLState(), state)
}

// says wants an error with a text in it.
func says(err error, text string) error {
	if err == nil || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("it is %v, not %s", err, text) //nolint:errorlint // it may be nil
	}
	return nil
}

// text is what stands in a row of shop.kinds, for a client's row as texts.
func texts(row []any) string {
	var b strings.Builder
	for i, v := range row {
		if i > 0 {
			b.WriteByte('|')
		}
		switch v := v.(type) {
		case nil:
			b.WriteString("NULL")
		case []byte:
			fmt.Fprintf(&b, "%q", v)
		default:
			fmt.Fprint(&b, v)
		}
	}
	return b.String()
}
