package broker

import (
	"expvar"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
)

// serveVars answers what expvar publishes, as its own handler would but for the command line: that may have keys
// in it.
func serveVars(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	var out strings.Builder
	separator := "{\n"
	expvar.Do(func(kv expvar.KeyValue) {
		if kv.Key != "cmdline" {
			out.WriteString(separator + expvarName(kv.Key) + ": " + kv.Value.String())
			separator = ",\n"
		}
	})
	out.WriteString("\n}\n")
	_, _ = io.WriteString(w, out.String()) // A client that is gone can't be told.
}

// expvarName is a name in JSON.
func expvarName(s string) string {
	var v expvar.String
	v.Set(s)
	return v.String()
}

const (
	// maxEvents is how many lines of the log are remembered, maxEvent how many bytes of each.
	maxEvents, maxEvent = 500, 1 << 10
)

// events remembers the last lines of the broker's log, for who can't read that.
type events struct {
	mu    sync.Mutex
	lines [maxEvents]string
	total int
}

// tee is a logger of both, that and the events.
func (e *events) tee(log *slog.Logger) *slog.Logger {
	own := slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelInfo})
	return slog.New(slog.NewMultiHandler(log.Handler(), own))
}

// Write takes a line, as slog's handlers write it.
func (e *events) Write(line []byte) (int, error) {
	text := strings.ToValidUTF8(string(line[:min(len(line), maxEvent)]), "")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines[e.total%maxEvents] = strings.TrimSuffix(text, "\n")
	e.total++
	return len(line), nil
}

// ServeHTTP answers with the lines, the newest first.
func (e *events) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	e.mu.Lock()
	lines, total := e.lines, e.total
	e.mu.Unlock()
	var out strings.Builder
	for i := range min(total, maxEvents) {
		out.WriteString(lines[(total-1-i)%maxEvents] + "\n")
	}
	_, _ = io.WriteString(w, out.String()) // A client that is gone can't be told.
}
