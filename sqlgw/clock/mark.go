package clock

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// Mark is a line of the clock journal (docs/format/clock.md): a time, and how far journals went by then.
// All bytes of a journal below its place were acknowledged before the time.
type Mark struct {
	Time time.Time // UTC, in whole microseconds
	// Full: Places are of all journals that have any, and not of those only that went further since
	// the mark before.
	Full   bool
	Places []Place // in the order of their journals
}

// MarkVersion is the version of the lines that are written.
const MarkVersion = 1

// markLine is the JSON of a mark.
type markLine struct {
	Version int                 `json:"v"`
	Time    string              `json:"t"`
	Full    bool                `json:"full,omitempty"`
	Heads   map[string][2]int64 `json:"heads"`
}

const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendLine appends the mark's line, with its newline.
func (m Mark) AppendLine(b []byte) ([]byte, error) {
	l := markLine{Version: MarkVersion, Time: m.Time.UTC().Format(timeLayout), Full: m.Full, Heads: make(map[string][2]int64, len(m.Places))}
	for _, p := range m.Places {
		l.Heads[p.Journal] = [2]int64{p.Revision, p.Offset}
	}
	text, err := json.Marshal(l) // keys are sorted
	if err != nil {
		return b, fmt.Errorf("write a mark: %w", err)
	}
	return append(append(b, text...), '\n'), nil
}

// ParseMark reads a line, with or without its newline.
func ParseMark(line []byte) (Mark, error) {
	var l markLine
	if err := json.Unmarshal(line, &l); err != nil {
		return Mark{}, fmt.Errorf("a line that isn't a mark: %w", err)
	}
	if l.Version != MarkVersion {
		return Mark{}, fmt.Errorf("a mark of version %d: this is version %d", l.Version, MarkVersion)
	}
	t, err := time.Parse(timeLayout, l.Time)
	if err != nil {
		return Mark{}, fmt.Errorf("the time of a mark: %w", err)
	}
	if l.Heads == nil {
		return Mark{}, errors.New("a mark without heads")
	}
	m := Mark{Time: t, Full: l.Full, Places: make([]Place, 0, len(l.Heads))}
	for journal, p := range l.Heads {
		if err := protocol.ValidateJournalName(journal); err != nil || p[0] < 1 || p[1] < 0 {
			return Mark{}, fmt.Errorf("a mark with journal %.100q of revision %d at %d", journal, p[0], p[1])
		}
		m.Places = append(m.Places, Place{Journal: journal, Revision: p[0], Offset: p[1]})
	}
	slices.SortFunc(m.Places, func(a, b Place) int { return cmp.Compare(a.Journal, b.Journal) })
	return m, nil
}
