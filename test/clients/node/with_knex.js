// knex, over node-postgres.

const knex = require('knex');
const { LONG, alike, fails, kinds, otherAuthority, rows, same, secure, ssl, step, table } = require('./steps.js');

const { env } = process;
const opened = (said = {}) => knex({
  client: 'pg',
  connection: { host: env.PGHOST, port: env.PGPORT, user: env.PGUSER, database: env.PGDATABASE, password: env.PGPASSWORD, ssl, ...said },
  pool: { min: 0, max: 2 },
  log: { warn() {}, error() {} }, // which go to standard output
});
const ping = async (said) => {
  const db = opened(said);
  try {
    return await db.raw('SELECT 1 AS n');
  } finally {
    await db.destroy();
  }
};

(async () => {
  const db = opened();
  const [schema, name] = table.split('.');
  const written = (on) => on(name).withSchema(schema);

  await step('connect', async () => {
    same((await db.raw('SELECT 1 AS n')).rows, [{ n: 1 }]);
    same(db.client.version.split('.')[0], '15');
  });

  await step('browse', async () => {
    same(await db.schema.withSchema('shop').hasTable('kinds'), true);
    same(await db.schema.withSchema('shop').hasTable('nowhere'), false);
    same(await db.schema.withSchema('shop').hasColumn('kinds', 'a_uuid'), true);
    const info = await db('kinds').withSchema('shop').columnInfo();
    same([info.id.type, info.id.nullable, info.a_varchar.type, info.a_varchar.maxLength, info.a_ints.type], ['integer', false, 'character varying', 40, 'ARRAY']);
  });

  await step('read', async () => {
    same((await db('kinds').withSchema('shop').where('id', '>=', 1).orderBy('id')).map(alike), kinds);
    same(await db('kinds').withSchema('shop').whereIn('a_text', ['none', 'plain']).count('* as n').first(), { n: '2' });
  });

  await step('write', async () => {
    await db.schema.withSchema(schema).createTable(name, (t) => {
      t.integer('id');
      t.text('name');
      t.decimal('price', 12, 2);
      t.timestamp('at', { useTz: true });
    });
    await written(db).insert(rows.map(([id, name, price, at]) => ({ id, name, price, at })));
    same((await written(db).count('* as n').first()).n, '3');
  });

  await step('cancel', async () => {
    await fails('Defined query timeout', db.raw(LONG).timeout(200, { cancel: true })); // it asks for pg_cancel_backend()
    same((await db.raw('SELECT 1 AS n')).rows, [{ n: 1 }]);
  });

  await step('transaction', async () => {
    await fails('stop', db.transaction(async (tx) => {
      await written(tx).insert({ id: 20 });
      same((await written(tx).where({ id: 20 }).count('* as n').first()).n, '1');
      throw new Error('stop');
    }));
    await db.transaction(async (tx) => {
      await written(tx).insert({ id: 21 });
      await fails('stop', tx.transaction(async (inner) => { // a savepoint
        await written(inner).insert({ id: 22 });
        throw new Error('stop');
      }));
    });
  });

  await step('error', async () => {
    await fails('42P01', db('nowhere').withSchema('shop').select());
    await fails('22012', db.raw('SELECT 1 / ?::integer', [0]));
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
  await db.destroy();
})();
