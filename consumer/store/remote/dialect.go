package remote

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// DefaultTable is the table of checkpoints, unless Config says another.
const DefaultTable = "gazette_checkpoints"

// Dialect is a way to write SQL.
type Dialect int

// Dialects that are known.
const (
	PostgreSQL Dialect = iota
	MySQL
	SQLite
)

// String is the dialect's name.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	case SQLite:
		return "SQLite"
	}
	return "dialect " + strconv.Itoa(int(d))
}

// tableName is what a table may be called: it is written into statements as it is.
var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)

// CreateTable is the statement that makes a table of checkpoints. An empty name is the default's.
func CreateTable(d Dialect, table string) string {
	name, number, blob := "TEXT", "INTEGER", "BLOB"
	switch d {
	case PostgreSQL:
		number, blob = "BIGINT", "BYTEA"
	case MySQL:
		name, number, blob = "VARBINARY(2048)", "BIGINT", "LONGBLOB" // text has no key there
	case SQLite:
	}
	if table == "" {
		table = DefaultTable
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (shard_fqn %s PRIMARY KEY NOT NULL, fence %s NOT NULL, checkpoint %s NOT NULL)",
		table, name, number, blob)
}

// statements of a store.
type statements struct {
	fence, read, insert, update string
	look                        string // whether a row that wasn't changed is there; empty if it would have counted
}

func (d Dialect) statements(table string) statements {
	s := statements{
		fence:  d.place("UPDATE " + table + " SET fence = fence + 1 WHERE shard_fqn = ?"),
		read:   d.place("SELECT fence, checkpoint FROM " + table + " WHERE shard_fqn = ?"),
		insert: d.place("INSERT INTO " + table + " (shard_fqn, fence, checkpoint) VALUES (?, ?, ?)"),
		update: d.place("UPDATE " + table + " SET checkpoint = ? WHERE shard_fqn = ? AND fence = ?"),
	}
	if d == MySQL {
		s.look = "SELECT fence FROM " + table + " WHERE shard_fqn = ? AND fence = ? FOR UPDATE"
	}
	return s
}

// place numbers placeholders where they have numbers.
func (d Dialect) place(query string) string {
	if d != PostgreSQL {
		return query
	}
	for i := 1; strings.Contains(query, "?"); i++ {
		query = strings.Replace(query, "?", "$"+strconv.Itoa(i), 1)
	}
	return query
}
