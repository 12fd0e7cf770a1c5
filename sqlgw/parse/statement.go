package parse

// Statement is one of the types below that embed or name it: *Select, *Insert,
// *CopyFrom, *CopyTo, *CreateTable, *DropTable, *CreateSchema, *DropSchema, *ShowTables,
// *CreateIndex, *AlterTable, *RenameIndex, *RenameSequence, *CreateSequence, *CreateFunction, *Comment, *Drop, *Maintain,
// *CreateTempAs, *Change, *Truncate,
// *CreateView, *AlterView, *DropView; of materialized views (materialized.go); *Explain, *Show, *Set, *Reset, *Subscribe; of transactions (transaction.go): *SetTransaction, *Begin, *Commit,
// *Rollback, *Savepoint, *Release, *RollbackTo; and those that name something of the session
// (named.go): *Prepare, *Execute, *Deallocate, *Discard, *Declare, *Fetch, *CloseCursor, *Listen, *Unlisten, *Notify; and
// those of roles (roles.go): *CreateRole, *AlterRole, *DropRole, *GrantRole, *Grant.
type Statement interface {
	// Position counts the characters up to the statement's first one from 1.
	Position() int
	sealed()
}

// at is where a statement stands in its text.
type at struct{ position int }

func (a at) Position() int { return a.position }
func (at) sealed()         {}

// Name of a table, or what a query calls one.
type Name struct {
	Database string // "" unless the name has three parts
	Schema   string // "" means the search path
	Name     string
	// Position counts characters from 1; 0 is unknown.
	Position int
}

// String is the name as messages quote it.
func (n Name) String() string {
	s := n.Name
	if n.Schema != "" {
		s = n.Schema + "." + s
	}
	if n.Database != "" {
		s = n.Database + "." + s
	}
	return s
}

// Option of a WITH clause, as it was given. The value of a name alone is "true".
type Option struct {
	Name, Value string
	Position    int
}

// Insert adds rows to a table.
type Insert struct {
	at
	Table Name
	// Columns in the order of the source's columns; nil means all of the table, or
	// as many of its first ones as the source has columns.
	Columns []string
	// Source gives the rows. A source that is VALUES has Literals too; DEFAULT in it is NULL.
	Source *Select
	// Defaults are the places of DEFAULT in VALUES: row and column, from 0.
	Defaults map[[2]int]bool
	// Returning is what is told of the rows; nil is their number only.
	Returning *Returning
}

// CopyFrom takes rows from the client (COPY ... FROM STDIN).
type CopyFrom struct {
	at
	Table   Name
	Columns []string // nil means all, in the table's order
	Options CopyOptions
}

// CopyTo sends rows to the client (COPY ... TO STDOUT). Exactly one of Query and
// Subscribe is set; a table is the query that selects its columns.
type CopyTo struct {
	at
	Query     *Select
	Subscribe *Subscribe
	Table     *Name    // nil if it isn't of a table
	Columns   []string // of the table, nil means all
	Options   CopyOptions
}

// CreateTable makes a table.
type CreateTable struct {
	at
	Table       Name
	IfNotExists bool
	Columns     []ColumnDef
	Constraints []Constraint
	// Options of the WITH clause in their order, none twice. The catalog knows which
	// there are; it refuses the others by name.
	Options []Option
	// Journals is the prefix of ON JOURNALS, ending in '/'; "" means that the table gets
	// journals of its own. With it there may be no columns: then they are those of the journals' lines.
	Journals string
	// Temp: it is the session's, and has no journals.
	Temp     bool
	OnCommit OnCommit
}

// DropTable removes tables, and with Cascade the views that read them.
type DropTable struct {
	at
	Tables   []Name
	IfExists bool
	Cascade  bool
}

// CreateSchema makes a schema.
type CreateSchema struct {
	at
	Name        string
	IfNotExists bool
}

// DropSchema removes schemas that are empty.
type DropSchema struct {
	at
	Names    []string
	IfExists bool
}

// ShowTables lists the tables (SHOW TABLES).
type ShowTables struct{ at }

// Show tells a setting's value. The name is in lower case if it wasn't quoted; "all"
// is every setting. What has a syntax of its own has the grammar's name for it: timezone,
// transaction_isolation, session_authorization.
type Show struct {
	at
	Name string
}

// Set changes a setting of the session, or with Local of the transaction.
type Set struct {
	at
	Name string
	// Values are those of the list, as text; INTERVAL '1' HOUR is such a text. None
	// means SET ... TO DEFAULT.
	Values []string
	Local  bool
}

// Reset gives a setting its first value; an empty name means all of them.
type Reset struct {
	at
	Name string
}

// Subscribe sends the rows of a query at its cut, and then the changes. For a table
// the query is SELECT * FROM it, and Table is set.
type Subscribe struct {
	at
	Table *Name
	Query *Select
}
