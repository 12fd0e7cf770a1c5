package pgcatalog

import (
	"context"

	"broadsheet.dev/broadsheet/catalog"
)

// rowMakers has the maker of each relation that may have rows.
func rowMakers() map[string]func(context.Context, *snapshot, *writer) error {
	return map[string]func(context.Context, *snapshot, *writer) error{
		"pg_catalog.pg_stat_activity": activityRows,
		"pg_catalog.pg_stat_ssl":      sslRows,
		"pg_catalog.pg_class":         classRows,
		"pg_catalog.pg_attribute":     attributeRows,
		"pg_catalog.pg_attrdef":       defaultRows,
		"pg_catalog.pg_namespace":     namespaceRows,
		"pg_catalog.pg_tables":        tableRows,
		"pg_catalog.pg_views":         viewRows,
		"pg_catalog.pg_matviews":      materializedRows,
		"pg_catalog.pg_type":          typeRows,
		"pg_catalog.pg_collation":     collationRows,
		"pg_catalog.pg_am":            accessMethodRows,
		"pg_catalog.pg_database":      databaseRows,
		"pg_catalog.pg_roles":         roleRows,
		"pg_catalog.pg_user":          userRows,
		"pg_catalog.pg_auth_members":  memberRows,
		"pg_catalog.pg_tablespace":    tablespaceRows,
		"pg_catalog.pg_settings":      settingRows,

		"pg_catalog.pg_stat_all_tables":    statisticRows(anyClass),
		"pg_catalog.pg_stat_sys_tables":    statisticRows((*class).isSystem),
		"pg_catalog.pg_stat_user_tables":   statisticRows((*class).isUsers),
		"pg_catalog.pg_statio_all_tables":  blockRows(anyClass),
		"pg_catalog.pg_statio_user_tables": blockRows((*class).isUsers),
		"pg_catalog.pg_stat_all_indexes":   indexStatisticRows,
		"pg_catalog.pg_stat_user_indexes":  indexStatisticRows,

		"pg_catalog.pg_language": onlyBuiltin("pg_catalog.pg_language"),
		"pg_catalog.pg_operator": onlyBuiltin("pg_catalog.pg_operator"),
		"pg_catalog.pg_opfamily": onlyBuiltin("pg_catalog.pg_opfamily"),
		"pg_catalog.pg_opclass":  onlyBuiltin("pg_catalog.pg_opclass"),
		"pg_catalog.pg_cast":     onlyBuiltin("pg_catalog.pg_cast"),
		"pg_catalog.pg_range":    onlyBuiltin("pg_catalog.pg_range"),
		"pg_catalog.pg_amop":     onlyBuiltin("pg_catalog.pg_amop"),

		"pg_catalog.pg_timezone_names": timeZoneRows,

		"pg_catalog.pg_proc": procRows,

		"pg_catalog.pg_index":       indexRows,
		"pg_catalog.pg_indexes":     indexViewRows,
		"pg_catalog.pg_constraint":  constraintRows,
		"pg_catalog.pg_description": descriptionRows,
		"pg_catalog.pg_sequence":    sequenceRows,
		"pg_catalog.pg_rewrite":     ruleRows,
		"pg_catalog.pg_depend":      dependencyRows,
		"pg_catalog.pg_sequences":   sequenceViewRows,
		"pg_catalog.pg_authid":      roleRows,

		"information_schema.table_constraints":               tableConstraintRows,
		"information_schema.key_column_usage":                keyColumnRows,
		"information_schema.referential_constraints":         referentialRows,
		"information_schema.constraint_column_usage":         constraintColumnRows,
		"information_schema.constraint_table_usage":          constraintTableRows,
		"information_schema.check_constraints":               checkRows,
		"information_schema.sequences":                       informationSequenceRows,
		"information_schema.table_privileges":                tablePrivilegeRows(true),
		"information_schema.role_table_grants":               tablePrivilegeRows(false),
		"information_schema.column_privileges":               columnPrivilegeRows(true),
		"information_schema.role_column_grants":              columnPrivilegeRows(false),
		"information_schema.views":                           informationViewRows,
		"information_schema.view_table_usage":                viewTableRows,
		"information_schema.enabled_roles":                   enabledRoleRows,
		"information_schema.information_schema_catalog_name": catalogNameRows,
		"information_schema.routines":                        routineRows,
		"information_schema.character_sets":                  characterSetRows,

		"lookup.procs":       lookupProcRows,
		"lookup.operators":   lookupOperatorRows,
		"lookup.constraints": lookupConstraintRows,
		"lookup.indexes":     lookupIndexRows,
		"lookup.views":       lookupViewRows,
		"lookup.comments":    lookupCommentRows,
		"lookup.keywords":    onlyBuiltin("lookup.keywords"),

		"information_schema.schemata": schemataRows,
		"information_schema.tables":   informationTableRows,
		"information_schema.columns":  informationColumnRows,

		"lookup.classes":  lookupClassRows,
		"lookup.types":    lookupTypeRows,
		"lookup.schemas":  lookupSchemaRows,
		"lookup.roles":    lookupRoleRows,
		"lookup.settings": lookupSettingRows,
		"lookup.sizes":    lookupSizeRows,
	}
}

func classRows(_ context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		c := &all[i]
		w.number("oid", c.oid)
		w.text("relname", c.name)
		w.number("relnamespace", c.schemaOID)
		w.number("relowner", c.owner())
		w.text("relkind", c.kind())
		w.number("relnatts", int64(len(s.columns(c))))
		w.number("reltype", c.rowType())
		if acl := s.acl(c.owner(), relationPrivileges, c.grantsOn()); acl != "" {
			w.text("relacl", acl)
		}
		switch {
		case c.table != nil:
			w.number("relam", oidJournalAM)
			if s.state.Temp != "" && c.schema == s.state.Temp {
				w.text("relpersistence", "t")
			}
			w.text("relreplident", "d")
			w.truth("relhasindex", len(c.table.Indexes) > 0)
			w.number("relchecks", int64(countKind(c.table, catalog.Check)))
			w.truth("relhastriggers", s.isReferring(c.table))
		case c.index != nil:
			w.number("relam", s.method(c.index.Method))
		case c.view != nil:
			w.truth("relhasrules", true)
			if c.materialized() {
				w.number("relam", oidJournalAM)
				w.text("relreplident", "d")
			}
			if options := viewOptions(c.view.View); options != "" {
				w.text("reloptions", options)
			}
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

func attributeRows(_ context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		c := &all[i]
		for n, col := range s.columns(c) {
			w.number("attrelid", c.oid)
			w.text("attname", col.name)
			w.number("attnum", int64(n+1))
			if c.table != nil {
				w.number("attnum", c.table.Columns[n].ID)
				w.truth("atthasdef", c.table.Columns[n].Default != "")
			}
			w.number("atttypid", col.typ.oid)
			w.number("atttypmod", int64(col.typmod))
			w.number("attlen", col.typ.length)
			w.truth("attbyval", col.typ.byValue)
			w.text("attalign", col.typ.align)
			w.text("attstorage", col.typ.storage)
			w.truth("attnotnull", col.notNull)
			w.number("attcollation", c.collation(col.typ))
			if col.typ.list != "" && (c.kind() == "r" || c.view != nil) {
				w.number("attndims", 1)
			}
			if err := w.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// collation of a column. PostgreSQL's own tables don't have the default one.
func (c *class) collation(t *typ) int64 {
	if t.collation == defaultCollation && c.relation != nil && !c.relation.view {
		return cCollation
	}
	return t.collation
}

// defaultRows: a default has no OID of its own, so that it gets its table's.
func defaultRows(_ context.Context, s *snapshot, w *writer) error {
	for _, t := range s.state.Tables.Tables() {
		for _, c := range t.Columns {
			if c.Default == "" {
				continue
			}
			w.number("oid", t.ID)
			w.number("adrelid", t.ID)
			w.number("adnum", c.ID)
			w.text("adbin", c.Default)
			if err := w.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

func namespaceRows(_ context.Context, s *snapshot, w *writer) error {
	for _, x := range s.schemas() {
		w.number("oid", x.oid)
		w.text("nspname", x.name)
		w.number("nspowner", x.owner())
		if acl := s.acl(x.owner(), schemaPrivileges, x.grantsOn()); acl != "" {
			w.text("nspacl", acl)
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// tableRows are those of pg_tables.
func tableRows(_ context.Context, s *snapshot, w *writer) error {
	all, name := s.all(), s.roleName()
	for i := range all {
		if all[i].kind() != "r" {
			continue
		}
		w.text("schemaname", all[i].schema)
		w.text("tablename", all[i].name)
		w.text("tableowner", name(all[i].owner()))
		w.truth("hasindexes", all[i].table != nil && len(all[i].table.Indexes) > 0)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}
