package sqlgw

import (
	"context"
	"fmt"
	"sync"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
)

// addCatalog makes the relations of PostgreSQL's system catalogs, which list those that are
// there already.
func (g *Gateway) addCatalog() error {
	cfg := pgcatalog.Config{Database: g.cfg.Database, Owner: superuser, Version: "PostgreSQL " + serverVersion + " (Broadsheet)"}
	for _, v := range systemViews() {
		cfg.Others = append(cfg.Others, pgcatalog.Other{Schema: v.schema, Name: v.name, Columns: v.columns})
	}
	var err error
	if g.pg, err = pgcatalog.New(cfg); err != nil {
		return fmt.Errorf("sqlgw: %w", err)
	}
	for _, r := range g.pg.Relations() {
		g.views[viewName{r.Schema, r.Name}] = catalogView(r)
	}
	return nil
}

// catalogView is a relation of the system catalogs as a view.
func catalogView(r *pgcatalog.Relation) *systemView {
	return &systemView{
		schema: r.Schema, name: r.Name, columns: r.Scan(), relation: r,
		rows: func(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
			return r.Rows(ctx, s.session.gateway.pg, s.catalog, add)
		},
	}
}

// viewState is what a view is made of: the catalog, and a session's state as they were when
// the statement began. It is read by the engine's threads.
type viewState struct {
	session *session
	snap    *catalog.Snapshot
	catalog pgcatalog.State
	args    *columnar.Batch // of the query's parameters, once it runs
	asked   asked           // the journals that a relation of bs_catalog is asked for
}

func (s *session) viewState(snap *catalog.Snapshot) viewState {
	state := pgcatalog.State{Tables: snap, Path: s.settings.schemas(), PID: s.pid}
	state.Roles = snap.Roles
	state.Actor = func(role string) (catalog.Actor, bool) {
		if role == "" {
			return s.actor(snap), true
		}
		return snap.Actor(role)
	}
	if snap != nil {
		state.SessionUser = s.sessionActor(snap).Role.Name
	}
	state.Sessions = s.sessionsShown(snap)
	state.Settings = sync.OnceValue(s.shownSettings())
	state.Size = func(ctx context.Context, t catalog.Table) (int64, error) { return s.gateway.tableSize(ctx, snap, t) }
	if snap != nil {
		s.showTemps(&state, s.actor(snap).Role.ID)
	}
	return viewState{session: s, snap: snap, catalog: state}
}

// shownSettings returns what lists the settings as they are now. It may be called by the engine's threads, while
// the session sets others.
func (s *session) shownSettings() func() []pgcatalog.Setting {
	now := settings{table: s.settings.table, given: s.settings.given, values: s.settings.saved()}
	modes := s.modes()
	return func() []pgcatalog.Setting {
		boot := settingTable()
		out := make([]pgcatalog.Setting, len(boot))
		for i, e := range now.table {
			kind, unit := e.kind()
			out[i] = pgcatalog.Setting{
				Type: kind, Unit: unit,
				Name: e.name, Value: shown(&now, modes, e.name), Reset: e.initial, Boot: boot[i].initial, Fixed: e.check == nil && !isIdentity(e.name),
				Raw: e.raw,
			}
		}
		for name, value := range now.custom() {
			out = append(out, pgcatalog.Setting{Name: name, Value: value, Hidden: true})
		}
		return out
	}
}

// dialect answers for PostgreSQL's functions and types in a statement. The scans that its answers
// read are added to tokens; they are the caller's to drop.
func (v viewState) dialect(tokens *[]string) parse.Dialect {
	g := v.session.gateway
	return acting{state: v, Dialect: g.pg.Dialect(v.catalog, func(r *pgcatalog.Relation) string {
		token := g.scans.add(catalogView(r).scan(v))
		*tokens = append(*tokens, token)
		return scanFunction + "('" + token + "')"
	})}
}

// dropScans forgets scans that no text for the engine names any more.
func (g *Gateway) dropScans(tokens []string) {
	for _, t := range tokens {
		g.scans.remove(t)
	}
}

// tableSize is the number of bytes in a table's journals.
func (g *Gateway) tableSize(ctx context.Context, snap *catalog.Snapshot, t catalog.Table) (int64, error) {
	journals, err := snap.Journals(ctx, t)
	if err != nil {
		return 0, err
	}
	var size int64
	for _, j := range journals {
		list, err := g.cfg.Brokers.Fragments(ctx, j)
		if err != nil {
			return 0, fmt.Errorf("size of journal %s: %w", j, err)
		}
		var end int64
		for _, f := range list { // ascending in their begin, they may overlap
			if f.GetEnd() > end {
				size += f.GetEnd() - max(end, f.GetBegin())
				end = f.GetEnd()
			}
		}
	}
	return size, nil
}
