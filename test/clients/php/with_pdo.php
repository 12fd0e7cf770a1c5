<?php
// PDO.

require __DIR__ . '/steps.php';

// libpq reads what isn't said from the environment.
function opened(string $said = '', ?string $password = null): PDO
{
    return new PDO("pgsql:$said", null, $password, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function one(PDO $c, string $query)
{
    return $c->query($query)->fetchColumn();
}

$c = opened();

step('connect', function () use ($c) {
    same(one($c, 'SELECT 1'), 1);
    same(substr($c->getAttribute(PDO::ATTR_SERVER_VERSION), 0, 3), '15.');
});

step('describe', function () use ($c) {
    $s = $c->prepare('SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds WHERE id < ?');
    $s->execute([0]);
    $got = [];
    for ($i = 0; $i < $s->columnCount(); $i++) {
        $m = $s->getColumnMeta($i);
        $got[] = [$m['name'], $m['native_type'], $m['table'] ?? null, $m['precision']];
    }
    same($got, [['id', 'int4', 'kinds', -1], ['a_numeric', 'numeric', 'kinds', (20 << 16) + 4 + 4], ['a_varchar', 'varchar', 'kinds', 40 + 4], ['a_texts', '_text', 'kinds', -1]]);
});

step('read', function () use ($c) {
    $s = $c->prepare('SELECT * FROM shop.kinds WHERE id >= ? ORDER BY id');
    $s->execute([1]);
    foreach (kinds(true, false) as $want) {
        $got = $s->fetch(PDO::FETCH_NUM);
        $got[10] = is_null($got[10]) ? null : stream_get_contents($got[10]);
        same(array_map(fn ($v) => is_int($v) || is_float($v) ? (string) $v : $v, $got), $want);
    }
});

step('write', function () use ($c, $table) {
    $c->exec("CREATE TABLE $table (id integer, name text, price numeric(12,2), at timestamptz)");
    $s = $c->prepare("INSERT INTO $table VALUES (:id, :name, :price, :at)");
    foreach (ROWS as [$id, $name, $price, $at]) {
        $s->bindValue('id', $id, PDO::PARAM_INT);
        $s->bindValue('name', $name);
        $s->bindValue('price', $price);
        $s->bindValue('at', $at);
        $s->execute();
        same($s->rowCount(), 1);
    }
});

step('copy', function () use ($c, $table) {
    same($c->pgsqlCopyFromArray($table, COPIED), true);
    // It has the rows in the order that they are in; those that were copied are the last.
    same(array_slice($c->pgsqlCopyToArray($table), -2), COPIED);
});

step('cancel', function () use ($c) {
    $c->exec("SET statement_timeout = '200ms'"); // PDO has no other way to end a statement
    fails('57014', fn () => $c->query(LONG));
    $c->exec('RESET statement_timeout');
    same(one($c, 'SELECT 1'), 1);
});

step('transaction', function () use ($c, $table) {
    $c->beginTransaction();
    $c->exec("INSERT INTO $table (id) VALUES (20)");
    same(one($c, "SELECT count(*) FROM $table WHERE id = 20"), 1);
    $c->rollBack();
    $c->beginTransaction();
    $c->exec("INSERT INTO $table (id) VALUES (21)");
    $c->commit();
});

step('error', function () use ($c) {
    fails('SQLSTATE[42P01]', fn () => $c->query('SELECT * FROM shop.nowhere'));
    fails('SQLSTATE[22012]', fn () => $c->prepare('SELECT 1 / ?::integer')->execute([0]));
    same(one($c, 'SELECT 1'), 1);
});

if ($secure) {
    step('tls', function () {
        fails('no encryption', fn () => opened('sslmode=disable'));
        fails('certificate verify failed', fn () => opened('sslrootcert=' . getenv('CLIENT_OTHER_CA')));
    });
    step('scram', function () {
        opened('channel_binding=require');
        fails('password authentication failed', fn () => opened('', 'wrong'));
    });
}
