import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { addAbortSignal, PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { EngineError } from "#base/errors";
import type { WaitResult } from "#engine";
import type { ProgressSink } from "../../src/api/progress.ts";
import { bodyOf, readUntil, startApi } from "./rig.ts";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: d\r\n\r\n`;
const post = (path: string) => `POST ${path} HTTP/1.1\r\nHost: d\r\n\r\n`;

test("wait: the headers come when the waiter is registered, the answer when the container has stopped", async () => {
  const stopped = Promise.withResolvers<WaitResult>();
  await using api = await startApi({ containers: { wait: () => ({ result: stopped.promise }) } });
  const socket = api.connect();
  socket.write(post("/v1.51/containers/c/wait?condition=next-exit"));
  const head = await readUntil(socket, /\r\n\r\n$/);
  assert.match(head, /^HTTP\/1.1 200 OK\r\n/);
  assert.match(head, /Transfer-Encoding: chunked/);
  stopped.resolve({ statusCode: 3, error: undefined });
  assert.match(await readUntil(socket, /0\r\n\r\n$/), /\{"StatusCode":3\}\n/);
  socket.destroy();
});

test("wait: an unknown condition is refused", async () => {
  await using api = await startApi();
  assert.match(
    await api.raw(post("/containers/c/wait?condition=bogus")),
    /\{"message":"invalid condition: \\"bogus\\""\}/,
  );
});

test("events: headers at once, then one JSON line for each event until the client goes", async () => {
  await using api = await startApi();
  const socket = api.connect();
  socket.write(get("/v1.51/events"));
  await readUntil(socket, /\r\n\r\n$/);
  api.events.emit("network", "connect", "id", { name: "<n>" });
  const line = await readUntil(socket, /\}\n/);
  assert.match(
    line,
    /\{"Type":"network","Action":"connect","Actor":\{"ID":"id","Attributes":\{"name":"\\u003cn\\u003e"\}\}/,
  );
  assert.equal(api.events.watcherCount, 1);
  const closed = once(socket, "close");
  socket.destroy();
  await closed;
  // The server's side of the close arrives after ours; a request on a new connection comes behind it.
  while (api.events.watcherCount > 0) await api.raw(get("/_ping"));
});

test("events: clients from before 1.46 see no image create", async () => {
  await using api = await startApi();
  const socket = api.connect();
  socket.write(get("/v1.45/events"));
  await readUntil(socket, /\r\n\r\n$/);
  api.events.emit("image", "create", "hidden", {});
  api.events.emit("image", "tag", "shown", {});
  const lines = await readUntil(socket, /shown/);
  assert.ok(!lines.includes("hidden"));
  socket.destroy();
});

test("logs: a client that hangs up aborts the reading", async () => {
  const stream = new PassThrough();
  const aborted = Promise.withResolvers<void>();
  const logs = (_name: string, _options: unknown, signal: AbortSignal) => {
    signal.addEventListener("abort", () => aborted.resolve());
    return { isTty: false, chunks: stream };
  };
  await using api = await startApi({ containers: { logs } });
  const socket = api.connect();
  socket.write(get("/containers/c/logs?stdout=1&follow=1"));
  const head = await readUntil(socket, /\r\n\r\n$/);
  assert.match(head, /Content-Type: application\/vnd.docker.multiplexed-stream\r\n/);
  socket.end();
  await aborted.promise;
  stream.end();
});

test("logs: a source that fails in the middle cuts the connection instead of ending the answer", async () => {
  const stream = new PassThrough();
  await using api = await startApi({ containers: { logs: () => ({ isTty: true, chunks: stream }) } });
  const socket = api.connect();
  socket.write(get("/containers/c/logs?stdout=1"));
  await readUntil(socket, /\r\n\r\n$/);
  stream.write("half");
  await readUntil(socket, /half/);
  const ended = once(socket, "end");
  stream.destroy(new Error("disk on fire"));
  socket.resume();
  await ended;
  socket.destroy();
});

test("logs: at least one stream must be chosen", async () => {
  await using api = await startApi();
  const answer = await api.raw(get("/containers/c/logs?stdout=0"));
  assert.equal(bodyOf(answer), '{"message":"Bad parameters: you must choose at least one stream"}\n');
});

const push = "POST /v1.51/images/x/push?tag=1 HTTP/1.1\r\nHost: d\r\nX-Registry-Auth: e30=\r\n\r\n";

test("progress: a failure before the first line has a status", async () => {
  const failing = () => Promise.reject(new EngineError("notFound", "no such thing"));
  await using api = await startApi({ images: { push: failing } });
  const answer = await api.raw(push);
  assert.match(answer, /^HTTP\/1.1 404 /);
  assert.equal(bodyOf(answer), '{"message":"no such thing"}\n');
});

test("progress: a failure after the first line is the last line of the 200", async () => {
  const failing = async (_push: unknown, output: ProgressSink) => {
    output.write({ status: "Preparing", progress: "[=>]", id: "1" });
    throw new EngineError("system", "unexpected EOF");
  };
  await using api = await startApi({ images: { push: failing } });
  const answer = await api.raw(push);
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n.*Content-Type: application\/json\r\n/s);
  assert.ok(answer.includes('{"status":"Preparing","progress":"[=\\u003e]","id":"1"}\r\n'));
  assert.ok(answer.includes('{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}\r\n'));
});

test("archive: is compressed for a client that asks for it, and its stat is a header", async () => {
  const stat = { name: "f", size: 3, mode: 420, mtime: "2026-01-02T03:04:05Z", linkTarget: "" };
  const getArchive = async () => ({ stat, stream: Readable.from([Buffer.alloc(4096, "a")]) });
  await using api = await startApi({ containers: { getArchive } });
  const path = "/containers/c/archive?path=/f";
  const plain = await api.raw(get(path));
  assert.ok(plain.includes("a".repeat(4096)));
  const header = /X-Docker-Container-Path-Stat: (\S+)/.exec(plain)?.[1] ?? "";
  assert.deepEqual(JSON.parse(Buffer.from(header, "base64").toString()), stat);
  for (const [accepted, encoding] of [
    ["gzip, deflate", "gzip"],
    ["deflate;q=0.5, gzip;q=0.1", "deflate"],
  ] as const) {
    const answer = await api.raw(`GET ${path} HTTP/1.1\r\nHost: d\r\nAccept-Encoding: ${accepted}\r\n\r\n`);
    assert.match(answer, new RegExp(`Content-Encoding: ${encoding}\\r\\n`));
    assert.ok(answer.length < 1024);
  }
  assert.match(await api.raw(get("/containers/c/archive")), /bad parameter: pathcannot be empty/);
});

test("a stream whose client has left before it began is closed, whatever it says at its end", async () => {
  const wanted = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const exportArchive = async (_name: string, signal: AbortSignal) => {
    wanted.resolve();
    await once(signal, "abort");
    const source = new Readable({ read: () => undefined }).on("close", closed.resolve);
    return addAbortSignal(signal, source);
  };
  await using api = await startApi({ containers: { export: exportArchive } });
  const client = connect({ host: "127.0.0.1", port: api.port });
  client.write("GET /containers/c/export HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await wanted.promise;
  client.resetAndDestroy();
  await closed.promise;
});
