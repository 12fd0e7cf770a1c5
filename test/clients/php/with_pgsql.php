<?php
// The functions of the extension pgsql, over libpq.

require __DIR__ . '/steps.php';

// libpq reads what isn't said from the environment.
function opened(string $said = ''): PgSql\Connection
{
    set_error_handler(fn ($n, $what) => throw new Exception($what));
    try {
        return pg_connect($said, PGSQL_CONNECT_FORCE_NEW);
    } finally {
        restore_error_handler();
    }
}

// state is the SQLSTATE of a statement.
function state(PgSql\Connection $c, string $query, array $params = []): ?string
{
    pg_send_query_params($c, $query, $params);
    $state = pg_result_error_field(pg_get_result($c), PGSQL_DIAG_SQLSTATE);
    while (pg_get_result($c)) {
    }
    return $state;
}

$c = opened();

step('connect', function () use ($c) {
    same(pg_fetch_row(pg_query($c, 'SELECT 1')), ['1']);
    same(pg_parameter_status($c, 'server_encoding'), 'UTF8');
    same(pg_ping($c), true);
});

step('browse', function () use ($c) {
    $m = pg_meta_data($c, 'shop.kinds', true);
    same(count($m), 21);
    same([$m['id']['type'], $m['id']['not null'], $m['a_numeric']['type'], $m['a_numeric']['not null'], $m['a_ints']['type']], ['int4', true, 'numeric', false, '_int4']);
});

step('describe', function () use ($c) {
    $r = pg_query($c, 'SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds LIMIT 0');
    $got = [];
    for ($i = 0; $i < pg_num_fields($r); $i++) {
        $got[] = [pg_field_name($r, $i), pg_field_type($r, $i), pg_field_table($r, $i)];
    }
    same($got, [['id', 'int4', 'kinds'], ['a_numeric', 'numeric', 'kinds'], ['a_varchar', 'varchar', 'kinds'], ['a_texts', '_text', 'kinds']]);
});

step('read', function () use ($c) {
    $r = pg_query_params($c, 'SELECT * FROM shop.kinds WHERE id >= $1 ORDER BY id', [1]);
    foreach (kinds('t', 'f') as $want) {
        $got = pg_fetch_row($r);
        $got[10] = is_null($got[10]) ? null : pg_unescape_bytea($got[10]);
        same($got, $want);
    }
});

step('write', function () use ($c, $table) {
    pg_query($c, "CREATE TABLE $table (id integer, name text, price numeric(12,2), at timestamptz)");
    pg_prepare($c, 'add', "INSERT INTO $table VALUES (\$1, \$2, \$3, \$4)");
    foreach (ROWS as $row) {
        same(pg_affected_rows(pg_execute($c, 'add', $row)), 1);
    }
});

step('copy', function () use ($c, $table) {
    same(pg_copy_from($c, $table, COPIED), true);
    // It has the rows in the order that they are in; those that were copied are the last.
    same(array_slice(pg_copy_to($c, $table), -2), COPIED);
});

step('cancel', function () use ($c) {
    $other = opened();
    $pid = pg_get_pid($c);
    pg_send_query($c, LONG);
    do {
        $r = pg_query($other, "SELECT count(*) FROM bs_catalog.sessions WHERE pid = $pid AND state = 'active' AND query LIKE '%generate_series%'");
    } while (pg_fetch_result($r, 0, 0) !== '1' && pg_connection_busy($c));
    pg_query($other, "SELECT pg_cancel_backend($pid)"); // pg_cancel_query() tells nothing of how the query ended
    same(pg_result_error_field(pg_get_result($c), PGSQL_DIAG_SQLSTATE), '57014');
    same(pg_get_result($c), false);
    pg_send_query($c, LONG);
    do {
        $r = pg_query($other, "SELECT count(*) FROM bs_catalog.sessions WHERE pid = $pid AND state = 'active' AND query LIKE '%generate_series%'");
    } while (pg_fetch_result($r, 0, 0) !== '1' && pg_connection_busy($c));
    same(pg_cancel_query($c), true);
    same(pg_fetch_row(pg_query($c, 'SELECT 1')), ['1']);
});

step('transaction', function () use ($c, $table) {
    pg_query($c, 'BEGIN');
    pg_query($c, "INSERT INTO $table (id) VALUES (20)");
    same(pg_transaction_status($c), PGSQL_TRANSACTION_INTRANS);
    same(pg_fetch_row(pg_query($c, "SELECT count(*) FROM $table WHERE id = 20")), ['1']);
    pg_query($c, 'ROLLBACK');
    pg_query($c, 'BEGIN');
    pg_query($c, "INSERT INTO $table (id) VALUES (21)");
    pg_query($c, 'COMMIT');
});

step('error', function () use ($c) {
    same(state($c, 'SELECT * FROM shop.nowhere'), '42P01');
    same(state($c, 'SELECT 1 / $1::integer', [0]), '22012');
    same(pg_fetch_row(pg_query($c, 'SELECT 1')), ['1']);
});

if ($secure) {
    step('tls', function () {
        fails('no encryption', fn () => opened('sslmode=disable'));
        fails('certificate verify failed', fn () => opened('sslrootcert=' . getenv('CLIENT_OTHER_CA')));
    });
    step('scram', function () {
        opened('channel_binding=require');
        fails('password authentication failed', fn () => opened('password=wrong'));
    });
}
