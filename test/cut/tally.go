package cut

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// tally counts what was asked, of how many journals.
type tally struct {
	most     int64 // queries to answer
	moved    int   // brokers to move
	expiring int   // journals whose first rows are to be gone; 0 if they are kept

	mu      sync.Mutex
	asked   int64
	rows    int64
	shapes  map[string]int
	moves   int
	failed  map[string]int    // by SQLSTATE
	example map[string]string // of a message of each
	begins  map[int64]int64   // of journals: the last first row that was answered
	jumps   int               // how often a begin was another than before
}

func newTally(most int64, moved, expiring int) *tally {
	return &tally{
		most: most, moved: moved, expiring: expiring,
		shapes: map[string]int{}, failed: map[string]int{}, example: map[string]string{}, begins: map[int64]int64{},
	}
}

// note a question that was answered rightly.
func (t *tally) note(shape string, answers []answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	t.shapes[shape]++
	for _, a := range answers {
		for j, s := range a {
			t.rows += s.count
			if s.least > t.begins[j] {
				t.begins[j] = s.least
				t.jumps++
			}
		}
	}
}

// fail notes one that failed.
func (t *tally) fail(err error) {
	code := "connection"
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		code = e.Code
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed[code]++
	t.example[code] = err.Error()
}

// move notes that a broker left and came back.
func (t *tally) move() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moves++
}

// enough tells whether all has happened that the run is for.
func (t *tally) enough() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked >= t.most && t.moves >= t.moved && len(t.begins) >= t.expiring && len(t.shapes) == len(shapes())
}

// failures is how many questions failed.
func (t *tally) failures() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, k := range t.failed {
		n += k
	}
	return int64(n)
}

// String tells how far it is.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var failed []string
	for _, code := range slices.Sorted(maps.Keys(t.failed)) {
		failed = append(failed, fmt.Sprintf("%d x %s: %.160s", t.failed[code], code, t.example[code]))
	}
	return fmt.Sprintf("%d queries answered exactly (%v), with %d rows; %d times a broker left or was killed, and came back; "+
		"%d times the first rows of a journal were gone; failed: [%s]",
		t.asked, t.shapes, t.rows, t.moves, t.jumps, strings.Join(failed, "; "))
}

// progress tells how far it is, and how fast it went since a time.
func (t *tally) progress(since time.Time) string {
	t.mu.Lock()
	asked := t.asked
	t.mu.Unlock()
	took := time.Since(since)
	return fmt.Sprintf("%v: %d of %d, %.1f/s; %v", took.Round(time.Second), asked, t.most, float64(asked)/took.Seconds(), t)
}
