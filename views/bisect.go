package views

import (
	"context"
	"errors"
	"slices"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// blame finds the row of a batch on which the query over lines fails, so that it can be told, and skipped. If it fails on none of them
// by itself, as a sum may, the error stays as it is.
func (q *queries) blame(ctx context.Context, b *batch, schema columnar.Schema, failed error) error {
	if !isOfValues(failed) {
		return failed
	}
	rows, err := b.held(schema)
	if err != nil {
		return errors.Join(failed, err)
	}
	fails := func(of []*columnar.Batch) error {
		return q.overRows(ctx, of, func(*columnar.Batch) error { return nil })
	}
	rows, cause, err := narrow(rows, fails)
	switch {
	case err != nil:
		return errors.Join(failed, err)
	case rows == nil:
		return failed
	}
	return &consumer.MessageError{Journal: rows[0].Journal, Offset: rows[0].Offsets[0], Err: cause}
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
