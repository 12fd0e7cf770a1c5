package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// Config of a Catalog. Database, Owner and Version are needed.
type Config struct {
	// Database is the name of the one database.
	Database string
	// Owner is the superuser, to whom belongs what is nobody else's.
	Owner string
	// Version is what version() says.
	Version string
	// Others are the relations that the program makes beside PostgreSQL's, so that they are listed
	// with their columns. All have one schema. Their order is that of their OIDs.
	Others []Other
}

// Other is a relation that isn't PostgreSQL's.
type Other struct {
	Schema, Name string
	Columns      []columnar.Column
}

// Validate tells what is missing.
func (c *Config) Validate() error {
	if c.Database == "" || c.Owner == "" || c.Version == "" {
		return errors.New("pgcatalog: Database, Owner and Version are needed")
	}
	for _, o := range c.Others {
		if o.Schema != c.Others[0].Schema {
			return fmt.Errorf("pgcatalog: relation %s.%s is not in schema %s as the others are", o.Schema, o.Name, c.Others[0].Schema)
		}
	}
	return nil
}

// Tables tells what the catalog has. A *catalog.Snapshot does.
type Tables interface {
	Schemas() []catalog.Schema
	Tables() []catalog.Table
	Objects() []catalog.Object
}

// Setting is a run-time parameter of a session.
type Setting struct {
	Name string
	// Value is the present one, Reset the one that RESET gives back, Boot the one that a session
	// begins with unless its startup says otherwise.
	Value, Reset, Boot string
	// Fixed: it can't be set.
	Fixed bool
	// Hidden: it isn't listed, since a client made it.
	Hidden bool
	// Type is bool, integer, real, enum or string; Unit is of what Raw makes numbers of values.
	Type, Unit string
	// Raw is a value as pg_settings has it; nil leaves values as they are.
	Raw func(value string) string
}

// State is what a statement sees of the catalog and of its session.
type State struct {
	Tables Tables
	// Path are the schemas of the search path in order, whether or not they exist.
	Path []string
	// Temp is the schema of the session's temporary tables, which is searched before all; "" is that it has none.
	Temp string
	PID  uint32
	// SessionUser is who the session is when it acts as nobody else; "" is that it does so.
	SessionUser string
	// Settings returns the session's parameters, and is only asked for them by who names one or lists them; nil is that
	// there are none.
	Settings func() []Setting
	// Roles returns all that there are; nil stands for the superuser alone.
	Roles func() []catalog.Role
	// Actor returns what a role may do, that of the session's for ""; nil is that everybody may do
	// everything.
	Actor func(role string) (catalog.Actor, bool)
	// Sessions returns those of the server; nil is that there are none.
	Sessions func() []Session
	// Size is asked for the bytes that a table's journals hold.
	Size func(ctx context.Context, t catalog.Table) (int64, error)
}

func (s *State) settings() []Setting {
	if s.Settings == nil {
		return nil
	}
	return s.Settings()
}

// Catalog has the relations, and makes dialects. It doesn't change once it is made.
type Catalog struct {
	cfg       Config
	relations []*Relation
	lookups   map[string]*Relation
	types     *types
	schemas   []schema // the system's, in the order of their names
	keywords  map[string]bool
	functions map[string]function
	regs      map[string]reg
	builtin   map[string]*builtin // rows by the name of their relation
	procs     map[string]int64    // OIDs of PostgreSQL's functions; -1 where several have a name
	procNames map[int64]string
}

// OIDs that are PostgreSQL's own, and the first of those of other relations.
const (
	oidOwner             = 10
	oidDatabase          = 5
	oidCatalogSchema     = 11
	oidInformationSchema = 13207
	oidDefaultTablespace = 1663
	oidGlobalTablespace  = 1664
	defaultCollation     = 100
	cCollation           = 950
	oidOthers            = 16000
	oidJournalAM         = 16383
)

const (
	catalogSchema     = "pg_catalog"
	informationSchema = "information_schema"
	lookupSchema      = "lookup"
)

// schema is a schema of the system.
type schema struct {
	oid      int64
	name     string
	ownerOID int64           // 0 is the superuser's
	access   *catalog.Access // nil of the system's
}

// New returns a catalog.
func New(cfg Config) (*Catalog, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Catalog{
		cfg: cfg, lookups: map[string]*Relation{}, keywords: quotedKeywords(), regs: regTypes(),
		schemas: []schema{{oid: oidCatalogSchema, name: catalogSchema}, {oid: oidInformationSchema, name: informationSchema}},
	}
	var err error
	if c.types, err = readTypes(); err != nil {
		return nil, fmt.Errorf("pgcatalog: types: %w", err)
	}
	if err := c.readRelations(); err != nil {
		return nil, fmt.Errorf("pgcatalog: relations: %w", err)
	}
	if err := c.readBuiltin(); err != nil {
		return nil, fmt.Errorf("pgcatalog: builtin rows: %w", err)
	}
	if c.functions, err = c.prepareFunctions(); err != nil {
		return nil, fmt.Errorf("pgcatalog: functions: %w", err)
	}
	return c, nil
}

// Relations are those of pg_catalog and information_schema that a query can name.
func (c *Catalog) Relations() []*Relation {
	return slices.DeleteFunc(slices.Clone(c.relations), func(r *Relation) bool { return r.rows == nil })
}

// Dialect answers for the functions, types and operators of one statement. Read is asked for
// what stands in FROM for a relation: DuckDB's text of what has its Scan columns, in PostgreSQL's
// grammar.
func (c *Catalog) Dialect(s State, read func(*Relation) string) parse.Dialect {
	return &dialect{catalog: c, state: s, read: read, from: map[string]string{}}
}
