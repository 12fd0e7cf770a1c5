package chaos

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// outcome of an append, as its client was told.
type outcome int

const (
	acked   outcome = iota // it is applied
	refused                // it certainly isn't
	unknown                // it may be
)

// operation is one append of a writer.
type operation struct {
	writer, seq int
	body        []byte
	called      time.Duration // since the run began
	returned    time.Duration
	outcome     outcome
	begin, end  int64 // if it is acked
	err         error // if it isn't
}

// history is all appends of all writers.
type history struct {
	began time.Time

	mu  sync.Mutex
	ops []operation
}

func (h *history) now() time.Duration { return time.Since(h.began) }

func (h *history) add(op operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

func (h *history) counts() (total int, byOutcome [3]int, size int64) { //nolint:nonamedreturns // which is which
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.ops {
		byOutcome[h.ops[i].outcome]++
		if h.ops[i].outcome == acked {
			size += int64(len(h.ops[i].body))
		}
	}
	return len(h.ops), byOutcome, size
}

// save the history as a file, a line for each append.
func (h *history) save(path string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b bytes.Buffer
	for i := range h.ops {
		op := &h.ops[i]
		fmt.Fprintf(&b, "%v %v writer=%d seq=%d size=%d outcome=%d [%d, %d) %v\n",
			op.called, op.returned, op.writer, op.seq, len(op.body), op.outcome, op.begin, op.end, op.err)
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// record is one line of an append: who wrote it, as which of its append's lines, with a checksum.
type record struct {
	writer, seq, line, lines int
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// body of an append with a number of lines.
func body(rng *rand.Rand, writer, seq, lines int) []byte {
	var out bytes.Buffer
	for i := range lines {
		filler := make([]byte, 1+rng.IntN(300))
		for j := range filler {
			filler[j] = 'a' + byte(rng.IntN(26))
		}
		text := fmt.Sprintf("%d %d %d %d %s", writer, seq, i, lines, filler)
		fmt.Fprintf(&out, "%08x %s\n", crc32.Checksum([]byte(text), castagnoli), text)
	}
	return out.Bytes()
}

// parseLine reads a line, without its newline.
func parseLine(line []byte) (record, error) {
	var r record
	var sum uint32
	var filler string
	if len(line) < 9 {
		return r, fmt.Errorf("line of %d bytes", len(line))
	}
	if _, err := fmt.Sscanf(string(line), "%08x %d %d %d %d %s", &sum, &r.writer, &r.seq, &r.line, &r.lines, &filler); err != nil {
		return r, fmt.Errorf("torn line %.60q: %w", line, err)
	}
	if crc32.Checksum(line[9:], castagnoli) != sum {
		return r, fmt.Errorf("line %.60q: its checksum is wrong", line)
	}
	return r, nil
}
