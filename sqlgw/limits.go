package sqlgw

import (
	"errors"
	"strconv"
	"time"
)

// Limits bound what a statement may take. Zero is no bound.
type Limits struct {
	// Rows are the most that a query may return; a session may say less, with broadsheet.max_rows.
	Rows int64
	// Timeout is statement_timeout where neither the client nor the session has said another one.
	Timeout time.Duration
	// MaxTimeout is the longest that a statement may take, whatever the session says.
	MaxTimeout time.Duration
}

// Validate tells what is wrong with them.
func (l Limits) Validate() error {
	if l.Rows < 0 || l.Timeout < 0 || l.MaxTimeout < 0 {
		return errors.New("sqlgw: Limits can't be negative")
	}
	if l.MaxTimeout > 0 && l.Timeout > l.MaxTimeout {
		return errors.New("sqlgw: Limits: Timeout is over MaxTimeout")
	}
	return nil
}

// timeout is what holds of a session's statement_timeout; zero is none.
func (l Limits) timeout(said time.Duration) time.Duration {
	if l.MaxTimeout > 0 && (said == 0 || said > l.MaxTimeout) {
		return l.MaxTimeout
	}
	return said
}

// settingMaxRows bounds the rows of a query.
const settingMaxRows = "broadsheet.max_rows"

// rowBound is a number of rows; 0 is no bound.
func rowBound(v string) (string, bool) {
	n, err := strconv.ParseInt(v, 10, 64)
	return strconv.FormatInt(n, 10), err == nil && n >= 0
}

// limit gives a session's settings what the limits say: their first values, and what isn't taken. A statement_timeout over MaxTimeout is
// taken all the same, for there are clients that begin with setting it to 0.
func (s *settings) limit(l Limits) {
	for i := range s.table {
		switch e := &s.table[i]; e.name {
		case "statement_timeout":
			if normal, ok := duration(strconv.FormatInt(l.Timeout.Milliseconds(), 10)); ok {
				e.initial = normal
			}
		case settingMaxRows:
			e.initial = strconv.FormatInt(l.Rows, 10)
			if l.Rows > 0 {
				e.hint = "1 to " + e.initial
				e.check = func(v string) (string, bool) {
					normal, ok := rowBound(v)
					n, _ := strconv.ParseInt(normal, 10, 64)
					return normal, ok && n > 0 && n <= l.Rows
				}
			}
		}
	}
}

// maxRows is the most rows that a query of the session may return; zero is no bound.
func (s *settings) maxRows() int64 {
	n, _ := strconv.ParseInt(s.value(settingMaxRows), 10, 64)
	return n
}

// returning counts rows that are about to be returned, and refuses those beyond the session's bound.
func (e *queryExecution) returning(rows int) error {
	e.returned += int64(rows)
	if most := e.query.session.settings.maxRows(); most > 0 && e.returned > most {
		return hinted(sqlError("53400", "the query has more than %d rows, the most that may be returned", most),
			"Ask for fewer rows, or raise "+settingMaxRows+" as far as the server lets you.")
	}
	return nil
}
