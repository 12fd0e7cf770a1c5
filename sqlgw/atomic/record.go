package atomic

import (
	"encoding/json"
	"errors"
	"fmt"

	"broadsheet.dev/broadsheet/message"
)

// recordFormat is the version of lines in the journal of records.
const recordFormat = 1

// ErrFormat is of a record that another version of this program wrote. Who doesn't know what it says, can't tell what
// is committed.
var ErrFormat = errors.New("unknown format")

// Record of a transaction that is committed. If it is a checkpoint, it is of none.
type Record struct {
	// Ack is the UUID of the lines that acknowledge it. No two transactions have the same.
	Ack message.UUID
	// Journals that have lines of it.
	Journals []string
	// Checkpoint, if it isn't zero, tells that all records before that offset are acknowledged.
	Checkpoint int64
}

// recordLine is its JSON.
type recordLine struct {
	Format   int           `json:"v"`
	Ack      *message.UUID `json:"ack,omitempty"`
	Journals []string      `json:"journals,omitempty"`
	Settled  int64         `json:"settled,omitempty"`
}

// AppendLine appends the record's line.
func (r Record) AppendLine(dst []byte) ([]byte, error) {
	x := recordLine{Format: recordFormat, Journals: r.Journals, Settled: r.Checkpoint}
	if r.Checkpoint == 0 {
		x.Ack = &r.Ack
	}
	text, err := json.Marshal(x)
	if err != nil {
		return dst, err
	}
	return append(append(dst, text...), '\n'), nil
}

// ParseRecord reads a line, without its newline.
func ParseRecord(line []byte) (Record, error) {
	var x recordLine
	if err := json.Unmarshal(line, &x); err != nil {
		return Record{}, fmt.Errorf("record of a transaction: %w", err)
	}
	r := Record{Journals: x.Journals, Checkpoint: x.Settled}
	if x.Ack != nil {
		r.Ack = *x.Ack
	}
	return r, r.validate(x.Format)
}

func (r Record) validate(format int) error {
	switch {
	case format > recordFormat:
		return fmt.Errorf("record of a transaction: %w %d, this program has %d", ErrFormat, format, recordFormat)
	case format < recordFormat:
		return errors.New("record of a transaction: it has no format")
	case r.Checkpoint < 0 || r.Checkpoint > 0 && (!r.Ack.IsZero() || len(r.Journals) > 0):
		return errors.New("record of a transaction: a checkpoint has an offset, and nothing else")
	case r.Checkpoint == 0 && (len(r.Journals) == 0 || r.Ack.Validate() != nil || r.Ack.Flags() != message.AckTxn):
		return errors.New("record of a transaction: it has journals, and the UUID of an acknowledgement")
	}
	return nil
}

// Frame is the line that acknowledges the transaction, in each of its journals.
func (r Record) Frame() []byte {
	return []byte(`{"_meta":{"uuid":"` + r.Ack.String() + "\"}}\n")
}
