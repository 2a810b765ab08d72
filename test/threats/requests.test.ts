/** THREATS C4: what comes over the wire, where two readers may read it in two ways. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Daemon, packageRoot, startDaemon } from "#test/daemon";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon({ args: ["-H", "tcp://127.0.0.1:2375"] });
});
after(() => daemon[Symbol.asyncDispose]());
beforeEach(async () => void (await daemon.docker(["create", "--name", "victim", "busybox"])));

/** What an attacker wants to be taken for a request of its own. */
const hidden = "DELETE /containers/victim?force=1 HTTP/1.1\r\nHost: d\r\n\r\n";
const size = hidden.length;
const head = (line: string, ...headers: string[]) =>
  `${[`${line} HTTP/1.1`, "Host: d", ...headers].join("\r\n")}\r\n\r\n`;
const auth = (...headers: string[]) => head("POST /auth", "Content-Type: application/json", ...headers);
const start = (...headers: string[]) => head("POST /exec/none/start", "Content-Type: application/json", ...headers);
const chunked = "Transfer-Encoding: chunked";
const length = (text: string | number) => `Content-Length: ${text}`;
const end = `0\r\n\r\n${hidden}`;

/** Framed in two ways, or in a way that only some readers take: refused, and the connection is over. */
const ambiguous: Readonly<Record<string, string>> = {
  "a length and chunks": auth(length(size + 5), chunked) + end,
  "chunks and a length": auth(chunked, length(4)) + end,
  "a blank before the colon": auth(length(5), "Transfer-Encoding : chunked") + end,
  "a coding that is none": auth("Transfer-Encoding: xchunked") + end,
  "a coding behind a vertical tab": auth(length(size + 5), "Transfer-Encoding: \x0bchunked") + end,
  "chunks and then identity": auth("Transfer-Encoding: chunked, identity") + end,
  identity: auth("Transfer-Encoding: identity", length(size)) + hidden,
  "two codings": auth(chunked, "Transfer-Encoding: identity") + end,
  "no coding": auth("Transfer-Encoding: ", length(size)) + hidden,
  "two lengths": auth(length(0), length(size)) + hidden,
  "a list of lengths": auth(length(`${size}, ${size}`)) + hidden,
  "two lengths in one": auth(length(`0 ${size}`)) + hidden,
  "a signed length": auth(length(`+${size}`)) + hidden,
  "a negative length": auth(length(-1)) + hidden,
  "a hexadecimal length": auth(length(`0x${size.toString(16)}`)) + hidden,
  "a length of no digits": auth(length("")) + hidden,
  "a length beyond 64 bits": auth(length("99999999999999999999")) + hidden,
  "a folded coding": auth(length(size + 5), "Transfer-Encoding:\r\n chunked") + end,
  "a header behind a bare line feed": head("GET /_ping", `X: a\nContent-Length: ${size}`) + hidden,
  "a header behind a bare carriage return": head("GET /_ping", `X: a\rContent-Length: ${size}`) + hidden,
  "a NUL in a header": head("GET /_ping", "X: a\0b") + hidden,
  "a blank in a header's name": head("GET /_ping", "X Y: a") + hidden,
  "a line without a colon": head("GET /_ping", "Xfoo") + hidden,
  "a chunk's size with 0x": `${auth(chunked)}0x2\r\n{}\r\n${end}`,
  "a chunk's extension that ends in a line feed": `${auth(chunked)}2;\n{}\r\n${end}`,
  "chunks in lines of line feeds": `${auth(chunked)}2\n{}\n0\n\n${hidden}`,
  "a negative chunk": `${auth(chunked)}-2\r\n{}\r\n${end}`,
  "a chunk beyond 64 bits": `${auth(chunked)}10000000000000002\r\n{}\r\n${end}`,
  "a chunk that is longer than it says": `${auth(chunked)}2\r\n{}XX${end}`,
  "a chunk of no size": `${auth(chunked)}\r\n${end}`,
  "a start with a length and chunks": start(length(size + 5), chunked) + end,
  "a start with two lengths": `${start(length(2), length(size + 2))}{}${hidden}`,
  "a start with a hexadecimal length": `${start(length("0x2"))}{}${hidden}`,
  "a start with an extension that ends in a line feed": `${start(chunked)}2;\n{}\r\n${end}`,
  "a start with a chunk beyond 64 bits": `${start(chunked)}10000000000000002\r\n{}\r\n${end}`,
};
for (const [what, request] of Object.entries(ambiguous)) {
  test(`request smuggling: ${what} is refused, and nothing behind it is a request`, async () => {
    const answers = await talk(request);
    assert.equal(answers.length, 1, answers.join());
    assert.match(answers[0] ?? "", /^(400|501) /);
    assert.equal((await daemon.http.get("/containers/victim/json")).status, 200);
  });
}

const upgrade = (protocol: string) => ["Connection: Upgrade", `Upgrade: ${protocol}`];
const socketKey = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="];

/** With a body that nobody asked for, which is read past or ends the connection. */
const unread: Readonly<Record<string, string>> = {
  GET: head("GET /_ping", length(size)),
  HEAD: head("HEAD /_ping", length(size)),
  OPTIONS: head("OPTIONS /x", length(size)),
  TRACE: head("TRACE /_ping", length(size)),
  "GET of a list": head("GET /containers/json", length(size)),
  "DELETE of nothing": head("DELETE /containers/none", length(size)),
  "POST to nowhere": head("POST /nosuch", length(size)),
  "PUT to nothing": head("PUT /containers/none/archive?path=/", length(size)),
  "create without a type": head("POST /containers/create", length(size)),
  "attach to nothing": head("POST /containers/none/attach?stream=1", length(size)),
  "attach to nothing, upgraded": head("POST /containers/none/attach?stream=1", ...upgrade("tcp"), length(size)),
  "start of nothing": start(length(size)),
  "a websocket to nothing": head("GET /containers/none/attach/ws", ...upgrade("websocket"), ...socketKey, length(size)),
  "an upgrade to HTTP/2": head("GET /_ping", ...upgrade("h2c"), "HTTP2-Settings: AAMAAABk", length(size)),
  "an upgrade to nothing": head("GET /_ping", ...upgrade("foo"), length(size)),
  "the last request": head("GET /_ping", "Connection: close"),
  "chunks in HTTP/1.0": `${auth(chunked).replace("1.1", "1.0")}0\r\n\r\n`,
  "the only request of HTTP/1.0": head("GET /_ping").replace("1.1", "1.0"),
};
for (const [what, request] of Object.entries(unread)) {
  test(`request smuggling: the body of ${what} is no request`, async () => {
    const answers = await talk(request + hidden);
    assert.equal(answers.length, 1, answers.join());
    assert.equal((await daemon.http.get("/containers/victim/json")).status, 200);
  });
}

/** The status lines that come back, without the protocol. */
async function talk(bytes: string): Promise<string[]> {
  const socket = daemon.http.connect();
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
    socket.end();
  });
  socket.on("error", () => undefined);
  const closed = once(socket, "close");
  socket.write(bytes, "latin1");
  await Promise.race([closed, delay(5000, undefined, { ref: false })]);
  socket.destroy();
  return [...answer.matchAll(/HTTP\/1\.[01] (\d+ [^\r]*)/g)].map(([, status = ""]) => status);
}

const privileged = { Image: "busybox", HostConfig: { Privileged: true } };
const create = async (body: string, headers: Record<string, string> = {}) => {
  const reply = await daemon.http.post("/containers/create", body, { "Content-Type": "application/json", ...headers });
  if (reply.status !== 201) return String(reply.status);
  const { Id: id } = Object(reply.json());
  const { HostConfig: made, Config: config } = Object((await daemon.http.get(`/containers/${id}/json`)).json());
  await daemon.http.send("DELETE", `/containers/${id}`);
  return `${made.Privileged ? "privileged" : "plain"} ${JSON.stringify(config.Labels)}`;
};

test("CVE-2024-41110, CVE-2026-34040: what is decided on is what is executed, however the body is dressed", async () => {
  const text = JSON.stringify(privileged);
  const padding = " ".repeat(1.1 * 2 ** 20);
  assert.equal(await create(text), "privileged {}");
  assert.equal(await create(padding + text), "privileged {}");
  assert.equal(await create(text + padding), "privileged {}");
  assert.equal(await create(`${text}${text}`), "400");
  // Go's decoder: the last of several, in whatever case; and a prototype is a key like any other.
  assert.equal(await create('{"Image":"busybox","HostConfig":{"Privileged":true,"privileged":false}}'), "plain {}");
  assert.equal(await create('{"Image":"busybox","HostConfig":{"__proto__":{"Privileged":true}}}'), "plain {}");
  assert.equal(await create('{"Image":"busybox","constructor":{"prototype":{"Privileged":true}}}'), "plain {}");
  assert.equal(await create('{"Image":"busybox","__proto__":{"HostConfig":{"Privileged":true}}}'), "plain {}");
  const labels = '{"__proto__":"1","constructor":"2","toString":"3"}';
  assert.equal(await create(`{"Image":"busybox","Labels":${labels}}`), `plain ${labels}`);
});

test("CVE-2025-32442, CVE-2026-25223, CVE-2026-33806: no spelling of a Content-Type leads around the one reader of bodies", async () => {
  const text = JSON.stringify(privileged);
  const types = {
    "application/json;charset=utf-8": "privileged {}",
    "APPLICATION/JSON": "privileged {}",
    "application/json ; a=b": "privileged {}",
    "application/json\t": "privileged {}",
    "\tapplication/json": "privileged {}",
    "application/json\ta": "400",
    "application/jsonx": "400",
    "application/json, text/plain": "400",
    "text/plain; application/json": "400",
    "": "400",
    "application/x-www-form-urlencoded": "400",
    "multipart/form-data; boundary=x": "400",
  };
  for (const [type, expected] of Object.entries(types)) {
    assert.equal(await create(text, { "Content-Type": type }), expected, JSON.stringify(type));
  }
  assert.equal(await create(text, { "Content-Encoding": "gzip" }), "privileged {}");
});

test("depth: JSON of a hundred thousand levels is refused wherever JSON is read", async () => {
  const deep = (open: string, close: string) => open.repeat(100_000) + close.repeat(100_000);
  for (const text of [deep("[", "]"), deep('{"a":', "}"), `{"Image":"busybox","Labels":${deep("[", "]")}}`]) {
    assert.equal(await create(text), "400");
    const { status } = await daemon.http.post("/volumes/create", text, { "Content-Type": "application/json" });
    assert.equal(status, 400);
    const header = Buffer.from(text).toString("base64url").slice(0, 700_000);
    const pushed = await daemon.http.post("/images/busybox/push", "", { "X-Registry-Auth": header });
    assert.ok(pushed.status < 500, pushed.text);
  }
  const filters = encodeURIComponent(deep("[", "]").slice(99_000, 101_000));
  assert.equal((await daemon.http.get(`/containers/json?filters=${filters}`)).status, 400);
});

test("prototypes: filters, labels, options and names that JavaScript knows are words like any other", async () => {
  const words = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"];
  for (const word of words) {
    for (const path of ["containers/json", "images/json", "networks", "volumes"]) {
      const filters = encodeURIComponent(`{"${word}":["1"]}`);
      const { status } = await daemon.http.get(`/${path}?filters=${filters}`);
      assert.equal(status, 400, `${path} ${word}`);
    }
    for (const path of [
      `containers/${word}/json`,
      `images/${word}/json`,
      `networks/${word}`,
      `volumes/${word}`,
      `exec/${word}/json`,
    ]) {
      assert.match(String((await daemon.http.get(`/${path}`)).status), /^40[04]$/, path);
    }
    const labels = [`{"label":["${word}"]}`, `{"label":{"${word}=1":true}}`].map(encodeURIComponent);
    for (const filters of labels)
      assert.equal((await daemon.http.get(`/containers/json?all=1&filters=${filters}`)).text, "[]\n");
    const made = await daemon.http.post("/networks/create", `{"Name":"n","Driver":"${word}"}`, {
      "Content-Type": "application/json",
    });
    assert.ok(made.status >= 400, made.text);
    const run = await daemon.docker(["create", "--log-driver", word, "busybox"]);
    assert.notEqual(run.status, 0);
  }
  assert.equal(await create('{"Image":"busybox"}'), "plain {}");
});

test("DNS rebinding, CSRF: over TCP only who names this engine is answered, over the unix socket everybody", async () => {
  const url = "http://127.0.0.1:2375";
  const status = (...headers: string[]) => {
    const argv = [
      "curl",
      "-s",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      ...headers.flatMap((header) => ["-H", header]),
    ];
    return daemon.inNetwork(...argv, "-X", "POST", `${url}/containers/victim/kill`);
  };
  // Killing what does not run is a 409: the request got through.
  assert.equal(await status(), "409");
  assert.equal(await status("Host: localhost"), "409");
  assert.equal(await status("Origin: http://127.0.0.1:2375"), "409");
  const foreign = [
    "Host: evil.example",
    "Host: 127.0.0.1.evil.example",
    "Host: localhost.evil",
    "Origin: http://evil.example",
  ];
  for (const header of [...foreign, "Origin: null", "Origin: http://127.0.0.1", "Origin: http://localhost:2375"]) {
    assert.equal(await status(header), "403", header);
  }
  const preflight = await daemon.inNetwork("curl", "-si", "-X", "OPTIONS", `${url}/containers/json`);
  assert.doesNotMatch(preflight, /access-control/i);
  const page = { headers: { Host: "evil.example", Origin: "http://evil.example" } };
  assert.equal((await daemon.http.get("/_ping", page)).status, 200);
});

test("CVE-2026-3635: what a client says about forwarding is not believed", async () => {
  const headers = [
    "X-Forwarded-Host: localhost",
    "X-Forwarded-For: 127.0.0.1",
    "Forwarded: host=localhost",
    "Host: evil",
  ];
  const argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", ...headers.flatMap((header) => ["-H", header])];
  assert.equal(await daemon.inNetwork(...argv, "http://127.0.0.1:2375/_ping"), "403");
});

test("CVE-2026-25223, CVE-2026-3635, CVE-2026-13676: the packages that serve are younger than the holes in them", () => {
  const { packages } = JSON.parse(readFileSync(join(packageRoot, "package-lock.json"), "utf8"));
  for (const [name, least] of Object.entries({
    fastify: "5.8.5",
    "fast-uri": "3.1.2",
    ws: "8.17.1",
    undici: "7.18.2",
  })) {
    const { version } = packages[`node_modules/${name}`];
    assert.ok(version.localeCompare(least, "en", { numeric: true }) >= 0, `${name} ${version}`);
  }
});
