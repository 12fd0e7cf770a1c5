package sqlgw

import (
	"context"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
)

// rowList is an execution that has all its rows, which are texts.
type rowList struct {
	rows [][]string
	sent int
	tag  string
}

func (e *rowList) run(_ context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	for n := 0; e.sent < len(e.rows); n++ {
		if n == maxRows && maxRows > 0 {
			return false, nil
		}
		if err := textRow(w, e.rows[e.sent]...); err != nil {
			return false, err
		}
		e.sent++
	}
	w.Complete(e.tag)
	return true, nil
}

func (e *rowList) close() {}

// lists is a statement without parameters that returns texts.
func (s *session) lists(columns []pgwire.Column, tag string, rows func(ctx context.Context) ([][]string, error)) *statement {
	return &statement{session: s, columns: columns, begin: func(ctx context.Context, _ *columnar.Batch) (execution, error) {
		list, err := rows(ctx)
		return &rowList{rows: list, tag: tag}, err
	}}
}
