package sqlgw

import (
	"context"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// listensTo finds the table that a channel stands for; nil if none. Its heads are those of now, so that no append is missed that
// is made after LISTEN has returned.
func (s *session) listensTo(ctx context.Context, w pgwire.ResultWriter, channel string) (*tableEar, error) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	t, n, ok := s.tableOfChannel(snap, channel)
	if !ok {
		return nil, nil
	}
	if !s.may(snap, t, catalog.Select, n) {
		s.warn(w, "01000", "permission denied for table "+t.Name+": channel \""+channel+"\" doesn't tell of its appends")
		return nil, nil
	}
	journals, err := snap.Journals(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := s.gateway.watches.admit(t, len(journals)); err != nil {
		return nil, err
	}
	heads, err := s.gateway.fixCut(ctx, journals)
	if err != nil {
		return nil, err
	}
	return &tableEar{table: t, heads: heads, channel: channel, role: s.actor(snap).Role.Name}, nil
}

// tableOfChannel is the table of a channel's name: one of the search path or, with a dot in it, of a schema.
func (s *session) tableOfChannel(snap *catalog.Snapshot, channel string) (catalog.Table, parse.Name, bool) {
	for _, schema := range s.settings.schemas() {
		if t, ok := snap.Table(schema, channel); ok {
			return t, parse.Name{Name: channel}, true
		}
	}
	schema, name, qualified := strings.Cut(channel, ".")
	if !qualified {
		return catalog.Table{}, parse.Name{}, false
	}
	t, ok := snap.Table(schema, name)
	return t, parse.Name{Schema: schema, Name: name}, ok
}

// watch the table of a channel, if it stands for one, in place of what the channel stood for.
func (s *session) watch(e ear) {
	s.unwatch(e.channel)
	if e.table == nil {
		return
	}
	e.table.box = s.box
	s.box.tables[e.channel] = e.table
	s.gateway.watches.join(e.table)
}

// unwatch the table of a channel; of all channels with the name "".
func (s *session) unwatch(channel string) {
	for c, e := range s.box.tables {
		if channel == "" || c == channel {
			delete(s.box.tables, c)
			s.gateway.watches.leave(e)
		}
	}
}
