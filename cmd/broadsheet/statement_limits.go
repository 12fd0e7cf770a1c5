package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// statementLimitFlags bound what a statement of a Postgres client may take.
type statementLimitFlags struct {
	queries             int
	rows                int64
	timeout, maxTimeout time.Duration
}

func (f *statementLimitFlags) add(p *pflag.FlagSet) {
	p.IntVar(&f.queries, "sql-max-queries", 0, "most queries that read tables at a time; others wait. 0 is as many as there is memory for, 8 at most, beyond which no number goes")
	p.Int64Var(&f.rows, "sql-max-rows", 0, "most rows that a query may return; a session may say less with broadsheet.max_rows. 0 is no bound")
	p.DurationVar(&f.timeout, "sql-statement-timeout", 0, "statement_timeout of sessions that say no other; 0 is none")
	p.DurationVar(&f.maxTimeout, "sql-max-statement-timeout", 0, "longest that a statement may take, whatever its session says; 0 is no bound")
}

// maxStatementTimeout is the longest that a flag may say: PostgreSQL's, in milliseconds.
const maxStatementTimeout = (1<<31 - 1) * time.Millisecond

func (f *statementLimitFlags) validate() error {
	if f.queries < 0 || f.queries > maxConnections {
		return fmt.Errorf("--sql-max-queries: %d is out of 0 to %d", f.queries, maxConnections)
	}
	if f.rows < 0 {
		return fmt.Errorf("--sql-max-rows: %d is negative", f.rows)
	}
	for name, d := range map[string]time.Duration{"sql-statement-timeout": f.timeout, "sql-max-statement-timeout": f.maxTimeout} {
		if d < 0 || d > maxStatementTimeout || d != d.Truncate(time.Millisecond) {
			return fmt.Errorf("--%s: %s isn't a whole number of milliseconds up to %s", name, d, maxStatementTimeout)
		}
	}
	if f.maxTimeout > 0 && f.timeout > f.maxTimeout {
		return fmt.Errorf("--sql-statement-timeout: %s is over --sql-max-statement-timeout %s", f.timeout, f.maxTimeout)
	}
	return nil
}

// args are the flags again, for a process that is started.
func (f *statementLimitFlags) args() []string {
	return []string{
		"--sql-max-queries", strconv.Itoa(f.queries), "--sql-max-rows", strconv.FormatInt(f.rows, 10),
		"--sql-statement-timeout", f.timeout.String(), "--sql-max-statement-timeout", f.maxTimeout.String(),
	}
}
