package views

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// Catalog gives the definitions that a catalog has of its materialized views. It may be used concurrently.
type Catalog struct {
	catalog Snapshots

	mu      sync.Mutex
	version int64 // the last one that was given
	made    map[int64]made
}

// Snapshots is what a Catalog is made of: a catalog.Catalog has it.
type Snapshots interface {
	Snapshot(ctx context.Context) (*catalog.Snapshot, error)
}

// made is the definition of a view that was made last, and what of.
type made struct {
	revision int64
	read     catalog.Read // the view, by its name
	of       string
	def      Definition
}

// NewCatalog returns the definitions of a catalog, which has to be running.
func NewCatalog(c Snapshots) *Catalog { return &Catalog{catalog: c, made: make(map[int64]made)} }

// View as of Definitions.
func (c *Catalog) View(ctx context.Context, id int64) (Definition, error) {
	snap, err := c.catalog.Snapshot(ctx)
	if err != nil {
		return Definition{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, again := c.made[id]
	if again && last.revision == snap.Revision() {
		return last.def, nil
	}
	last.read.ID = id
	o, ok := snap.ViewRead(last.read)
	if !ok || o.View.Materialized == nil {
		delete(c.made, id)
		return Definition{}, ErrNoView
	}
	now, err := c.define(snap, o, last)
	if err != nil {
		return Definition{}, err
	}
	c.made[id] = now
	return now.def, nil
}

// define a view, unless it is what it was.
func (c *Catalog) define(snap *catalog.Snapshot, o catalog.Object, last made) (made, error) {
	if len(o.View.Reads) != 1 {
		return made{}, fmt.Errorf("a view of %d relations", len(o.View.Reads))
	}
	t, ok := snap.TableRead(o.View.Reads[0])
	if !ok {
		return made{}, fmt.Errorf("its table %s.%s has gone", o.View.Reads[0].Schema, o.View.Reads[0].Name)
	}
	now := made{
		revision: snap.Revision(), read: catalog.Read{ID: o.ID, Schema: o.Schema, Name: o.Name},
		of: fmt.Sprintf("%d %d %q %q %v %q", t.ID, t.Version, t.Messages, o.View.Query, o.View.Reads, o.Schema+"."+o.Name), def: last.def,
	}
	if now.of == last.of {
		return now, nil
	}
	query, err := parseQuery(o.View.Query)
	if err != nil {
		return made{}, fmt.Errorf("its query: %w", err)
	}
	plan, err := PlanOf(query)
	if err != nil {
		return made{}, fmt.Errorf("its query: %w", err)
	}
	c.version++
	now.def = Definition{Version: c.version, Name: parse.QuoteIdentifier(o.Schema) + "." + parse.QuoteIdentifier(o.Name), Lines: t.RowSchema(), Table: tableTarget(t), Plan: plan}
	return now, nil
}

var errQuery = errors.New("it isn't one query")

// parseQuery parses a query as the catalog keeps it.
func parseQuery(text string) (*parse.Select, error) {
	pieces, err := parse.Split(text)
	if err != nil {
		return nil, err
	}
	if len(pieces) != 1 {
		return nil, errQuery
	}
	st, err := parse.Parse(pieces[0])
	if err != nil {
		return nil, err
	}
	q, ok := st.(*parse.Select)
	if !ok {
		return nil, errQuery
	}
	return q, nil
}

// tableTarget is a table as queries of the gateway know it.
func tableTarget(t catalog.Table) parse.Target {
	out := parse.Target{Schema: t.Schema}
	for _, c := range t.RowSchema().Columns {
		out.Columns, out.Types = append(out.Columns, c.Name), append(out.Types, toldType(c.Type))
	}
	return out
}

// toldType is the name of a type that queries are told; "" leaves it to the engine.
func toldType(t columnar.Type) string {
	kind := t.Kind
	if kind == columnar.Array {
		kind = t.Element
		if kind != columnar.Varchar && kind != columnar.Char && kind != columnar.JSONB {
			return ""
		}
	}
	switch kind {
	case columnar.Bool, columnar.Decimal, columnar.Time, columnar.Interval, columnar.UUID:
		return ""
	default:
		return catalog.TypeName(t)
	}
}
