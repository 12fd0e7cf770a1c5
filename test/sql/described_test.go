package sql_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// TestDescribed: a result's description has the table and the number of each column that it shows as it is, and its
// length, before a statement runs and when it does. JDBC's and other clients' metadata is made of these.
func TestDescribed(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id integer, code char(3), note varchar(40), free varchar, price numeric(8,2), notes text[])")
	var oid uint32
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT '"+name+"'::regclass::oid").Scan(&oid))
	query := "SELECT x.*, note || 'x' AS longer, _offset FROM " + name + " x"
	type place struct {
		table    uint32
		number   uint16
		modifier int32
	}
	want := []place{{oid, 1, -1}, {oid, 2, 7}, {oid, 3, 44}, {oid, 4, -1}, {oid, 5, 8<<16 + 2 + 4}, {oid, 6, -1}, {0, 0, -1}, {0, 0, -1}}
	places := func(fields []pgconn.FieldDescription) []place {
		var out []place
		for _, f := range fields {
			out = append(out, place{f.TableOID, f.TableAttributeNumber, f.TypeModifier})
		}
		return out
	}
	exec(t, conn, "INSERT INTO "+name+" (id) VALUES (1)") // pgx tells what a simple query's columns are with its rows
	prepared, err := conn.Prepare(t.Context(), "described", query)
	require.NoError(t, err)
	require.Equal(t, want, places(prepared.Fields))
	simple, err := conn.PgConn().Exec(t.Context(), query).ReadAll()
	require.NoError(t, err)
	require.Equal(t, want, places(simple[0].FieldDescriptions))
}
