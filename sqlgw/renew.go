package sqlgw

import (
	"context"
	"errors"
	"slices"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// staleError says that a prepared statement is about relations that became others. Nothing was done by then.
type staleError struct{ told *pgwire.Error }

func (e *staleError) Error() string { return e.told.Error() }

// Unwrap returns what the client is told if the statement can't be prepared anew.
func (e *staleError) Unwrap() error { return e.told }

// changedResult is the error of a prepared statement whose result, or parameters, would be others.
func changedResult() *staleError {
	return &staleError{sqlError("0A000", "cached plan must not change result type")}
}

func isStale(err error) bool {
	_, ok := errors.AsType[*staleError](err)
	return ok
}

// renewed lets a statement be prepared anew when its relations have become others, as PostgreSQL plans anew: if its result and its
// parameters are what they were.
func (s *session) renewed(st *statement, p parse.Statement) {
	switch p.(type) {
	case *parse.Select, *parse.Insert, *parse.Subscribe:
	default:
		return
	}
	begin := st.begin
	st.begin = func(ctx context.Context, args *columnar.Batch) (execution, error) {
		e, err := begin(ctx, args)
		if !isStale(err) {
			return e, err
		}
		fresh, again := s.prepareAny(ctx, p, st.Params())
		if again != nil {
			return nil, again
		}
		if !slices.Equal(fresh.params, st.params) || !slices.EqualFunc(fresh.columns, st.columns, sameResult) {
			return nil, err
		}
		begin = fresh.begin
		return begin(ctx, args)
	}
}

func sameResult(a, b pgwire.Column) bool {
	return a.Name == b.Name && a.TypeOID == b.TypeOID && a.TypeMod == b.TypeMod
}

// planAnew is the plan of an INSERT into a table that became another.
func (s *session) planAnew(ctx context.Context, p *parse.Insert, was *insertPlan) (*insertPlan, error) {
	oids := make([]uint32, len(was.params))
	for i, t := range was.params {
		oids[i] = t.OID()
	}
	fresh, err := s.planInsert(ctx, p, oids)
	if err == nil && !slices.Equal(fresh.params, was.params) {
		err = changedResult()
	}
	return fresh, err
}

// planned tells whether a plan is of the table that there is.
func (s *session) planned(ctx context.Context, plan *insertPlan) error {
	t, _, err := s.writable(ctx, plan.name)
	if err == nil && !sameTable(t, plan.table) {
		return changedResult()
	}
	return err
}
