package pgcatalog

import "context"

func anyClass(*class) bool { return true }

func (c *class) isSystem() bool { return c.relation != nil }

func (c *class) isUsers() bool { return c.relation == nil }

// statisticRows are those of pg_stat_all_tables and its kin. What nobody counts is NULL; that rows are never changed, removed or
// vacuumed is known.
func statisticRows(of func(*class) bool) func(context.Context, *snapshot, *writer) error {
	return func(_ context.Context, s *snapshot, w *writer) error {
		all := s.all()
		for i := range all {
			c := &all[i]
			if c.kind() != "r" || !of(c) {
				continue
			}
			w.number("relid", c.oid)
			w.text("schemaname", c.schema)
			w.text("relname", c.name)
			for _, name := range []string{
				"n_tup_upd", "n_tup_del", "n_tup_hot_upd", "n_dead_tup", "vacuum_count", "autovacuum_count", "analyze_count", "autoanalyze_count",
			} {
				w.number(name, 0)
			}
			if err := w.end(); err != nil {
				return err
			}
		}
		return nil
	}
}

// blockRows are those of pg_statio_all_tables and its kin: there are no blocks to count.
func blockRows(of func(*class) bool) func(context.Context, *snapshot, *writer) error {
	return func(_ context.Context, s *snapshot, w *writer) error {
		all := s.all()
		for i := range all {
			c := &all[i]
			if c.kind() != "r" || !of(c) {
				continue
			}
			w.number("relid", c.oid)
			w.text("schemaname", c.schema)
			w.text("relname", c.name)
			if err := w.end(); err != nil {
				return err
			}
		}
		return nil
	}
}

// indexStatisticRows are those of pg_stat_all_indexes and its kin: nothing is ever scanned by an index.
func indexStatisticRows(_ context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		c := &all[i]
		if c.index == nil {
			continue
		}
		w.number("relid", c.of.ID)
		w.number("indexrelid", c.oid)
		w.text("schemaname", c.of.Schema)
		w.text("relname", c.of.Name)
		w.text("indexrelname", c.name)
		for _, name := range []string{"idx_scan", "idx_tup_read", "idx_tup_fetch"} {
			w.number(name, 0)
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// characterSetRows is the one that there is.
func characterSetRows(_ context.Context, s *snapshot, w *writer) error {
	w.text("character_set_name", "UTF8")
	w.text("character_repertoire", "UCS")
	w.text("form_of_use", "UTF8")
	w.text("default_collate_catalog", s.catalog.cfg.Database)
	w.text("default_collate_schema", catalogSchema)
	w.text("default_collate_name", "C")
	return w.end()
}
