package sqlgw

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// acting is a dialect with the functions that tell of the session, its transaction and the server.
type acting struct {
	parse.Dialect
	state viewState
}

// Function answers for them.
func (a acting) Function(c parse.Call) (*parse.Template, error) {
	if c.Schema == "" && !c.Star {
		if text, typ := a.told(c); text != "" {
			tpl, err := parse.NewTemplate(text)
			if err != nil || typ == "" {
				return tpl, err
			}
			return tpl.As(typ), nil
		}
	}
	return a.Dialect.Function(c)
}

// told is what stands for a call, and what pg_type calls its type, if the engine has no such; "" if it isn't one of these.
func (a acting) told(c parse.Call) (string, string) {
	s := a.state.session
	switch len(c.Args) {
	case 0:
		return s.toldPlain(c)
	case 1:
		switch c.Name {
		case "pg_blocking_pids":
			return blockingText(s.gateway.locks.blocking()), ""
		case "pg_safe_snapshot_blocking_pids":
			return "CASE WHEN $1 IS NOT NULL THEN CAST(ARRAY[] AS INTEGER[]) END", ""
		}
	}
	return "", ""
}

// toldPlain is told of functions without arguments.
func (s *session) toldPlain(c parse.Call) (string, string) {
	none := "CAST(NULL AS VARCHAR)"
	switch c.Name {
	case "pg_listening_channels":
		return channelsText(s.heard(), c.InFrom), ""
	case "pg_notification_queue_usage":
		return "CAST(" + strconv.FormatFloat(s.gateway.office.usage(), 'f', -1, 64) + " AS DOUBLE)", ""
	case "txid_current":
		return "CAST(" + strconv.FormatInt(s.number(), 10) + " AS BIGINT)", ""
	case "txid_current_if_assigned":
		if s.tx == nil || s.tx.number == 0 {
			return "CAST(NULL AS BIGINT)", ""
		}
		return "CAST(" + strconv.FormatInt(s.tx.number, 10) + " AS BIGINT)", ""
	case "pg_postmaster_start_time", "pg_conf_load_time":
		return timeText(s.gateway.started), ""
	case "clock_timestamp":
		return timeText(time.Now()), ""
	case "inet_client_addr":
		if s.activity.remote == "" {
			return none, "inet"
		}
		return "CAST('" + s.activity.remote + "' AS VARCHAR)", "inet"
	case "inet_client_port":
		if s.activity.port == 0 {
			return "CAST(NULL AS INTEGER)", ""
		}
		return "CAST(" + strconv.Itoa(int(s.activity.port)) + " AS INTEGER)", ""
	case "pg_jit_available":
		return "false", ""
	case "pg_trigger_depth":
		return "0", ""
	case "pg_stat_clear_snapshot":
		return "CAST('' AS VARCHAR)", "void"
	}
	return "", ""
}

// timeText is a time as the engine computes it: it has microseconds since 1970.
func timeText(t time.Time) string {
	return fmt.Sprintf("to_timestamp(CAST(%d.%06d AS DOUBLE))", t.Unix(), t.Nanosecond()/1000)
}

// channelsText are the channels that a session listens to, in order.
func channelsText(heard map[string]bool, inFrom bool) string {
	names := slices.Sorted(maps.Keys(heard))
	for i, n := range names {
		names[i] = "'" + strings.ReplaceAll(n, "'", "''") + "'"
	}
	list := "unnest(CAST(ARRAY[" + strings.Join(names, ", ") + "] AS VARCHAR[]))"
	if inFrom {
		return "SELECT " + list + " AS pg_listening_channels"
	}
	return list
}

// blockingText finds whom a process waits for.
func blockingText(waits map[uint32][]uint32) string {
	var b strings.Builder
	b.WriteString("CASE CAST($1 AS INTEGER) WHEN NULL THEN NULL")
	for _, pid := range slices.Sorted(maps.Keys(waits)) {
		var by []string
		for _, p := range waits[pid] {
			by = append(by, strconv.FormatUint(uint64(p), 10))
		}
		fmt.Fprintf(&b, " WHEN %d THEN CAST(ARRAY[%s] AS INTEGER[])", pid, strings.Join(by, ", "))
	}
	return b.String() + " ELSE CAST(ARRAY[] AS INTEGER[]) END"
}

// transactionNumbers gives each transaction that asks for one a number. They ascend, also over restarts, as long as no gateway has more than
// a million transactions a second.
type transactionNumbers struct{ last atomic.Int64 }

func (n *transactionNumbers) next(started time.Time) int64 {
	return started.UnixMicro() + n.last.Add(1)
}

// number of the session's transaction.
func (s *session) number() int64 {
	tx := s.inTransaction()
	if tx.number == 0 {
		tx.number = s.gateway.numbers.next(s.gateway.started)
	}
	return tx.number
}
