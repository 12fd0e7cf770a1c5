package sqlgw

import (
	"context"
	"errors"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// mayKeep asks the engine for what a query keeps of its table: it may know the query's results, and not this, as it has averages of intervals,
// but no sums. Told here, it needn't be found out by whoever has to keep it.
func (s *session) mayKeep(ctx context.Context, snap *catalog.Snapshot, kept *parse.Select) error {
	inc, err := kept.Incremental()
	if err != nil {
		return at(parseError(err), 0)
	}
	q := &query{session: s, parsed: inc.Partial}
	for _, r := range kept.Relations() {
		x, err := s.resolve(snap, r.Name)
		if err != nil {
			return at(err, 0)
		}
		q.sources = append(q.sources, x)
	}
	err = q.describe(ctx, snap, nil)
	if e, ok := errors.AsType[*duck.Error](err); ok {
		return sqlError("0A000", "what a materialized view has to keep of this query is not supported: %s", e.Message)
	}
	return at(err, 0)
}
