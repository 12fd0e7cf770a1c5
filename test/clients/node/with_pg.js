// node-postgres, and pg-copy-streams.

const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { Client, Query } = require('pg');
const { from, to } = require('pg-copy-streams');
const { LONG, active, alike, copied, fails, kinds, otherAuthority, rows, same, secure, ssl, step, table } = require('./steps.js');

// It reads names, password and so on from libpq's environment.
const opened = async (said = {}) => {
  const c = new Client({ ssl, ...said });
  c.on('error', () => {});
  await c.connect();
  return c;
};

(async () => {
  const c = await opened();
  const one = async (query) => Object.values((await c.query(query)).rows[0])[0];

  await step('connect', async () => {
    same(await one('SELECT 1'), 1);
  });

  await step('browse', async () => {
    const r = await c.query('SELECT column_name, is_nullable FROM information_schema.columns WHERE table_schema = $1 AND table_name = ANY($2) AND ordinal_position < 3 ORDER BY ordinal_position', ['shop', ['kinds']]);
    same(r.rows, [{ column_name: 'id', is_nullable: 'NO' }, { column_name: 'a_bool', is_nullable: 'YES' }]);
  });

  await step('describe', async () => {
    const r = await c.query('SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds LIMIT 0');
    same(r.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeModifier, f.columnID]), [['id', 23, -1, 1], ['a_numeric', 1700, 1310728, 7], ['a_varchar', 1043, 44, 9], ['a_texts', 1009, -1, 21]]);
  });

  await step('read', async () => {
    const r = await c.query({ name: 'all', text: 'SELECT * FROM shop.kinds WHERE id >= $1 ORDER BY id', values: [1] });
    same(r.rows.map(alike), kinds);
    same(r.rows[0].a_interval.toPostgres(), '6.789 seconds 5 minutes 4 hours 3 days 2 months 1 years');
  });

  await step('write', async () => {
    await c.query(`CREATE TABLE ${table} (id integer, name text, price numeric(12,2), at timestamptz)`);
    for (const values of rows) {
      same((await c.query({ name: 'add', text: `INSERT INTO ${table} VALUES ($1, $2, $3, $4)`, values })).rowCount, 1);
    }
  });

  await step('copy', async () => {
    const copy = c.query(from(`COPY ${table} FROM STDIN`));
    await pipeline(Readable.from([copied]), copy);
    same(copy.rowCount, 2);
    const got = [];
    await pipeline(c.query(to(`COPY (SELECT * FROM ${table} WHERE id >= 10 ORDER BY id) TO STDOUT`)), async (s) => {
      for await (const chunk of s) {
        got.push(chunk);
      }
    });
    same(Buffer.concat(got).toString(), copied);
  });

  await step('cancel', async () => {
    const other = await opened();
    const query = new Query(LONG);
    const ended = new Promise((resolve, reject) => {
      query.on('error', reject);
      query.on('end', resolve);
    });
    const seen = fails('57014', ended);
    c.query(query);
    while ((await other.query(active(c.processID))).rows[0].n !== 1);
    // cancel() of a client that isn't connected sends the request; over TLS it has no way to.
    if (secure) {
      await other.query(`SELECT pg_cancel_backend(${c.processID})`);
    } else {
      new Client().cancel(c, query);
    }
    await seen;
    await other.end();
    same(await one('SELECT 1'), 1);
  });

  await step('transaction', async () => {
    await c.query('BEGIN');
    await c.query(`INSERT INTO ${table} (id) VALUES (20)`);
    same(await one(`SELECT count(*)::integer FROM ${table} WHERE id = 20`), 1);
    await c.query('ROLLBACK');
    await c.query('BEGIN');
    await c.query(`INSERT INTO ${table} (id) VALUES (21)`);
    await c.query('COMMIT');
  });

  await step('error', async () => {
    await fails('42P01', c.query('SELECT * FROM shop.nowhere'));
    await fails('22012', c.query('SELECT 1 / $1::integer', [0]));
    same(await one('SELECT 1'), 1);
  });

  if (secure) {
    await step('tls', async () => {
      same(c.connection.stream.encrypted, true);
      same(c.connection.stream.authorized, true);
      await fails('no encryption', opened({ ssl: false }));
      await fails('unable to verify the first certificate', opened({ ssl: otherAuthority }));
    });
    await step('scram', async () => {
      await (await opened({ enableChannelBinding: true })).end();
      await fails('28P01', opened({ password: 'wrong' }));
    });
  }
  await c.end();
})();
