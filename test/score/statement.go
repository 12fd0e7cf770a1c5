package score

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Statement is one that a client was seen to send.
type Statement struct {
	Name    string   `json:"name"`
	Clients []string `json:"clients"`
	// Simple: by the simple protocol; otherwise by the extended one.
	Simple bool   `json:"simple,omitempty"`
	SQL    string `json:"sql"`
	// Args are the parameters, as text.
	Args []string `json:"args,omitempty"`
	// Before are statements that run in the session before it.
	Before []string `json:"before,omitempty"`
	// Copy is what the client sends of a COPY FROM STDIN, in hexadecimal digits.
	Copy string `json:"copy,omitempty"`
	// CopyOut: a COPY TO STDOUT.
	CopyOut bool `json:"copyout,omitempty"`
	// Described: it is only described, because it runs long.
	Described bool `json:"described,omitempty"`
}

// Column of an answer.
type Column struct {
	Name string `json:"name"`
	OID  uint32 `json:"oid"`
}

// Answer of a server to a statement.
type Answer struct {
	Name    string   `json:"name"`
	Params  []uint32 `json:"params,omitempty"`
	Columns []Column `json:"columns,omitempty"`
	// Rows in the order of their texts, without those beyond maxRows; Count is that of all.
	Rows  []string `json:"rows,omitempty"`
	Count int      `json:"count,omitempty"`
	Tag   string   `json:"tag,omitempty"`
	// Status of the transaction afterwards: I, T or E.
	Status string `json:"status,omitempty"`
	Error  string `json:"error,omitempty"` // SQLSTATE
	// Message of the error. It isn't compared.
	Message string `json:"message,omitempty"`
}

// maxRows of an answer are kept.
const maxRows = 400

// ReadLines reads a file of JSON values, one a line.
func ReadLines[T any](path string) ([]T, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []T
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(out)+1, err)
		}
		out = append(out, v)
	}
	return out, lines.Err()
}

// WriteLines writes a file of JSON values, one a line.
func WriteLines[T any](path string, values []T) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return os.WriteFile(path, out.Bytes(), 0o644) //nolint:gosec // Test data, which anybody may read.
}

// ReadReasons reads a file of names with reasons: "reason:", then names that begin with a blank, one a line.
func ReadReasons(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out, reason := map[string]string{}, ""
	for number, line := range strings.Split(string(text), "\n") {
		name, named := strings.CutPrefix(line, "  ")
		switch {
		case line == "" || line[0] == '#':
		case !named:
			reason = strings.TrimSuffix(line, ":")
		case reason == "" || out[name] != "":
			return nil, fmt.Errorf("%s: line %d: %q has no reason, or two", path, number+1, name)
		default:
			out[name] = reason
		}
	}
	return out, nil
}

// Differs tells how an answer differs from the one that is wanted, "" if it doesn't. Loose: of rows it is only compared
// whether there are any.
func (a *Answer) Differs(want *Answer, loose bool) string {
	switch {
	case a.Error != want.Error:
		return fmt.Sprintf("error %q (%s), not %q", a.Error, a.Message, want.Error)
	case fmt.Sprint(a.Params) != fmt.Sprint(want.Params):
		return fmt.Sprintf("parameters %v, not %v", a.Params, want.Params)
	case len(a.Columns) != len(want.Columns):
		return fmt.Sprintf("%d columns, not %d", len(a.Columns), len(want.Columns))
	}
	for i, c := range a.Columns {
		if c != want.Columns[i] {
			return fmt.Sprintf("column %d is %v, not %v", i+1, c, want.Columns[i])
		}
	}
	if a.Status != want.Status {
		return fmt.Sprintf("status %s, not %s", a.Status, want.Status)
	}
	if loose {
		return a.differsLoosely(want)
	}
	if a.Tag != want.Tag {
		return fmt.Sprintf("tag %q, not %q%s", a.Tag, want.Tag, a.firstRow(want))
	}
	if a.Count != want.Count {
		return fmt.Sprintf("%d rows, not %d", a.Count, want.Count)
	}
	return strings.TrimPrefix(a.firstRow(want), "; ")
}

func (a *Answer) differsLoosely(want *Answer) string {
	switch {
	case command(a.Tag) != command(want.Tag):
		return fmt.Sprintf("tag %q, not %q", a.Tag, want.Tag)
	case (a.Count > 0) != (want.Count > 0):
		return fmt.Sprintf("%d rows, not %d", a.Count, want.Count)
	default:
		return ""
	}
}

// command of a tag, without its numbers.
func command(tag string) string { return strings.TrimRight(tag, " 0123456789") }

// firstRow tells the first row that is another one.
func (a *Answer) firstRow(want *Answer) string {
	for i := range max(len(a.Rows), len(want.Rows)) {
		has, wants := "nothing", "nothing"
		if i < len(a.Rows) {
			has = a.Rows[i]
		}
		if i < len(want.Rows) {
			wants = want.Rows[i]
		}
		if has != wants {
			return fmt.Sprintf("; row %d is %s, not %s", i+1, has, wants)
		}
	}
	return ""
}
