package sql_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
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

// TestDescribedBeforeValues: what a statement returns is told before its parameters have values, also where the engine doesn't say
// until it has them.
func TestDescribedBeforeValues(t *testing.T) {
	conn := connect(t)
	for query, want := range map[string]uint32{
		"SELECT array_length($1::int[], 1)":                                      pgtype.Int4OID,
		"SELECT cardinality($1::int[]) + 1":                                      pgtype.Int4OID,
		"SELECT array_to_string($1::int[], ',')":                                 pgtype.TextOID,
		"SELECT max(x) FROM unnest($1::int[]) x":                                 pgtype.Int4OID,
		"SELECT count(*) FROM (SELECT cardinality($1::int[])) x":                 pgtype.Int8OID,
		"SELECT 1 WHERE cardinality($1::int[]) > 0 OR true":                      pgtype.Int4OID,
		"SELECT to_jsonb($1::int[])":                                             pgtype.JSONBOID,
		"SELECT array_dims($1::int[])":                                           pgtype.TextOID,
		"SELECT json_build_object('a', $1::int[])":                               pgtype.JSONOID,
		"SELECT count(*) FROM generate_series(1, ($1::int[])[1])":                pgtype.Int8OID,
		"SELECT array_agg(x) FROM unnest($1::int[]) WITH ORDINALITY AS x (x, n)": pgtype.Int4ArrayOID,
	} {
		prepared, err := conn.Prepare(t.Context(), "", query)
		require.NoError(t, err, query)
		require.Len(t, prepared.Fields, 1, query)
		require.Equal(t, want, prepared.Fields[0].DataTypeOID, query)
		for _, value := range [][]byte{[]byte("{1,2}"), nil} {
			r := conn.PgConn().ExecParams(t.Context(), query, [][]byte{value}, nil, nil, nil).Read()
			require.NoError(t, r.Err, query)
			require.Len(t, r.FieldDescriptions, 1, query)
			require.Equal(t, want, r.FieldDescriptions[0].DataTypeOID, query)
		}
	}
}
