#!/usr/bin/env node
// Counts how often each key came, as the application of a shard. It needs Node 18 or later, and no package.
//
//   node count.mjs SHARD JOURNAL HOST...    as: node count.mjs counter counts/totals http://127.0.0.1:9000 http://127.0.0.1:9001
//
// The sources of the shard have lines as {"key": "a"}. For each key of a transaction a line as {"key": "a", "added": 2, "total": 7}
// is published to the journal. BROADSHEET_TOKEN is sent as the token, if it is set; LEASE is how long we want to have a transaction.
//
// Kill it whenever you like, and start it again, or several of them: each message counts once. Nothing is kept in here.

import { setTimeout as pause } from "node:timers/promises";

const [name, journal, ...hosts] = process.argv.slice(2);
const { BROADSHEET_TOKEN: token, LEASE: lease = "60s" } = process.env;

// Again is of what wasn't done, or we don't know: the way on is always to take a transaction again.
// If the last one was committed, that is the next one. If it wasn't, it is the same once more.
class Again extends Error {}

// ask a host, by /v1/shards over HTTP. Any host passes requests on to the one that has the shard.
async function ask(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  let status, text;
  try {
    const answer = await fetch(`${hosts[0]}/v1/shards/${path}`, {
      method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(90_000),
    });
    status = answer.status;
    text = await answer.text();
  } catch (e) {
    hosts.push(hosts.shift());
    throw new Again(`${e.message}: ${e.cause?.message ?? ""}`);
  }
  if (status === 409 || status === 429 || status >= 500) throw new Again(text); // It isn't ours any more, or the shard is being moved.
  if (status >= 400) throw new Error(`${path}: ${text}`); // Nothing that goes by.
  return text ? JSON.parse(text) : null;
}

// take the next transaction: its token and its messages. It is null if there was none for a while.
const take = () => ask("GET", `transaction?${new URLSearchParams({ shard: name, wait: "30s", lease })}`);

// lookUp the values of those keys that have one. 4096 at once is the most, which is how many messages a transaction has.
async function lookUp(keys) {
  const { entries } = await ask("POST", "lookup", { shard: name, keys });
  return new Map(entries.filter((e) => e.value !== undefined).map((e) => [e.key, e.value]));
}

// commit returns once all of it has happened: the state has the puts, readers see the publishes, and the messages are consumed.
const commit = (transaction, puts, publishes) => ask("POST", "commit", { shard: name, token: transaction.token, puts, publishes });

// fail gives the transaction up, because of one of its messages. See consumer/app.go for how somebody has it skipped.
const fail = (transaction, { journal, offset }, text) =>
  ask("POST", "commit", { shard: name, token: transaction.token, fail: { journal, offset, text } });

// transact takes a transaction and answers it.
async function transact() {
  const transaction = await take();
  if (transaction === null) return;
  const added = new Map();
  for (const message of transaction.messages) {
    const key = message.document?.key;
    if (typeof key !== "string" || key === "") return fail(transaction, message, "it has no key");
    added.set(key, (added.get(key) ?? 0) + 1);
  }
  const before = await lookUp([...added.keys()]);
  const puts = []; // A list, for an object would have no room for a key such as __proto__.
  const publishes = [];
  for (const [key, n] of added) {
    const total = Number(before.get(key) ?? 0) + n;
    puts.push({ key, value: String(total) });
    publishes.push({ journal, document: { key, added: n, total } });
  }
  await commit(transaction, puts, publishes);
}

if (hosts.length === 0) throw new Error("node count.mjs SHARD JOURNAL HOST...");
for (;;) {
  try {
    await transact();
  } catch (e) {
    if (!(e instanceof Again)) throw e;
    console.error(e.message);
    await pause(200);
  }
}
