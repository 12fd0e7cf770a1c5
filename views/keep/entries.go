package keep

import (
	"context"
	"errors"
	"fmt"

	"broadsheet.dev/broadsheet/catalog"
)

// Catalog is what entries are read from: a catalog.Catalog has it.
type Catalog interface {
	Snapshot(ctx context.Context) (*catalog.Snapshot, error)
}

// EntriesOf returns what Config.Entries of a catalog is.
func EntriesOf(c Catalog) func(ctx context.Context) (Entries, error) {
	return func(ctx context.Context) (Entries, error) {
		snap, err := c.Snapshot(ctx)
		if err != nil {
			return Entries{}, err
		}
		out := Entries{Unknown: !snap.WholeObjects()}
		for _, o := range snap.Objects() {
			if o.View != nil && o.View.Materialized != nil {
				out.Views = append(out.Views, entryOf(ctx, snap, o))
			}
		}
		return out, nil
	}
}

var errReads = errors.New("it isn't of one table")

func entryOf(ctx context.Context, snap *catalog.Snapshot, o catalog.Object) View {
	v := View{ID: o.ID, Standbys: o.View.Materialized.Standbys, Skipped: o.View.Materialized.Skipped}
	if len(o.View.Reads) != 1 {
		v.Err = fmt.Errorf("%s.%s: %w", o.Schema, o.Name, errReads)
		return v
	}
	t, ok := snap.TableRead(o.View.Reads[0])
	if !ok {
		v.Err = fmt.Errorf("%s.%s: its table can't be read", o.Schema, o.Name)
		return v
	}
	if v.Journals, v.Err = snap.Journals(ctx, t); v.Err != nil {
		v.Err = fmt.Errorf("%s.%s: %w", o.Schema, o.Name, v.Err)
	}
	return v
}
