// The unmodified @clickhouse/client against the embedded store: every way an application uses it.
// Usage: node check.mjs URL USER PASSWORD READER_PASSWORD; prints a line per check, exit status 1 if one fails.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { ClickHouseLogLevel, createClient } from "@clickhouse/client";

const [url, username, password, readerPassword] = process.argv.slice(2);
const database = `js_${process.pid}`;
const log = { level: ClickHouseLogLevel.OFF };
const open = (more = {}) => createClient({ url, username, password, database, log, ...more });
const text = async (result) => (await result.text()).trim();
const rowsOf = async (client, query, more = {}) => (await client.query({ query, format: "JSONEachRow", ...more })).json();
let failures = 0;

async function check(label, run) {
  try {
    await run();
    console.log(`ok ${label}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${label}: ${error?.stack ?? error}`);
  }
}

const fails = (promise, code) => assert.rejects(promise, (error) => error.code === code || assert.fail(`${error.code}: ${error}`));
const numbers = (count) => Readable.from((function* () { for (let i = 0; i < count; i += 1) yield { a: i, s: `row ${i}` }; })());

async function suite(name, more) {
  const client = open(more);
  const on = (label, run) => check(`${name}: ${label}`, run);
  await client.command({ query: "CREATE OR REPLACE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a" });
  await on("ping", async () => assert.equal((await client.ping()).success, true));
  await on("ping with a query", async () => assert.equal((await client.ping({ select: true })).success, true));
  await on("insert of rows", async () => {
    const result = await client.insert({ table: "t", values: [{ a: 1, s: "it's\n" }, { a: 2, s: "ü" }], format: "JSONEachRow" });
    assert.equal(result.summary?.written_rows, "2");
  });
  await on("select", async () => assert.deepEqual(await rowsOf(client, "SELECT s FROM t ORDER BY a"), [{ s: "it's\n" }, { s: "ü" }]));
  await on("insert of a stream", async () => {
    await client.insert({ table: "t", values: numbers(20000), format: "JSONEachRow" });
    assert.equal(await text(await client.query({ query: "SELECT count() FROM t", format: "TabSeparated" })), "20002");
  });
  await on("insert of CSV", async () => client.insert({ table: "t", values: Readable.from(["7,seven\n"], { objectMode: false }), format: "CSV" }));
  await on("insert of compact rows", async () => client.insert({ table: "t", values: [[8, "eight"]], format: "JSONCompactEachRow" }));
  await on("stream of rows", async () => {
    let seen = 0;
    const result = await client.query({ query: "SELECT number FROM numbers(200000)", format: "JSONCompactEachRow" });
    for await (const rows of result.stream()) seen += rows.length;
    assert.equal(seen, 200000);
  });
  await on("whole JSON with its figures", async () => {
    const result = await (await client.query({ query: "SELECT a FROM t LIMIT 3" })).json();
    assert.equal(result.rows, 3);
    assert.equal(result.meta[0].type, "UInt64");
  });
  await on("bound parameters", async () => {
    const query = "SELECT {s:String} AS s, {n:Nullable(UInt8)} AS n, {a:Array(String)} AS a, {m:Map(String, UInt8)} AS m";
    const query_params = { s: "it's \\ tab\t nl\n", n: null, a: ["x'y", "z\\"], m: { k: 1 } };
    assert.deepEqual(await rowsOf(client, query, { query_params }), [query_params]);
  });
  await on("settings of one query", async () => {
    const query = "SELECT getSetting('max_block_size')::String AS v";
    assert.deepEqual(await rowsOf(client, query, { clickhouse_settings: { max_block_size: 77 } }), [{ v: "77" }]);
    assert.notDeepEqual(await rowsOf(client, query), [{ v: "77" }]);
  });
  await on("query id", async () => assert.equal((await client.command({ query: "SELECT 1", query_id: `${database}-${name}` })).query_id, `${database}-${name}`));
  await on("exec gives bytes", async () => {
    const { stream } = await client.exec({ query: "SELECT 42 FORMAT CSV" });
    let got = "";
    for await (const chunk of stream) got += chunk;
    assert.equal(got, "42\n");
  });
  await on("unknown table", async () => fails(client.query({ query: "SELECT * FROM nope" }), "60"));
  await on("syntax error", async () => fails(client.query({ query: "SELEC 1" }), "62"));
  await on("bad insert", async () => fails(client.insert({ table: "t", values: [{ a: "no" }], format: "JSONEachRow" }), "27"));
  await on("error in mid-stream", async () => {
    const query = "SELECT throwIf(number = 3000000) FROM numbers(5000000)";
    const result = await client.query({ query, format: "JSONEachRow", clickhouse_settings: { max_block_size: 10000 } });
    await assert.rejects(async () => { for await (const rows of result.stream()) assert.ok(rows.length); });
  });
  await on("abort", async () => {
    const controller = new AbortController();
    const query = "SELECT sleepEachRow(0.1) FROM numbers(100)";
    const asked = client.query({ query, abort_signal: controller.signal, clickhouse_settings: { max_block_size: 1 } });
    setTimeout(() => controller.abort(), 100);
    await assert.rejects(asked);
  });
  await client.close();
}

const admin = createClient({ url, username, password, log });
await admin.command({ query: `CREATE DATABASE ${database}` });
await suite("plain", {});
await suite("compressed", { compression: { request: true, response: true } });
await check("session keeps a temporary table", async () => {
  const client = open({ session_id: `${database}-session` });
  await client.command({ query: "CREATE TEMPORARY TABLE tmp (x UInt8)" });
  await client.insert({ table: "tmp", values: [{ x: 5 }], format: "JSONEachRow" });
  assert.deepEqual(await rowsOf(client, "SELECT x FROM tmp"), [{ x: 5 }]);
  await client.close();
});
await check("wrong password", async () => {
  const client = open({ password: "wrong" });
  await fails(client.query({ query: "SELECT 1" }), "516");
  await client.close();
});
await check("the reader reads and does not write", async () => {
  const client = open({ username: "reader", password: readerPassword });
  assert.equal((await rowsOf(client, "SELECT count() AS n FROM t")).length, 1);
  await fails(client.insert({ table: "t", values: [{ a: 1 }], format: "JSONEachRow" }), "164");
  await client.close();
});
await admin.command({ query: `DROP DATABASE ${database} SYNC` });
await admin.close();
process.exit(failures === 0 ? 0 : 1);
