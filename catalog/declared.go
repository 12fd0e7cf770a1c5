package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// ConstraintKind is pg_constraint.contype.
type ConstraintKind string

// The kinds of constraints.
const (
	PrimaryKey ConstraintKind = "p"
	Unique     ConstraintKind = "u"
	ForeignKey ConstraintKind = "f"
	Check      ConstraintKind = "c"
)

// Constraint of a table, as it was declared: a log takes what it is given. Its JSON is that of entries.
type Constraint struct {
	ID      int64          `json:"id"`
	Kind    ConstraintKind `json:"kind"`
	Name    string         `json:"name"` // made of those of the table and columns, if it wasn't given
	Columns []int64        `json:"columns,omitempty"`
	// Index is the id of the index that a primary key or unique constraint would have.
	Index int64 `json:"index,omitempty"`
	// References, RefColumns and the actions are of a foreign key: the id of the table, and of its columns.
	References int64   `json:"references,omitempty"`
	RefColumns []int64 `json:"ref_columns,omitempty"`
	OnUpdate   string  `json:"on_update,omitempty"` // pg_constraint.confupdtype
	OnDelete   string  `json:"on_delete,omitempty"`
	MatchFull  bool    `json:"match_full,omitempty"`
	Deferrable bool    `json:"deferrable,omitempty"`
	Deferred   bool    `json:"deferred,omitempty"`
	// Check is an SQL expression.
	Check string `json:"check,omitempty"`
}

// Index of a table, as it was declared: there is no such thing, and none is needed.
type Index struct {
	ID      int64   `json:"id"`
	Name    string  `json:"name"`
	Unique  bool    `json:"unique,omitempty"`
	Method  string  `json:"method"` // btree and so on
	Columns []int64 `json:"columns"`
	// Descending and NullsFirst are bits of pg_index.indoption, one number for each column.
	Options []int16 `json:"options,omitempty"`
	// Where is the predicate of a partial index.
	Where   string `json:"where,omitempty"`
	Comment string `json:"comment,omitempty"`
}

func (x Constraint) validate(columns map[string]bool) error {
	for _, id := range x.Columns {
		if id < 1 || int(id) > len(columns) {
			return &Error{Code: ErrInvalid, Kind: "constraint", Name: x.Name, Detail: fmt.Sprintf("there is no column %d", id)}
		}
	}
	return nil
}

// columnNames of ids, joined by underscores.
func (t *Table) columnNames(ids []int64) string {
	var names []string
	for _, id := range ids {
		for _, c := range t.Columns {
			if c.ID == id {
				names = append(names, c.Name)
			}
		}
	}
	return strings.Join(names, "_")
}

// maxNamePart keeps made names within PostgreSQL's 63 bytes.
const maxNamePart = 28

func cut(s string) string {
	for len(s) > maxNamePart {
		s = s[:len(s)-1]
		s = strings.ToValidUTF8(s, "")
	}
	return s
}

// freeName is name, or name with a number behind it if something of the table has it.
func (t *Table) freeName(name string) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(t.Constraints, func(x Constraint) bool { return x.Name == name }) ||
			slices.ContainsFunc(t.Indexes, func(x Index) bool { return x.Name == name })
	}
	free := name
	for i := 1; taken(free); i++ {
		free = fmt.Sprintf("%s%d", name, i)
	}
	return free
}

// madeName is the name that PostgreSQL makes for a constraint.
func (t *Table) madeName(x Constraint) string {
	table, columns := cut(t.Name), cut(t.columnNames(x.Columns))
	if columns != "" {
		columns = "_" + columns
	}
	switch x.Kind {
	case PrimaryKey:
		return t.freeName(table + "_pkey")
	case Unique:
		return t.freeName(table + columns + "_key")
	case ForeignKey:
		return t.freeName(table + columns + "_fkey")
	default:
		return t.freeName(table + columns + "_check")
	}
}

// addConstraint declares a constraint, and the index that PostgreSQL would have for it.
func (t *Table) addConstraint(x Constraint, next func() int64) {
	x.ID = next()
	if x.Name == "" {
		x.Name = t.madeName(x)
	}
	if x.Kind == ForeignKey && x.References == 0 { // to the table itself
		x.References = t.ID
	}
	if x.Kind == PrimaryKey || x.Kind == Unique {
		x.Index = next()
		t.Indexes = append(slices.Clip(t.Indexes), Index{ID: x.Index, Name: x.Name, Unique: true, Method: "btree", Columns: x.Columns})
	}
	t.Constraints = append(slices.Clip(t.Constraints), x)
}

func (t *Table) addIndex(x Index, next func() int64) {
	x.ID = next()
	if x.Name == "" {
		name := cut(t.Name)
		if columns := cut(t.columnNames(x.Columns)); columns != "" {
			name += "_" + columns
		}
		x.Name = t.freeName(name + "_idx")
	}
	t.Indexes = append(slices.Clip(t.Indexes), x)
}

// lastID is the greatest of the ids that the table has taken.
func (t *Table) lastID() int64 {
	last := max(t.ID, t.Version)
	for _, x := range t.Constraints {
		last = max(last, x.ID, x.Index)
	}
	for _, x := range t.Indexes {
		last = max(last, x.ID)
	}
	return last
}
