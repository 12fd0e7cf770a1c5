package sqlgw

import (
	"context"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/views"
)

// ViewsBy reads materialized views by any of the hosts that keep them.
func ViewsBy(c *views.Client) Views { return viewHosts{c} }

type viewHosts struct{ client *views.Client }

// Read as of Views.
func (h viewHosts) Read(ctx context.Context, view int64, atLeast map[string]int64) (ViewReading, error) {
	r, err := h.client.Read(ctx, view, atLeast)
	if err != nil {
		return nil, err
	}
	return hostReading{r}, nil
}

// Stat as of Views.
func (h viewHosts) Stat(ctx context.Context, view int64) (ViewStat, error) {
	s, err := h.client.Stat(ctx, view)
	return ViewStat{Epoch: s.Epoch, Cut: s.Cut, Rows: s.Rows}, err
}

// Members as of Views.
func (h viewHosts) Members(ctx context.Context) (map[int64][]ViewMember, error) {
	listed, err := h.client.Members(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[int64][]ViewMember, len(listed))
	for _, m := range listed {
		out[m.View] = append(out[m.View], ViewMember{Shard: m.Shard, Member: m.Member, Status: m.Status})
	}
	return out, nil
}

// hostReading is a state that a host sends.
type hostReading struct{ reading *views.Reading }

func (r hostReading) Epoch() uint64                  { return r.reading.Epoch }
func (r hostReading) Cut() map[string]int64          { return r.reading.Cut }
func (r hostReading) Columns() []columnar.Column     { return r.reading.Columns }
func (r hostReading) Types() []string                { return r.reading.Types }
func (r hostReading) Next() (*columnar.Batch, error) { return r.reading.Next() }
func (r hostReading) Close() error                   { return r.reading.Close() }

// Follow as of Views. It waits for the first part, which says what the columns are.
func (h viewHosts) Follow(ctx context.Context, view int64) (ViewChanges, error) {
	c := &hostChanges{changes: h.client.Subscribe(ctx, view, nil)}
	first, err := c.changes.Next()
	if err != nil {
		_ = c.changes.Close()
		return nil, err
	}
	c.first, c.columns, c.types = &first, first.Columns, first.Types
	return c, nil
}

// hostChanges are those that hosts send.
type hostChanges struct {
	changes *views.Changes
	first   *views.Part // nil once it was taken
	columns []columnar.Column
	types   []string
}

func (c *hostChanges) Columns() []columnar.Column { return c.columns }
func (c *hostChanges) Types() []string            { return c.types }
func (c *hostChanges) Close() error               { return c.changes.Close() }

// Next as of ViewChanges.
func (c *hostChanges) Next() (ViewPart, error) {
	if p := c.first; p != nil {
		c.first = nil
		return partOf(*p), nil
	}
	p, err := c.changes.Next()
	return partOf(p), err
}

func partOf(p views.Part) ViewPart {
	return ViewPart{Epoch: p.Epoch, Cut: p.Cut, Snapshot: p.Snapshot, Removed: p.Removed, Added: p.Added, End: p.End}
}
