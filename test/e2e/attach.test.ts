import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { lineOf, stop } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

test("attach: two clients see the same output, and one's input is the container's", async () => {
  await daemon.ok(
    "run",
    "-di",
    "--name",
    "a1",
    "busybox",
    "sh",
    "-c",
    "read x; while :; do echo got $x; sleep 0.1; done",
  );
  const watcher = daemon.spawnDocker(["attach", "--no-stdin", "a1"]);
  const seen = lineOf(watcher, /got hello/);
  const writer = daemon.spawnDocker(["attach", "a1"]);
  const echoed = lineOf(writer, /got hello/);
  writer.stdin?.write("hello\n");
  await Promise.all([seen, echoed]);
  await Promise.all([stop(writer, "SIGKILL"), stop(watcher, "SIGKILL")]);
  await daemon.ok("rm", "-f", "a1");
});

test("attach: the detach keys leave the container running", async () => {
  await daemon.ok("run", "-dit", "--name", "keys", "busybox");
  const client = spawn("script", ["-qec", "docker attach keys", "/dev/null"], {
    env: { ...process.env, ...daemon.environment },
  });
  // Once the container has answered, the CLI has the terminal in raw mode: before that, the line discipline would eat the keys.
  const answered = lineOf(client, /^42/);
  client.stdin.write("echo $((40+2))\n");
  await answered;
  const detached = lineOf(client, /read escape sequence/);
  client.stdin.write("\x10\x11");
  await detached;
  assert.equal(await daemon.ok("inspect", "-f", "{{.State.Status}}", "keys"), "running");
  await daemon.ok("rm", "-f", "keys");
});

test("attach: an early end of input is the end of input, not of output", async () => {
  const script = "cat > /dev/null; echo after";
  const { stdout, status } = await daemon.docker(["run", "--rm", "-i", "busybox", "sh", "-c", script], { stdin: "" });
  assert.deepEqual([status, stdout], [0, "after\n"]);
});

test("attach: who ends the input of a container that keeps its own open gets no more output", async () => {
  await daemon.ok("run", "-di", "--name", "open", "busybox", "cat");
  const socket = daemon.http.connect();
  socket.write("POST /containers/open/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(socket, "data");
  socket.end();
  await once(socket, "end");
  assert.equal(await daemon.ok("inspect", "-f", "{{.State.Status}}", "open"), "running");
  const nothing = daemon.http.connect();
  nothing.write("POST /containers/open/attach?stream=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.match(await text(nothing), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s);
  nothing.end();
  await daemon.ok("rm", "-f", "open");
});

test("attach: without Upgrade the connection itself becomes the stream", async () => {
  await daemon.ok("create", "--name", "plain", "busybox", "echo", "hello");
  const socket = daemon.http.connect();
  socket.write("POST /containers/plain/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  const everything = text(socket);
  await daemon.ok("start", "plain");
  const answer = await everything;
  socket.end();
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /Content-Type: application\/vnd\.docker\.raw-stream\r\n/);
  assert.ok(answer.endsWith("\r\n\r\n\x01\0\0\0\0\0\0\x06hello\n"), JSON.stringify(answer));
  await daemon.ok("rm", "plain");
});

test("attach: who asks for a stream of nothing is done at once", async () => {
  await daemon.ok("run", "-d", "--name", "none", "busybox", "sleep", "1000");
  const answer = await daemon.http.post("/containers/none/attach?stream=1");
  assert.deepEqual([answer.status, answer.text], [200, ""]);
  await daemon.ok("rm", "-f", "none");
});

test("websocket: input and output go both ways in binary frames", async () => {
  await daemon.ok("run", "-di", "--name", "ws", "busybox", "cat");
  const client = new WebSocket(`ws+unix:${daemon.socket}:/containers/ws/attach/ws?stream=1&stdin=1&stdout=1&stderr=1`);
  await once(client, "open");
  client.send(Buffer.from("round\n"));
  const [data, isBinary] = await once(client, "message");
  assert.deepEqual([String(data), isBinary], ["round\n", true]);
  const closed = once(client, "close");
  await daemon.ok("rm", "-f", "ws");
  await closed;
});

test("websocket: logs come first, and the end of the container closes it", async () => {
  await daemon.ok("run", "-di", "--name", "old", "busybox", "sh", "-c", "echo first; read x; echo second");
  const client = new WebSocket(`ws+unix:${daemon.socket}:/containers/old/attach/ws?logs=1&stream=1&stdin=1&stdout=1`);
  let seen = "";
  client.on("message", (data) => {
    seen += String(data);
    if (seen === "first\n") client.send("go\n");
  });
  await once(client, "close");
  assert.equal(seen, "first\nsecond\n");
  await daemon.ok("rm", "old");
});

test("websocket: a container that is not there is an ordinary 404", async () => {
  const client = new WebSocket(`ws+unix:${daemon.socket}:/containers/ghost/attach/ws?stream=1`);
  const [, response] = await once(client, "unexpected-response");
  assert.equal(response.statusCode, 404);
  assert.deepEqual(JSON.parse(await text(response)), { message: "No such container: ghost" });
});
