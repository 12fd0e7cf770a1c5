package sql

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// question is a listing of "broadsheet tables". What stands for the table's name in its query is $table.
type question struct {
	use, short, query string
}

// questions that the catalog is asked.
func questions() []question {
	return []question{
		{
			use: "list", short: "List the tables of all schemas",
			query: `SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
  (SELECT count(*) FROM bs_catalog.journals j WHERE j.table_schema = n.nspname AND j.table_name = c.relname) AS journals,
  pg_catalog.obj_description(c.oid, 'pg_class') AS comment
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'bs_catalog') ORDER BY 1, 2`,
		},
		{
			use: "describe TABLE", short: "List the columns of a table",
			query: `SELECT a.attname AS column, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS "not null",
  pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS default, pg_catalog.col_description(a.attrelid, a.attnum) AS comment
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $table::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
		},
		{
			use: "journals TABLE", short: "List the journals that the rows of a table are in",
			query: `SELECT j.journal FROM bs_catalog.journals j
JOIN pg_catalog.pg_class c ON c.relname = j.table_name JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = j.table_schema
WHERE c.oid = $table::regclass ORDER BY 1`,
		},
		{
			use: "rejects TABLE", short: "List what stands in the journals of a table and is no row of it, and why",
			query: `SELECT r.journal, r."offset", r.reason, r.bytes FROM bs_catalog.rejects r
JOIN pg_catalog.pg_class c ON c.relname = r.table_name JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = r.table_schema
WHERE c.oid = $table::regclass ORDER BY 1, 2`,
		},
	}
}

// TablesCommand is "broadsheet tables".
func TablesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tables",
		Short: "See the tables of the SQL gateway",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, q := range questions() {
		cmd.AddCommand(q.command())
	}
	return cmd
}

func (q question) command() *cobra.Command {
	var a address
	var output string
	cmd := &cobra.Command{
		Use:   q.use,
		Short: q.short,
		Args:  cobra.ExactArgs(strings.Count(q.use, " ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			return q.ask(cmd, &a, output, args)
		},
	}
	a.add(cmd.Flags())
	addOutput(cmd, &output)
	return cmd
}

// ask the server, and print the answer.
func (q question) ask(cmd *cobra.Command, a *address, output string, args []string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	c, err := dial(cmd.Context(), config)
	if err != nil {
		return advise(err)
	}
	s := &session{conn: c, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), print: newPrinter(output, cmd.OutOrStdout(), true)}
	text := q.query
	for _, table := range args {
		text = strings.ReplaceAll(text, "$table", "'"+strings.ReplaceAll(table, "'", "''")+"'")
	}
	err = s.run(cmd.Context(), text)
	if e, ok := errors.AsType[*statementError](err); ok {
		e.text = "" // It isn't what the user wrote.
	}
	return advise(errors.Join(err, c.close()))
}
