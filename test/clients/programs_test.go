package clients_test

// program is one client's.
type program struct {
	name string
	// args are the command, below this package's folder.
	args []string
	// also are steps that this client has and others don't, after theirs.
	also []string
	// cannot tells of each step that isn't done why not.
	cannot map[string]string
	// differs has, by step, what a program sees here and not with PostgreSQL.
	differs map[string]string
	// unchecked tells why the program isn't held against PostgreSQL.
	unchecked string
	// millis tells that what it writes has no microseconds.
	millis bool
}

// steps in their order, and those of a connection that is secured.
var (
	steps        = []string{"connect", "browse", "describe", "read", "write", "copy", "cancel", "transaction", "error"}
	securedSteps = []string{"tls", "scram"}
)

// none of what a client does has COPY.
const noCopy = "it has no COPY"

// programs of all clients.
var programs = []program{
	{name: "psql", args: []string{"/bin/bash", "psql/steps.sh"}, cannot: map[string]string{"cancel": "Ctrl-C needs a terminal: test/psql.TestInterrupt"}},
	{name: "pgx", args: []string{"go/clients", "pgx"}, also: []string{"copy binary", "load type"}},
	{name: "lib/pq", args: []string{"go/clients", "pq"}},
	{name: "psycopg2", args: []string{"/usr/bin/python3", "python/with_psycopg2.py"}},
	{name: "psycopg3", args: []string{"/usr/bin/python3", "python/with_psycopg3.py"}, also: []string{"copy binary"}},
	{name: "SQLAlchemy", args: []string{"/usr/bin/python3", "python/with_sqlalchemy.py"}, cannot: map[string]string{"copy": noCopy}},
	{name: "psqlODBC", args: []string{"/usr/bin/python3", "python/with_odbc.py"}, cannot: map[string]string{"copy": noCopy}},
	{
		name: "pgjdbc", args: []string{"java", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/postgresql.jar", "java/Jdbc.java"},
		unchecked: "its cancel() is lost there, and the query never ends",
	},
	{name: "node-postgres", args: []string{"node", "node/with_pg.js"}},
	{name: "postgres.js", args: []string{"node", "node/with_postgres.js"}, millis: true},
	{name: "knex", args: []string{"node", "node/with_knex.js"}, cannot: map[string]string{"describe": "it doesn't show what types a result has", "copy": noCopy}},
	{name: "DBD::Pg", args: []string{"/usr/bin/perl", "perl/dbd_pg.pl"}},
	{name: "PHP pgsql", args: []string{"/usr/bin/php", "php/with_pgsql.php"}},
	{name: "PHP PDO", args: []string{"/usr/bin/php", "php/with_pdo.php"}, cannot: map[string]string{"browse": "it has no way to list tables"}},
	{name: "ruby-pg", args: []string{"/usr/bin/ruby", "ruby/with_pg.rb"}},
	{name: "RPostgreSQL", args: []string{"/usr/bin/Rscript", "--vanilla", "r/rpostgresql.R"}},
}
