package chaos

import (
	"bytes"
	"cmp"
	"crypto/sha1" //nolint:gosec // the names of fragments have it
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// span is where an append was found.
type span struct{ begin, end int64 }

// checkAppends compares a journal's content with what its writers were told (J1 to J4).
func checkAppends(content []byte, ops []operation) []string {
	found, out := parseContent(content)
	byID := make(map[[2]int]*operation, len(ops))
	for i := range ops {
		op := &ops[i]
		id := [2]int{op.writer, op.seq}
		byID[id] = op
		out = append(out, checkOperation(op, found[id], content)...)
	}
	for id, spans := range found {
		if byID[id] == nil {
			out = append(out, fmt.Sprintf("J2: writer %d never made append %d, which is at %d", id[0], id[1], spans[0].begin))
		}
	}
	return append(out, checkOrder(ops)...)
}

// checkOperation compares one append with where it was found.
func checkOperation(op *operation, at []span, content []byte) []string {
	var out []string
	name := fmt.Sprintf("append %d of writer %d (called %v, returned %v)", op.seq, op.writer, op.called, op.returned)
	switch {
	case op.outcome == acked && len(at) == 0:
		out = append(out, fmt.Sprintf("J2: %s was acknowledged at [%d, %d) and is lost", name, op.begin, op.end))
	case op.outcome == acked && !slices.Contains(at, span{op.begin, op.end}):
		out = append(out, fmt.Sprintf("J2: %s was acknowledged at [%d, %d) and is at %v", name, op.begin, op.end, at))
	case op.outcome == refused && len(at) > 0:
		out = append(out, fmt.Sprintf("J2: %s was refused (%v) and is at %v", name, op.err, at))
	}
	if len(at) > 1 {
		out = append(out, fmt.Sprintf("J2: %s is there %d times: %v", name, len(at), at))
	}
	for _, s := range at {
		if !bytes.Equal(content[s.begin:s.end], op.body) {
			out = append(out, fmt.Sprintf("J1: %s isn't what was sent, at %v", name, s))
		}
	}
	return out
}

// parseContent finds the appends in a journal's content.
func parseContent(content []byte) (map[[2]int][]span, []string) {
	found := make(map[[2]int][]span)
	var out []string
	var open record // line that is expected next, of an append that isn't whole; lines is 0 if there is none
	begin := int64(0)
	for at := int64(0); at < int64(len(content)); {
		line, _, whole := bytes.Cut(content[at:], []byte("\n"))
		end := at + int64(len(line)) + 1
		r, err := parseLine(line)
		switch {
		case err != nil || !whole:
			out = append(out, fmt.Sprintf("J1: at offset %d: %v", at, err))
			open = record{}
		case open.lines != 0 && r != open, open.lines == 0 && r.line != 0:
			out = append(out, fmt.Sprintf("J1: at offset %d: line %+v where %+v was to follow", at, r, open))
			open = record{}
		default:
			if r.line == 0 {
				begin = at
			}
			if open = r; r.line+1 == r.lines {
				id := [2]int{r.writer, r.seq}
				found[id] = append(found[id], span{begin, end})
				open = record{}
			} else {
				open.line++
			}
		}
		at = end
	}
	if open.lines != 0 {
		out = append(out, fmt.Sprintf("J1: append %d of writer %d ends with the journal", open.seq, open.writer))
	}
	return found, out
}

// checkOrder tells of appends that begin before the end of one that was acknowledged before they began (J4).
func checkOrder(ops []operation) []string {
	var done []*operation
	for i := range ops {
		if ops[i].outcome == acked {
			done = append(done, &ops[i])
		}
	}
	byCall := slices.SortedFunc(slices.Values(done), func(a, b *operation) int { return cmp.Compare(a.called, b.called) })
	slices.SortFunc(done, func(a, b *operation) int { return cmp.Compare(a.returned, b.returned) })
	var out []string
	var last *operation // of those that returned, the one that ends last
	next := 0
	for _, op := range byCall {
		for ; next < len(done) && done[next].returned < op.called; next++ {
			if last == nil || done[next].end > last.end {
				last = done[next]
			}
		}
		if last != nil && op.begin < last.end {
			out = append(out, fmt.Sprintf("J4: append %d of writer %d begins at %d, called after the one up to %d was acknowledged",
				op.seq, op.writer, op.begin, last.end))
		}
	}
	return out
}

// checkObjects compares the objects of a journal with its content (J7).
func checkObjects(journal string, content []byte, objects map[string][]byte) []string {
	var out []string
	for path, object := range objects {
		name, ok := strings.CutPrefix(path, journal+"/")
		if !ok {
			continue
		}
		if err := checkObject(name, content, object); err != nil {
			out = append(out, fmt.Sprintf("J7: object %s: %s", path, err))
		}
	}
	return out
}

// spanOf the content of an object, and its sum, as its name tells.
func spanOf(name string) (span, string, error) {
	stem, ok := strings.CutSuffix(name, ".raw")
	parts := strings.Split(stem, "-")
	if !ok || len(parts) != 3 {
		return span{}, "", errors.New("its name isn't a fragment's")
	}
	begin, err := strconv.ParseInt(parts[0], 16, 64)
	if err != nil {
		return span{}, "", err
	}
	end, err := strconv.ParseInt(parts[1], 16, 64)
	return span{begin, end}, parts[2], err
}

func checkObject(name string, content, object []byte) error {
	at, named, err := spanOf(name)
	if err != nil {
		return err
	}
	sum := sha1.Sum(object) //nolint:gosec // as above
	switch {
	case at.end-at.begin != int64(len(object)):
		return fmt.Errorf("it has %d bytes", len(object))
	case hex.EncodeToString(sum[:]) != named:
		return fmt.Errorf("its sum is %x", sum)
	case at.end > int64(len(content)):
		return fmt.Errorf("it ends above the journal's head %d", len(content))
	case !bytes.Equal(object, content[at.begin:at.end]):
		return errors.New("the journal has other bytes there")
	}
	return nil
}
