package sqlgw

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// Bounds of what is looked at to infer columns: of some journals, the first and the last lines.
const (
	inferJournals = 32
	inferBytes    = 1 << 20 // of each end of a journal
	inferColumns  = 1600
	inferName     = 63
)

// sampled is what was looked at of a journal.
type sampled struct {
	journal string
	rows    int64
	whole   bool
}

// inferTable gives a table that is laid over journals the columns that their lines have.
func (s *session) inferTable(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot, p *parse.CreateTable, spec *catalog.TableSpec) error {
	if _, ok := snap.Table(spec.Schema, spec.Name); ok {
		return &catalog.Error{Code: catalog.ErrExists, Kind: "table", Name: spec.Name}
	}
	if !spec.Rows.IsJSON() {
		return hinted(sqlError("0A000", "inferring the columns of format %q is not supported", spec.Rows.Name), declareHint)
	}
	all, err := snap.Journals(ctx, catalog.Table{Journals: p.Journals})
	if err != nil {
		return catalogError(err)
	}
	if len(all) == 0 {
		return catalogError(&catalog.Error{
			Code: catalog.ErrNoJournals, Kind: "prefix", Name: p.Journals, Hint: "Make the journals first, or leave ON JOURNALS out to have them made.",
		})
	}
	found := columnar.NewInference(inferColumns, inferName)
	looked, err := s.gateway.sample(ctx, someOf(all, inferJournals), found)
	if err != nil {
		return err
	}
	if len(found.Columns()) == 0 {
		return hinted(sqlError("42P16", "no columns can be inferred: journals %q have no rows with keys", p.Journals),
			"Declare the columns in parentheses after the table's name, or append rows first.")
	}
	var told []string
	for i, c := range found.Columns() {
		spec.Columns = append(spec.Columns, catalog.Column{ID: int64(i + 1), Name: c.Name, Type: c.Type})
		told = append(told, quoteName(c.Name)+" "+c.Type.SQL())
	}
	notice := &pgwire.Error{Severity: "NOTICE", Code: "00000"}
	notice.Message = fmt.Sprintf("columns are inferred from %d rows of %d of %d journals: %s", found.Rows(), len(looked), len(all), shortened(told))
	notice.Detail = tellSamples(looked)
	notice.Hint = "Lines that don't fit are in bs_catalog.rejects. ALTER TABLE adds columns, and CREATE TABLE takes them in parentheses."
	s.notice(w, notice)
	return nil
}

// shortened is a list of which a message has room for the first ones.
func shortened(list []string) string {
	const most = 50
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
}

func tellSamples(looked []sampled) string {
	lines := make([]string, len(looked))
	for i, x := range looked {
		lines[i] = fmt.Sprintf("%s: all %d rows", x.journal, x.rows)
		if !x.whole {
			lines[i] = fmt.Sprintf("%s: %d of the first and last rows", x.journal, x.rows)
		}
	}
	return strings.Join(lines, "\n")
}

// someOf are at most n of a sorted list, from all over it.
func someOf(all []string, n int) []string {
	if len(all) <= n {
		return all
	}
	out := make([]string, n)
	for i := range out {
		out[i] = all[i*(len(all)-1)/(n-1)]
	}
	return out
}

// sample infers columns of journals, one after the other.
func (g *Gateway) sample(ctx context.Context, journals []string, found *columnar.Inference) ([]sampled, error) {
	at, err := g.fixCut(ctx, journals)
	if err != nil {
		return nil, err
	}
	scans, err := g.planJournals(ctx, journals, at, reading{list: g.kept, decodeAll: true})
	if err != nil {
		return nil, err
	}
	var out []sampled
	for _, j := range scans {
		x, err := g.sampleJournal(ctx, j, found)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// sampleJournal looks at the first lines of a journal, and then at the last ones that it hasn't looked at.
func (g *Gateway) sampleJournal(ctx context.Context, j journalScan, found *columnar.Inference) (sampled, error) {
	before := found.Rows()
	looked, err := g.sampleRange(ctx, j.journal, j.begin, min(j.head, j.begin+inferBytes), found)
	if err != nil {
		return sampled{}, err
	}
	if looked == j.begin && j.head-j.begin >= inferBytes {
		return sampled{}, hinted(sqlError("54000", "no columns can be inferred: journal %s begins with a line of more than %d bytes", j.journal, inferBytes), declareHint)
	}
	tail := max(looked, j.head-inferBytes)
	whole := tail == looked
	if !whole {
		if tail, err = g.nextLine(ctx, j.journal, tail, j.head); err != nil {
			return sampled{}, err
		}
	}
	_, err = g.sampleRange(ctx, j.journal, tail, j.head, found)
	return sampled{journal: j.journal, rows: found.Rows() - before, whole: whole}, err
}

const declareHint = "Declare the columns in parentheses after the table's name."

// nextLine is where the first line begins after an offset; the end if none does.
func (g *Gateway) nextLine(ctx context.Context, journal string, after, end int64) (int64, error) {
	r, err := g.openRange(ctx, journal, after, end)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	in := bufio.NewReader(r)
	for at := after; ; {
		part, err := in.ReadSlice('\n')
		at += int64(len(part))
		switch {
		case err == nil:
			return at, nil
		case errors.Is(err, io.EOF):
			return end, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return 0, fmt.Errorf("read journal %s: %w", journal, err)
		}
	}
}

// sampleRange adds the lines of a range, but for one that doesn't end in it, and returns where the last one ended.
func (g *Gateway) sampleRange(ctx context.Context, journal string, begin, end int64, found *columnar.Inference) (int64, error) {
	if begin >= end {
		return begin, nil
	}
	r, err := g.openRange(ctx, journal, begin, end)
	if err != nil {
		return begin, err
	}
	defer func() { _ = r.Close() }()
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), inferBytes+1)
	lines.Split(wholeLines)
	at := begin
	for lines.Scan() {
		line := lines.Bytes()
		if err := found.Add(line[:len(line)-1]); err != nil {
			return at, notInferred(err, journal, at)
		}
		at += int64(len(line))
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return at, fmt.Errorf("read journal %s: %w", journal, err)
	}
	return at, nil
}

// wholeLines splits lines with their newlines, and drops what has none.
func wholeLines(data []byte, _ bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	return 0, nil, nil
}

// notInferred is the error of a line from which no columns can be made.
func notInferred(err error, journal string, offset int64) error {
	e, ok := inputError(err, fmt.Sprintf("journal %s, offset %d", journal, offset)).(*pgwire.Error) //nolint:errorlint // just made, and not wrapped
	if !ok {
		return err
	}
	e.Message = "no columns can be inferred: " + e.Message
	return hinted(e, declareHint)
}
