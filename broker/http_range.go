package broker

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// setRange sets the offsets of a read by the header Range, if there is one: a single
// range of bytes from its first on, whose last may be left out.
func setRange(req *protocol.ReadRequest, r *http.Request) error {
	values := r.Header.Values("Range")
	if len(values) == 0 {
		return nil
	}
	if r.URL.Query().Has("offset") {
		return fmt.Errorf("journal %s: both the argument offset and the header Range are given", req.GetJournal())
	}
	unit, text, _ := strings.Cut(strings.TrimSpace(values[0]), "=")
	first, last, isRange := strings.Cut(text, "-")
	begin, err := parsePosition(first)
	if len(values) != 1 || unit != "bytes" || !isRange || err != nil {
		return fmt.Errorf("journal %s: range %q is not supported", req.GetJournal(), strings.Join(values, ", "))
	}
	req.Offset = begin
	if last == "" {
		return nil
	}
	end, err := parsePosition(last)
	if err != nil || end < begin {
		return fmt.Errorf("journal %s: range %q is not supported", req.GetJournal(), values[0])
	}
	req.EndOffset = end + 1
	return nil
}

// parsePosition of a byte: digits alone, and less than the greatest offset.
func parsePosition(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 1<<63-1 {
		return 0, fmt.Errorf("position %q isn't a number of bytes", text)
	}
	return int64(n), nil //nolint:gosec // it has 63 bits
}

// patience of a request over HTTP: for how long nothing may come or go, while its
// context isn't done.
type patience struct {
	wait time.Duration
	ctx  context.Context //nolint:containedctx // of the request
}

// deadline of the next read or write.
func (p patience) deadline() time.Time {
	next := time.Now().Add(p.wait)
	if end, ok := p.ctx.Deadline(); ok && end.Before(next) {
		return end
	}
	return next
}

// expired tells whether it is the context that has come to its end.
func (p patience) expired() bool {
	end, ok := p.ctx.Deadline()
	return ok && !time.Now().Before(end)
}
