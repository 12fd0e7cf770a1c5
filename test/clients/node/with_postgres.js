// postgres.js.

const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const postgres = require('postgres');
const { LONG, active, alike, copied, fails, kinds, otherAuthority, rows, same, secure, ssl, step, table } = require('./steps.js');

// It reads names, password and so on from libpq's environment.
const opened = (said = {}) => postgres({ ssl, max: 1, onnotice: () => {}, ...said });
const ping = async (said) => {
  const sql = opened(said);
  try {
    return await sql`SELECT 1 AS n`;
  } finally {
    await sql.end();
  }
};

(async () => {
  const sql = opened();
  const name = sql(table);

  await step('connect', async () => {
    same((await sql`SELECT 1 AS n`)[0].n, 1); // it asks for the types of arrays first
    same(sql.parameters.server_encoding, 'UTF8');
  });

  await step('browse', async () => {
    const got = await sql`SELECT table_name FROM information_schema.tables WHERE table_schema = ${'shop'} AND table_name IN ${sql(['kinds', 'nowhere'])}`;
    same(Array.from(got, (r) => r.table_name), ['kinds']);
  });

  await step('describe', async () => {
    const d = await sql`SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds WHERE id < ${0}`.describe();
    same(d.types, [23]);
    same(d.columns.map((c) => [c.name, c.type, c.number]), [['id', 23, 1], ['a_numeric', 1700, 7], ['a_varchar', 1043, 9], ['a_texts', 1009, 21]]);
  });

  await step('read', async () => {
    const got = await sql`SELECT * FROM shop.kinds WHERE id >= ${1} ORDER BY id`;
    // It reads NULLs in arrays as the text NULL.
    same(got.map(alike), [{ ...kinds[0], a_ints: [1, NaN, -3], a_texts: ['a b', 'NULL', 'c"d'] }, ...kinds.slice(1)]);
    const ids = [];
    await sql`SELECT id FROM shop.kinds ORDER BY id`.cursor(2, (part) => { ids.push(part.map((r) => r.id)); });
    same(ids, [[1, 2], [3]]);
  });

  await step('write', async () => {
    await sql`CREATE TABLE ${name} (id integer, name text, price numeric(12,2), at timestamptz)`;
    const [first, ...more] = rows.map(([id, name, price, at]) => ({ id, name, price, at }));
    same((await sql`INSERT INTO ${name} ${sql(first)}`).count, 1);
    same((await sql`INSERT INTO ${name} ${sql(more, 'id', 'name', 'price', 'at')}`).count, 2);
  });

  await step('copy', async () => {
    await pipeline(Readable.from([copied]), await sql`COPY ${name} FROM STDIN`.writable());
    const got = [];
    for await (const chunk of await sql`COPY (SELECT * FROM ${name} WHERE id >= 10 ORDER BY id) TO STDOUT`.readable()) {
      got.push(chunk);
    }
    same(Buffer.concat(got).toString(), copied);
  });

  await step('cancel', async () => {
    const other = opened();
    const [{ pid }] = await sql`SELECT pg_backend_pid() AS pid`;
    const query = sql.unsafe(LONG);
    const seen = fails('57014', query.execute());
    while ((await other.unsafe(active(pid)))[0].n !== 1);
    query.cancel();
    await seen;
    await other.end();
    same((await sql`SELECT 1 AS n`)[0].n, 1);
  });

  await step('transaction', async () => {
    await fails('stop', sql.begin(async (tx) => {
      await tx`INSERT INTO ${name} (id) VALUES (20)`;
      same((await tx`SELECT count(*)::integer AS n FROM ${name} WHERE id = 20`)[0].n, 1);
      throw new Error('stop');
    }));
    await sql.begin(async (tx) => {
      await tx`INSERT INTO ${name} (id) VALUES (21)`;
      await fails('stop', tx.savepoint(async (inner) => {
        await inner`INSERT INTO ${name} (id) VALUES (22)`;
        throw new Error('stop');
      }));
    });
  });

  await step('error', async () => {
    await fails('42P01', sql`SELECT * FROM shop.nowhere`);
    await fails('22012', sql`SELECT 1 / ${0}::integer`);
    same((await sql`SELECT 1 AS n`)[0].n, 1);
  });

  if (secure) {
    await step('tls', async () => {
      await fails('no encryption', ping({ ssl: false }));
      await fails('unable to verify the first certificate', ping({ ssl: otherAuthority }));
    });
    await step('scram', async () => {
      await ping();
      await fails('28P01', ping({ password: 'wrong' }));
    });
  }
  await sql.end();
})();
