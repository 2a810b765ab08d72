import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect as connectPlain } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { type Api, bodyOf, exchange, headOf, startApi } from "./rig.ts";

const run = promisify(execFile);

/** A key and a certificate that signs itself: CA, server and client in one. */
async function selfSigned(): Promise<{ key: Buffer; cert: Buffer }> {
  const directory = await mkdtemp("/var/tmp/api-test-tls-");
  try {
    const [key, cert] = [`${directory}/key.pem`, `${directory}/cert.pem`];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    await run("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert, "-days", "2", ...subject]);
    return { key: await readFile(key), cert: await readFile(cert) };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** A server on loopback that wants a certificate that this identity has signed. */
async function listenTls(api: Api, identity: { key: Buffer; cert: Buffer }): Promise<number> {
  const tls = { ...identity, ca: identity.cert, requestCert: true, rejectUnauthorized: true };
  return (await api.listen({ kind: "tcp", host: "127.0.0.1", port: 0, tls })).port;
}

async function open(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const halfOpen = { host: "127.0.0.1", port, allowHalfOpen: true };
  const socket = connect(Object.assign(halfOpen, options));
  await once(socket, "secureConnect");
  return socket;
}

test("TLS: a client with a certificate may attach, and half-close its stdin", async () => {
  const identity = await selfSigned();
  const attach = () => ({
    isTty: true,
    connect: async (client: Duplex) => {
      for await (const chunk of client) client.write(chunk);
      client.end("(end of stdin)");
    },
  });
  await using api = await startApi({ containers: { attach } });
  const port = await listenTls(api, identity);
  const socket = await open(port, { ...identity, ca: identity.cert });
  const answer = await exchange(socket, ["POST /containers/c/attach HTTP/1.1\r\nHost: localhost\r\n\r\n", "data"]);
  assert.equal(bodyOf(answer), "data(end of stdin)");
});

test("TLS: a client without a certificate gets no answer", async () => {
  const identity = await selfSigned();
  await using api = await startApi();
  const port = await listenTls(api, identity);
  const socket = await open(port, { ca: identity.cert });
  socket.write("GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const [error] = await once(socket, "error");
  assert.match(String(error), /certificate required|ECONNRESET/);
});

test("TLS: a client may know the engine by any name, but a page of another origin is refused", async () => {
  const identity = await selfSigned();
  await using api = await startApi();
  const port = await listenTls(api, identity);
  const ask = async (...headers: string[]) => {
    const socket = await open(port, { ...identity, ca: identity.cert });
    return headOf(await exchange(socket, [["GET /_ping HTTP/1.1", ...headers, "\r\n"].join("\r\n")]))[0];
  };
  assert.equal(await ask("Host: docker:2376"), "HTTP/1.1 200 OK");
  assert.equal(await ask("Host: docker:2376", "Origin: https://docker:2376"), "HTTP/1.1 200 OK");
  assert.equal(await ask("Host: docker:2376", "Origin: https://evil.example"), "HTTP/1.1 403 Forbidden");
});

test("TLS: a client that speaks plain HTTP is told so", async () => {
  const identity = await selfSigned();
  await using api = await startApi();
  const port = await listenTls(api, identity);
  const socket = connectPlain({ host: "127.0.0.1", port, allowHalfOpen: true });
  const answer = await exchange(socket, ["GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n"]);
  assert.match(answer, /^HTTP\/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n$/);
});
