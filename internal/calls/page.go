package calls

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// Page serves what is known of the calls, as text: of all methods, or of those whose names hold what the argument
// method says.
func (r *Recorder) Page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, r.text(time.Now(), req.URL.Query().Get("method"))) // A client that is gone can't be told.
	})
}

func (r *Recorder) text(now time.Time, filter string) string {
	var names []string
	r.methods.Range(func(name, _ any) bool {
		if n, ok := name.(string); ok && strings.Contains(n, filter) {
			names = append(names, n)
		}
		return true
	})
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		m, _ := r.methods.Load(name)
		m.(*method).print(&out, name, now)
	}
	if len(names) == 0 {
		out.WriteString("no calls yet\n")
	}
	return out.String()
}

// maxRunning is how many calls of a method the page lists, of those that run: the oldest.
const maxRunning = 100

// print what is known of a method. Copies are made first: who is slow to read holds nobody up.
func (m *method) print(out *strings.Builder, name string, now time.Time) {
	m.mu.Lock()
	var running []*ended
	count := 0
	for c := m.running.next; c != &m.running; c = c.next {
		if count++; count <= maxRunning {
			running = append(running, c.snapshot(now))
		}
	}
	rings := slices.Clone(m.rings)
	m.mu.Unlock()

	fmt.Fprintf(out, "%s\n  running: %d\n", name, count)
	for _, e := range running {
		e.print(out, "runs since", false)
	}
	for _, r := range rings {
		if r.total == 0 {
			continue
		}
		fmt.Fprintf(out, "  %s: %d, of which the last are\n", r.bucket, r.total)
		for i := range min(r.total, maxKept) {
			r.calls[(r.total-1-i)%maxKept].print(out, "took", true)
		}
	}
	out.WriteByte('\n')
}

// String says which calls a bucket has.
func (b bucket) String() string {
	switch {
	case b.failed:
		return "failed"
	case b.atLeast == 0:
		return "ended"
	default:
		return fmt.Sprintf("took %s or longer", b.atLeast)
	}
}

func (e *ended) print(out *strings.Builder, took string, isOver bool) {
	fmt.Fprintf(out, "    %s %s %s from %s, received %d, sent %d",
		e.began.UTC().Format("2006-01-02T15:04:05.000000Z"), took, e.took.Round(time.Microsecond), e.peer, e.in, e.sent)
	if e.journal != "" {
		fmt.Fprintf(out, ", journal %q", e.journal)
	}
	if isOver {
		fmt.Fprintf(out, ": %s", e.code)
	}
	if e.code != codes.OK {
		fmt.Fprintf(out, " %q", e.err)
	}
	out.WriteByte('\n')
}
