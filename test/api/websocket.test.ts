import assert from "node:assert/strict";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { WebSocket } from "ws";
import { EngineError } from "#base/errors";
import { type Script, startApi } from "./rig.ts";

const script: Script = {
  containers: {
    attach: (name: string, options: { framing: string }) => {
      if (name === "nosuch") throw new EngineError("notFound", "No such container: nosuch");
      return {
        isTty: false,
        connect: async (client: Duplex) => {
          const [line] = await once(client, "data");
          client.write(`got-${line}`);
          client.end(options.framing);
        },
      };
    },
  },
};

async function talk(socket: WebSocket): Promise<{ text: string; isBinary: boolean; code: number }> {
  let text = "";
  let isBinary = false;
  socket.on("message", (data, binary) => {
    text += String(data);
    isBinary = binary;
  });
  await once(socket, "open");
  socket.send("hello\n");
  const [code] = await once(socket, "close");
  return { text, isBinary, code: Number(code) };
}

const path = "/v1.51/containers/a/b/attach/ws?stream=1&stdin=1&stdout=1";

test("attach/ws: carries stdin and raw output in binary frames, and closes with 1000", async () => {
  await using api = await startApi(script);
  const expected = { text: "got-hello\nraw", isBinary: true, code: 1000 };
  assert.deepEqual(await talk(new WebSocket(`ws+unix://${api.socketPath}:${path}`, { origin: "http://d" })), expected);
  assert.deepEqual(await talk(new WebSocket(`ws://127.0.0.1:${api.port}${path}`)), expected);
});

test("attach/ws: before 1.28 the frames were text", async () => {
  await using api = await startApi(script);
  const { isBinary } = await talk(new WebSocket(`ws+unix://${api.socketPath}:/v1.27/containers/c/attach/ws?stream=1`));
  assert.equal(isBinary, false);
});

test("attach/ws: an unknown container is an ordinary 404", async () => {
  await using api = await startApi(script);
  const answer = await api.raw(
    "GET /v1.51/containers/nosuch/attach/ws HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
  );
  assert.match(answer, /^HTTP\/1.1 404 Not Found\r\n/);
  assert.ok(answer.endsWith('{"message":"No such container: nosuch"}\n'));
});

test("attach/ws: what is no handshake is told so", async () => {
  await using api = await startApi(script);
  const ask = async (...headers: string[]) => {
    const lines = [
      "GET /containers/c/attach/ws HTTP/1.1",
      "Host: d",
      "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
      ...headers,
    ];
    const answer = await api.raw(`${lines.join("\r\n")}\r\n\r\n`);
    return `${answer.slice(9, 12)} ${answer.trim().split("\r\n").at(-1)}`;
  };
  const noProtocol = '400 {"message":"not websocket protocol"}';
  assert.equal(await ask(), noProtocol);
  assert.equal(await ask("Upgrade: websocket", "Sec-WebSocket-Version: 13"), noProtocol);
  const old = await ask("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8");
  assert.equal(old, '400 {"message":"missing or bad WebSocket Version"}');
});

test("TCP: a page of another origin or host is refused, by websocket and by request", async () => {
  await using api = await startApi(script);
  const refused = new WebSocket(`ws://127.0.0.1:${api.port}${path}`, { origin: "http://evil.example" });
  const [error] = await once(refused, "error");
  assert.match(String(error), /403/);
  const own = new WebSocket(`ws://127.0.0.1:${api.port}${path}`, { origin: `http://127.0.0.1:${api.port}` });
  assert.equal((await talk(own)).code, 1000);
  const ping = (headers: Record<string, string>) => statusOf(api.port, headers);
  assert.equal(await ping({}), 200);
  assert.equal(await ping({ host: "localhost:2375" }), 200);
  assert.equal(await ping({ host: "[::1]:2375" }), 200);
  assert.equal(await ping({ host: "evil" }), 403);
  assert.equal(await ping({ host: "127.0.0.1.evil.example" }), 403);
  assert.equal(await ping({ origin: "http://evil.example" }), 403);
  assert.equal(await ping({ origin: "null" }), 403);
});

async function statusOf(port: number, headers: Record<string, string>): Promise<number | undefined> {
  const { request } = await import("node:http");
  const asked = request({ port, host: "127.0.0.1", path: "/_ping", headers, agent: false }).end();
  const [answer] = await once(asked, "response");
  answer.resume();
  return answer.statusCode;
}
