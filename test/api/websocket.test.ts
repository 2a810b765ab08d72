import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
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

const handshake = (target: string, ...headers: string[]) =>
  [
    `GET ${target} HTTP/1.1`,
    "Host: d",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
    "\r\n",
  ].join("\r\n");

/** With the mask that leaves bytes as they are; the length is that of a short frame. */
const frame = (first: number, payload: string) =>
  String.fromCharCode(first, 0x80 | payload.length, 0, 0, 0, 0) + payload;
const closed = (code: number) => `\x88\x02${String.fromCharCode(code >> 8, code & 0xff)}`;
const echo: Script = {
  containers: {
    attach: () => ({
      isTty: false,
      connect: async (client: Duplex) => {
        let text = "";
        for await (const chunk of client) text += chunk.toString("latin1");
        client.end(Buffer.from(text, "latin1"));
      },
    }),
  },
};

test("attach/ws: the handshake is RFC 6455's, and offers no extension", async () => {
  await using api = await startApi(echo);
  const deflate = "Sec-WebSocket-Extensions: permessage-deflate";
  const answer = await api.raw(handshake("/containers/c/attach/ws?stdout=1", deflate, "Sec-WebSocket-Protocol: a, b"));
  const head = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "Sec-WebSocket-Protocol: a",
  ];
  assert.equal(answer, `${head.join("\r\n")}\r\n\r\n${closed(1000)}`);
});

test("attach/ws: a message in parts is one stream, with a ping answered in between, and a close ends the input alone", async () => {
  await using api = await startApi(echo);
  const sent = [
    frame(0x01, "he"),
    frame(0x89, "mid"),
    frame(0x80, "l\xff"),
    frame(0x82, ""),
    "\x82\x83\x01\x02\x03\x04mmm",
    frame(0x88, "\x03\xe9bye"),
    frame(0x82, "late"),
  ];
  const expected = `\x8a\x03mid\x82\x07hel\xfflon${closed(1000)}`;
  const shake = handshake("/containers/c/attach/ws?stdin=1");
  const answers = [await api.raw(shake + sent.join("")), await api.raw(shake, ...sent.join(""))];

  for (const answer of answers) assert.equal(answer.slice(answer.indexOf("\r\n\r\n") + 4), expected);
});

test("attach/ws: the close of a client without input ends the stream", async () => {
  await using api = await startApi(script);
  const answer = await api.raw(handshake("/containers/c/attach/ws?stdout=1") + frame(0x88, ""));
  assert.ok(answer.endsWith(`\r\n\r\n${closed(1000)}`), answer);
});

test("attach/ws: frames no client may send end the connection with 1002", async () => {
  await using api = await startApi(echo);
  const wrong = ["\x82\x01x", frame(0xc2, "x"), frame(0x83, "x"), frame(0x09, "x"), "\x89\xfe\x00\x7e\0\0\0\0"];
  for (const bytes of wrong) {
    const answer = await api.raw(handshake("/containers/c/attach/ws?stdin=1") + frame(0x82, "a") + bytes);
    assert.ok(answer.endsWith(`\r\n\r\n${closed(1002)}`), JSON.stringify(answer));
  }
});

test("attach/ws: a megabyte comes and goes whole", async () => {
  await using api = await startApi(echo);
  const client = new WebSocket(`ws+unix://${api.socketPath}:/containers/c/attach/ws?stdin=1`);
  await once(client, "open");
  const sent = Buffer.from(Array.from({ length: 1_000_003 }, (_, index) => index % 251));
  const parts: Buffer[] = [];
  client.on("message", (data: Buffer) => parts.push(data));
  client.send(sent);
  client.send("x".repeat(300));
  // `ws` reads on after its own close.
  client.close();
  await once(client, "close");
  assert.ok(Buffer.concat(parts).equals(Buffer.concat([sent, Buffer.alloc(300, "x")])));
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

test("TCP: a client that resets the connection in the middle of its refusal does no harm", async () => {
  await using api = await startApi(script);
  for (const lines of [["Origin: http://evil.example"], ["Transfer-Encoding: bogus"]]) {
    const client = connect({ host: "127.0.0.1", port: api.port });
    client.write(handshake(path, ...lines));
    client.resetAndDestroy();
    await once(client, "close");
  }
  assert.equal(await statusOf(api.port, {}), 200);
});

async function statusOf(port: number, headers: Record<string, string>): Promise<number | undefined> {
  const { request } = await import("node:http");
  const asked = request({ port, host: "127.0.0.1", path: "/_ping", headers, agent: false }).end();
  const [answer] = await once(asked, "response");
  answer.resume();
  return answer.statusCode;
}
