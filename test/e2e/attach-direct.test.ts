/** Output of attached processes: complete, the same for everyone, and past the daemon. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import WebSocket from "ws";
import { type Daemon, startDaemon } from "#test/daemon";
import { freePort } from "#test/network-place";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

const lines = (last: number): string => Array.from({ length: last }, (_, i) => `${i + 1}\n`).join("");
const numbers = lines(600_000);
/** More than all buffers on the way hold. */
const script = "seq 1 600000; echo end >&2";

/** What is sent to it from now on is the stream, whose head has been read. */
async function stream(path: string, body = ""): Promise<Socket> {
  const socket = daemon.http.connect();
  const headers = ["Host: d", "Connection: Upgrade", "Upgrade: tcp", "Content-Type: application/json"];
  socket.write(`POST ${path} HTTP/1.1\r\n${headers.join("\r\n")}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  let head = Buffer.alloc(0);
  while (!head.includes("\r\n\r\n")) {
    const [chunk] = await once(socket, "data");
    head = Buffer.concat([head, chunk]);
  }
  socket.pause();
  const end = head.indexOf("\r\n\r\n") + 4;
  if (end < head.length) socket.unshift(head.subarray(end));
  return socket;
}

const attach = (name: string, streams = "stdout=1&stderr=1") =>
  stream(`/containers/${name}/attach?stream=1&${streams}`);

const digest = (bytes: string | Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** The payloads of one stream. */
function payload(frames: Buffer, wanted: 1 | 2): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0, size = 0; at < frames.length; at += 8 + size) {
    size = frames.readUInt32BE(at + 4);
    assert.ok(frames[at] === 1 || frames[at] === 2, `a frame of stream ${frames[at]} at ${at}`);
    if (frames[at] === wanted) parts.push(frames.subarray(at + 8, at + 8 + size));
  }
  return Buffer.concat(parts);
}

function assertComplete(frames: Buffer): void {
  assert.equal(digest(payload(frames, 1)), digest(numbers));
  assert.equal(String(payload(frames, 2)), "end\n");
}

async function readSlowly(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk);
    await nextTurn();
  }
  return Buffer.concat(chunks);
}

const bytesRead = () => Number(/^rchar: (\d+)/.exec(readFileSync(`/proc/${daemon.pid}/io`, "utf8"))?.[1]);

test("attach: who reads slowly and who reads fast get everything, whoever is cut off between; nothing of it is the daemon's to read", async () => {
  await daemon.ok("create", "--name", "three", "busybox", "sh", "-c", script);
  const [slow, fast, cut] = await Promise.all([attach("three"), attach("three"), attach("three")]);
  const before = bytesRead();
  const everything = Promise.all([readSlowly(slow), buffer(fast)]);
  cut.once("data", () => cut.destroy()).resume();
  await daemon.ok("start", "three");
  for (const frames of await everything) assertComplete(frames);
  assert.ok(bytesRead() - before < numbers.length / 2, `the daemon has read ${bytesRead() - before} bytes`);
  // By the end of its output a container's exit is on record.
  assert.equal(await daemon.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "three"), "exited 0");
  await daemon.ok("rm", "three");
});

test("attach: a websocket and a client of TCP get the same bytes as one of the socket", async () => {
  const port = await freePort(daemon.network);
  await using other = await startDaemon({ args: ["-H", `tcp://127.0.0.1:${port}`] });
  await other.ok("create", "--name", "kinds", "busybox", "sh", "-c", script);
  const socket = new WebSocket(`ws+unix:${other.socket}:/containers/kinds/attach/ws?stream=1&stdout=1`);
  const messages: Buffer[] = [];
  socket.on("message", (data: Buffer) => messages.push(data));
  const closed = once(socket, "close");
  await once(socket, "open");
  const url = `http://127.0.0.1:${port}/containers/kinds/attach?stream=1&stdout=1&stderr=1`;
  const curl = other.inNetwork("sh", "-c", `curl -sN -X POST '${url}' | base64 -w 0`);
  const attached = `/events?filters=${encodeURIComponent('{"event":["attach"]}')}&since=0&until=`;
  const isAttached = async () => (await other.http.get(attached + Math.ceil(Date.now() / 1000))).text;
  while ((await isAttached()).split("\n").length < 3);
  await other.ok("start", "kinds");
  assertComplete(Buffer.from(await curl, "base64"));
  await closed;
  assert.equal(digest(Buffer.concat(messages)), digest(numbers));
});

test("attach: what a client has sent before it left goes to the process all the same", async () => {
  await daemon.ok("create", "-i", "--name", "left", "busybox", "sh", "-c", "sleep 0.2; wc -c");
  const client = await attach("left", "stdin=1&stdout=1");
  await daemon.ok("start", "left");
  client.end(Buffer.alloc(500_000), () => client.destroy());
  await daemon.ok("wait", "left");
  assert.equal(await daemon.ok("logs", "left"), "500000");
  await daemon.ok("rm", "left");
});

test("attach: it ends with a daemon that is killed, the container runs on, and the next daemon's attach gets its output", async () => {
  await daemon.ok("run", "-d", "--name", "on", "busybox", "sh", "-c", "while echo $((n=n+1)); do usleep 20000; done");
  const client = await attach("on");
  await once(client.resume(), "data");
  const ended = once(client, "end");
  await daemon.kill();
  await ended;
  client.destroy();
  await daemon.start();
  const again = await attach("on");
  const [frame] = await once(again.resume(), "data");
  assert.match(String(payload(frame, 1)), /^\d+\n/);
  again.destroy();
  assert.equal(await daemon.ok("inspect", "-f", "{{.State.Running}}", "on"), "true");
  await daemon.ok("rm", "-f", "on");
});

test("exec: its whole output comes past the daemon, framed, or bare from a terminal; one whose client is cut off runs on", async () => {
  await daemon.ok("run", "-d", "--name", "execs", "busybox", "sleep", "1000");
  const start = async (cmd: readonly string[], isTty = false) => {
    const body = { Cmd: cmd, AttachStdout: true, AttachStderr: true, Tty: isTty };
    const { Id: id } = Object((await daemon.http.post("/containers/execs/exec", body)).json());
    return await stream(`/exec/${id}/start`, JSON.stringify({ Tty: isTty }));
  };
  const before = bytesRead();
  assertComplete(await buffer(await start(["sh", "-c", script])));
  const raw = await buffer(await start(["sh", "-c", "seq 1 50000; echo end >&2"], true));
  assert.equal(digest(raw), digest(`${lines(50_000)}end\n`.replaceAll("\n", "\r\n")));
  assert.ok(bytesRead() - before < numbers.length, `the daemon has read ${bytesRead() - before} bytes`);
  const cut = await start(["sh", "-c", `${script}; touch /over`]);
  await once(cut.resume(), "data");
  cut.destroy();
  await daemon.ok("exec", "execs", "sh", "-c", "until [ -e /over ]; do usleep 10000; done");
  await daemon.ok("rm", "-f", "execs");
});
