// Runs the steps of one client, and prints a line for each.

const { isDeepStrictEqual, inspect } = require('node:util');
const fs = require('node:fs');

const env = process.env;
exports.table = env.CLIENT_TABLE;
exports.secure = env.PGSSLMODE !== 'disable';
exports.LONG = 'SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n::bigint * b.n % 7 = 3';
exports.active = (pid) => `SELECT count(*)::integer AS n FROM bs_catalog.sessions WHERE pid = ${pid} AND state = 'active' AND query LIKE '%generate_series%'`;

// Node has no variables of libpq for TLS: what a client is to be told.
exports.ssl = exports.secure ? { ca: fs.readFileSync(env.PGSSLROOTCERT), rejectUnauthorized: true } : false;
exports.otherAuthority = exports.secure ? { ca: fs.readFileSync(env.CLIENT_OTHER_CA), rejectUnauthorized: true } : false;

const noon = new Date('2026-01-02T03:04:05.678Z');
const eve = new Date('1969-12-31T23:59:59Z');
exports.noon = noon;
exports.eve = eve;

exports.rows = [
  [1, 'one', '1.50', '2026-01-02 03:04:05.678901+00'],
  [2, 'it\'s "two" \\ ü', '-2.25', '1969-12-31 23:59:59+00'],
  [3, null, null, null],
];
exports.copied = '10\ttab\\tnew\\nline\\\\\t10.00\t2026-01-02 03:04:05+00\n11\t\\N\t\\N\t\\N\n';

const same = (got, want) => {
  if (!isDeepStrictEqual(got, want)) {
    throw new Error(`it is ${inspect(got, { depth: 9 })}, not ${inspect(want, { depth: 9 })}`);
  }
};
exports.same = same;

// The promise fails with an SQLSTATE, or with another code or text.
exports.fails = async (code, promise) => {
  try {
    await promise;
  } catch (e) {
    if (e.code !== code && !String(e.message).includes(code)) {
      throw e;
    }
    return;
  }
  throw new Error(`nothing failed with ${code}`);
};

exports.step = async (name, f) => {
  try {
    await f();
    console.log(`${name}: ok`);
  } catch (e) {
    console.log(`${name}: ${String(e.code ?? '')} ${String(e.message)}`.replace(/\s+/g, ' '));
  }
};

// What of shop.kinds the clients read alike: all but times without a zone, intervals and arrays.
exports.kinds = [
  {
    id: 1, a_bool: true, a_small: 32767, a_big: '9223372036854775807', a_real: 1.5, a_double: 0.1, a_numeric: '1234567890123456.7891',
    a_text: 'plain', a_varchar: 'varying', a_char: 'abc', a_bytea: Buffer.from([0, 255, 16]), a_time: '03:04:05.678901', a_timestamptz: noon,
    a_uuid: '00112233-4455-6677-8899-aabbccddeeff', a_json: { a: [1, null] }, a_jsonb: { b: { c: 2 } }, a_ints: [1, null, -3], a_texts: ['a b', null, 'c"d'],
  },
  {
    id: 2, a_bool: false, a_small: -32768, a_big: '-9223372036854775808', a_real: -1.5, a_double: 1e300, a_numeric: '-0.0001',
    a_text: "q'uote\ttab\nline ü 漢", a_varchar: '', a_char: 'x  ', a_bytea: Buffer.alloc(0), a_time: '00:00:00', a_timestamptz: eve,
    a_uuid: 'ffffffff-ffff-ffff-ffff-ffffffffffff', a_json: 'text', a_jsonb: [], a_ints: [], a_texts: [],
  },
];
exports.kinds.push(Object.fromEntries(Object.keys(exports.kinds[0]).map((k) => [k, k === 'id' ? 3 : k === 'a_text' ? 'none' : null])));
exports.alike = (row) => Object.fromEntries(Object.keys(exports.kinds[0]).map((k) => [k, row[k]]));
