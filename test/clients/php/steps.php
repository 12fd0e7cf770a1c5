<?php
// Runs the steps of one client, and prints a line for each.

const LONG = 'SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n::bigint * b.n % 7 = 3';
const ROWS = [
    [1, 'one', '1.50', '2026-01-02 03:04:05.678901+00'],
    [2, "it's \"two\" \\ ü", '-2.25', '1969-12-31 23:59:59+00'],
    [3, null, null, null],
];
const COPIED = ["10\ttab\\tnew\\nline\\\\\t10.00\t2026-01-02 03:04:05+00\n", "11\t\\N\t\\N\t\\N\n"];

$table = getenv('CLIENT_TABLE');
$secure = getenv('PGSSLMODE') !== 'disable';

// What stands in shop.kinds, as texts, but for the boolean and the bytes.
function kinds($true, $false): array
{
    return [
        ['1', $true, '32767', '9223372036854775807', '1.5', '0.1', '1234567890123456.7891', 'plain', 'varying', 'abc', "\x00\xff\x10",
            '2026-01-02', '03:04:05.678901', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901+00', '1 year 2 mons 3 days 04:05:06.789',
            '00112233-4455-6677-8899-aabbccddeeff', '{"a":[1,null]}', '{"b": {"c": 2}}', '{1,NULL,-3}', '{"a b",NULL,"c\"d"}'],
        ['2', $false, '-32768', '-9223372036854775808', '-1.5', '1e+300', '-0.0001', "q'uote\ttab\nline ü 漢", '', 'x  ', '',
            '1969-12-31', '00:00:00', '1969-12-31 23:59:59', '1969-12-31 23:59:59+00', '-1 days',
            'ffffffff-ffff-ffff-ffff-ffffffffffff', '"text"', '[]', '{}', '{}'],
        array_merge(['3'], array_fill(0, 6, null), ['none'], array_fill(0, 13, null)),
    ];
}

function same($got, $want): void
{
    if ($got !== $want) {
        throw new Exception('it is ' . var_export($got, true) . ', not ' . var_export($want, true));
    }
}

// The function throws a message that contains the text.
function fails(string $text, callable $f): void
{
    try {
        $f();
    } catch (Throwable $e) {
        if (!str_contains($e->getMessage(), $text)) {
            throw $e;
        }
        return;
    }
    throw new Exception("nothing failed with $text");
}

function step(string $name, callable $f): void
{
    try {
        $f();
        echo "$name: ok\n";
    } catch (Throwable $e) {
        echo "$name: ", preg_replace('/\s+/', ' ', $e->getMessage()), "\n";
    }
}
