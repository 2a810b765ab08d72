import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { EngineError } from "#base/errors";
import { bodyOf, headOf, readUntil, type Script, startApi } from "./rig.ts";

/** Sends back what it gets, then says so when the client's side has ended: half-close must not end the output. */
const echo = (isTty: boolean) => ({
  isTty,
  connect: async (client: Duplex) => {
    for await (const chunk of client) client.write(chunk);
    client.end("(end of stdin)");
  },
});

const script: Script = {
  containers: {
    attach: (name: string) => {
      if (name === "nosuch") throw new EngineError("notFound", "No such container: nosuch");
      return echo(name === "tty");
    },
  },
  execs: {
    start: (id: string, options: unknown) => ({
      isTty: false,
      connect: (client: Duplex) => {
        client.write(`${id} ${JSON.stringify(options)} `);
        return echo(false).connect(client);
      },
    }),
    startDetached: async () => undefined,
  },
};

const upgrade = ["Connection: Upgrade", "Upgrade: tcp"];
const post = (path: string, headers: readonly string[], body = "") =>
  `${[`POST ${path} HTTP/1.1`, "Host: d", `Content-Length: ${body.length}`, ...headers].join("\r\n")}\r\n\r\n${body}`;

for (const [name, type] of [
  ["c", "multiplexed-stream"],
  ["tty", "raw-stream"],
] as const) {
  test(`attach: with Upgrade, the type is ${type} (${name})`, async () => {
    await using api = await startApi(script);
    const answer = await api.raw(post(`/v1.51/containers/${name}/attach?stream=1`, upgrade), "data");
    assert.deepEqual(headOf(answer), [
      "HTTP/1.1 101 UPGRADED",
      `Content-Type: application/vnd.docker.${type}`,
      "Connection: Upgrade",
      "Upgrade: tcp",
    ]);
    assert.equal(bodyOf(answer), "data(end of stdin)");
  });
}

test("attach: without Upgrade it is 200, raw by name, and ends with the connection", async () => {
  await using api = await startApi(script);
  const answer = await api.raw(post("/v1.51/containers/a/b/attach?stream=1", []), "GET / HTTP/1.1\r\n\r\n");
  assert.deepEqual(headOf(answer), ["HTTP/1.1 200 OK", "Content-Type: application/vnd.docker.raw-stream"]);
  assert.equal(bodyOf(answer), "GET / HTTP/1.1\r\n\r\n(end of stdin)");
});

test("attach: bytes sent with the request are the process's stdin", async () => {
  await using api = await startApi(script);
  for (const headers of [upgrade, []]) {
    const answer = await api.raw(`${post("/containers/c/attach?stream=1&stdin=1", headers)}early`);
    assert.equal(bodyOf(answer), "early(end of stdin)");
  }
});

test("attach: clients from before 1.42 know the raw type only", async () => {
  await using api = await startApi(script);
  const answer = await api.raw(post("/v1.41/containers/c/attach", upgrade));
  assert.equal(headOf(answer)[1], "Content-Type: application/vnd.docker.raw-stream");
});

test("attach: a refusal is text on the connection that was taken", async () => {
  await using api = await startApi(script);
  const answer = await api.raw(post("/v1.51/containers/nosuch/attach", upgrade));
  assert.equal(
    answer,
    "HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nNo such container: nosuch\r\n",
  );
});

test("attach: a body is no part of the stream", async () => {
  await using api = await startApi(script);
  const whole = post("/v1.51/containers/c/attach?stream=1&stdin=1", [json, ...upgrade], '{"stream":true}');
  for (const cut of [whole.length - 5, whole.length]) {
    const answer = await api.raw(whole.slice(0, cut), `${whole.slice(cut)}stdin`);
    assert.equal(bodyOf(answer), "stdin(end of stdin)");
  }
});

const start = '{"Detach":false,"Tty":false}';
const json = "Content-Type: application/json";

test("exec start: the body is read wherever it lies, and the rest is stdin", async () => {
  await using api = await startApi(script);
  const whole = post("/v1.51/exec/e1/start", [json, ...upgrade], start);
  const cuts = [whole.length - start.length, whole.length - 3, whole.length];
  for (const cut of cuts) {
    const answer = await api.raw(whole.slice(0, cut), `${whole.slice(cut)}stdin`);
    assert.deepEqual(headOf(answer), [
      "HTTP/1.1 101 UPGRADED",
      "Content-Type: application/vnd.docker.multiplexed-stream",
      "Connection: Upgrade",
      "Upgrade: tcp",
      "Api-Version: 1.51",
      "Docker-Experimental: false",
      "Ostype: linux",
      "Server: Docker/28.5.2 (linux)",
    ]);
    assert.equal(bodyOf(answer), 'e1 {"isTty":false} stdin(end of stdin)');
  }
});

test("exec start: without Upgrade it is 200", async () => {
  await using api = await startApi(script);
  const answer = await api.raw(post("/exec/e1/start", [json], start), "stdin");
  assert.deepEqual(headOf(answer).slice(0, 2), ["HTTP/1.1 200 OK", "Content-Type: application/vnd.docker.raw-stream"]);
  assert.equal(bodyOf(answer), 'e1 {"isTty":false} stdin(end of stdin)');
});

test("exec start: detached it is an ordinary answer, and the connection goes on", async () => {
  await using api = await startApi(script);
  const socket = api.connect();
  for (const _ of Array(20)) {
    socket.write(post("/exec/e1/start", [json], '{"Detach":true}'));
    const answer = await readUntil(socket, /\r\n\r\n/);
    assert.equal(headOf(answer)[0], "HTTP/1.1 200 OK");
    assert.ok(!answer.includes("Connection:"));
  }
  socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
  assert.match(await readUntil(socket, /OK$/), /^HTTP\/1.1 200 OK/);
  socket.destroy();
});

test("exec start: a refusal before the body was read ends the connection, so that the body is no request", async () => {
  await using api = await startApi(script);
  const smuggled = "POST /v1.51/containers/c/kill HTTP/1.1\r\nHost: d\r\n\r\n";
  const answer = await api.raw(post("/v1.99/exec/e1/start", [json], smuggled));
  assert.match(answer, /^HTTP\/1.1 400 Bad Request\r\n.*\r\nConnection: close\r\n/s);
  assert.equal(answer.split("HTTP/1.1 ").length, 2);
});

test("exec start: a body that ends early or is no JSON is refused", async () => {
  await using api = await startApi(script);
  const whole = post("/exec/e1/start", [json, ...upgrade], start);
  assert.match(await api.raw(whole.slice(0, -3)), /^HTTP\/1.1 400 .*unexpected EOF/s);
  assert.match(
    await api.raw(post("/exec/e1/start", [json, ...upgrade], "{bad")),
    /^HTTP\/1.1 400 .*invalid character 'b'/s,
  );
});

test("exec start: a chunked body is read to its last chunk and no further", async () => {
  await using api = await startApi(script);
  const head = ["POST /exec/e1/start HTTP/1.1", "Host: d", json, "Transfer-Encoding: chunked", ...upgrade].join("\r\n");
  const body = `1;x=y\r\n{\r\n${(start.length - 1).toString(16)}\r\n${start.slice(1)}\r\n0\r\nTrailer: t\r\n\r\n`;
  const whole = `${head}\r\n\r\n${body}`;
  for (let cut = head.length; cut <= whole.length; cut++) {
    const answer = await api.raw(whole.slice(0, cut), `${whole.slice(cut)}stdin`);
    assert.equal(bodyOf(answer), 'e1 {"isTty":false} stdin(end of stdin)');
  }
  for (const bad of ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}}\r\n0\r\n\r\n", `${"0".repeat(5000)}\r\n`]) {
    assert.match(await api.raw(`${head}\r\n\r\n${bad}`), /^HTTP\/1.1 400 .*malformed chunked encoding/s);
  }
});

for (const [name, path, output] of [
  ["exec", "/exec/e1/start", /^e1 /],
  ["attach to a log alone", "/containers/c/attach?logs=1&stdout=1", /^\(end of stdin\)/],
] as const) {
  test(`${name}: nothing is sent together with the head to a client that would lose it`, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    await using api = await startApi(script);
    const client = api.connect();
    client.write(post(path, [...upgrade, "User-Agent: docker-sdk-python/7.1.0", json], "{}"));
    client.end();
    assert.equal(bodyOf(await readUntil(client, /\r\n\r\n/)), "");
    t.mock.timers.tick(1000);
    assert.match(await readUntil(client, output), output);
    client.destroy();
  });
}
