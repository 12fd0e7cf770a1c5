package views

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// blame finds the row of the batch that can't be kept, so that it can be told, and skipped: one on which the query over lines fails by
// itself; or else the first with which the rows before it make a value that no column holds, as a sum may be. If there is none, the
// error stays as it is.
func (v *view) blame(ctx context.Context, failed error) error {
	if !isOfValues(failed) {
		return failed
	}
	rows, err := v.batch.held(v.definition.Lines)
	if err != nil {
		return errors.Join(failed, err)
	}
	row, cause, err := narrow(rows, func(of []*columnar.Batch) error {
		return v.queries.overRows(ctx, of, keepable)
	})
	if err == nil && row == nil && v.definition.Plan.Kind != Rows {
		if row, cause, err = firstAfter(rows, func(of []*columnar.Batch) error { return v.try(ctx, of) }); err == nil && row != nil {
			cause, err = v.inGroup(ctx, row, cause)
		}
	}
	switch {
	case err != nil:
		return errors.Join(failed, err)
	case row == nil:
		return failed
	}
	return &consumer.MessageError{Journal: row[0].Journal, Offset: row[0].Offsets[0], Err: cause}
}

// try what a transaction of just these rows would make of the state, and write nothing.
func (v *view) try(ctx context.Context, rows []*columnar.Batch) error {
	c := &change{view: v}
	if err := v.queries.overRows(ctx, rows, c.addGroups); err != nil {
		return err
	}
	return c.mergeAll(ctx)
}

// inGroup adds to an error which group a row is of, if it is of any.
func (v *view) inGroup(ctx context.Context, row []*columnar.Batch, cause error) (error, error) {
	keys := v.definition.Plan.Keys
	err := v.queries.overRows(ctx, row, func(b *columnar.Batch) error {
		if keys == 0 || b.Len == 0 {
			return nil
		}
		values := make([]string, keys)
		for i := range values {
			values[i] = "NULL"
			if !b.Cols[i].IsNull(0) {
				values[i] = string(columnar.AppendText(nil, &b.Cols[i], 0))
			}
		}
		cause = fmt.Errorf("group (%.200s): %w", strings.Join(values, ", "), cause)
		return nil
	})
	return cause, err
}

// WayOut stands in an error that is of a row before the statement by which the view goes on without it.
const WayOut = "; the view goes on without the row by: "

// wayOut adds that statement to an error, if it is of a row.
func (v *view) wayOut(err error) error {
	e, ok := errors.AsType[*consumer.MessageError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%w"+WayOut+"ALTER MATERIALIZED VIEW %s SKIP (journal = '%s', offset = %d)",
		err, v.definition.Name, strings.ReplaceAll(e.Journal, "'", "''"), e.Offset)
}

// isOfValues tells whether an error of the engine's is of the values that a statement was given.
func isOfValues(err error) bool {
	e, ok := errors.AsType[*duck.Error](err)
	if !ok {
		return false
	}
	return !slices.Contains([]duck.Class{duck.ClassOutOfMemory, duck.ClassInterrupt, duck.ClassFatal, duck.ClassInternal, duck.ClassPermission}, e.Class)
}

// narrow rows down to a single one that fails, and how. Without rows, there is none.
func narrow(rows []*columnar.Batch, fails func([]*columnar.Batch) error) ([]*columnar.Batch, error, error) {
	cause := error(nil)
	for {
		n := count(rows)
		if n == 1 && cause != nil {
			return rows, cause, nil
		}
		if n == 0 {
			return nil, nil, nil
		}
		first, second := halves(rows, max(1, n/2))
		err := fails(first)
		if err == nil {
			first = second
			if err = fails(second); err == nil {
				return nil, nil, nil
			}
		}
		if !isOfValues(err) {
			return nil, nil, err
		}
		rows, cause = first, err
	}
}

// firstAfter finds the first row with which all up to it fail, and how. Without rows, all of them together don't.
func firstAfter(rows []*columnar.Batch, fails func([]*columnar.Batch) error) ([]*columnar.Batch, error, error) {
	low, high := 0, count(rows) // so many don't fail, and so many do
	if high == 0 {
		return nil, nil, nil
	}
	cause := fails(rows)
	if cause == nil {
		return nil, nil, nil
	}
	for isOfValues(cause) && high-low > 1 {
		middle := (low + high) / 2
		first, _ := halves(rows, middle)
		if err := fails(first); err == nil {
			low = middle
		} else {
			high, cause = middle, err
		}
	}
	if !isOfValues(cause) {
		return nil, nil, cause
	}
	if high > 1 {
		_, rows = halves(rows, high-1)
	}
	row, _ := halves(rows, 1)
	return row, cause, nil
}

func count(rows []*columnar.Batch) int {
	n := 0
	for _, b := range rows {
		n += b.Len
	}
	return n
}

// halves are the first so many rows, and the others.
func halves(rows []*columnar.Batch, n int) ([]*columnar.Batch, []*columnar.Batch) {
	var first, second []*columnar.Batch
	for i, b := range rows {
		if b.Len >= n {
			first = append(first, b.Slice(0, n))
			if b.Len > n {
				second = append(second, b.Slice(n, b.Len))
			}
			return first, append(second, rows[i+1:]...)
		}
		first = append(first, b)
		n -= b.Len
	}
	return first, nil
}
