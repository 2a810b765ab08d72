import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineError } from "#base/errors";
import { bodyOf, headOf, readUntil, startApi } from "./rig.ts";

const request = (line: string, ...headers: string[]) =>
  `${[`${line} HTTP/1.1`, "Host: d", ...headers].join("\r\n")}\r\n\r\n`;
/** Without what differs from call to call. */
const sortedHead = (answer: string) =>
  headOf(answer)
    .filter((line) => !line.startsWith("Date:"))
    .sort();

const engineHeaders = [
  "Api-Version: 1.51",
  "Docker-Experimental: false",
  "Ostype: linux",
  "Server: Docker/28.5.2 (linux)",
];
const pingHeaders = [
  "Builder-Version: 2",
  "Cache-Control: no-cache, no-store, must-revalidate",
  "Content-Type: text/plain; charset=utf-8",
  "Pragma: no-cache",
  "Swarm: inactive",
];

test("ping: answers with the headers that clients negotiate by", async () => {
  await using api = await startApi();
  const get = await api.raw(request("GET /_ping"));
  assert.deepEqual(sortedHead(get), ["HTTP/1.1 200 OK", "Content-Length: 2", ...engineHeaders, ...pingHeaders].sort());
  assert.equal(bodyOf(get), "OK");
  const head = await api.raw(request("HEAD /v1.24/_ping"));
  assert.deepEqual(sortedHead(head), ["HTTP/1.1 200 OK", "Content-Length: 0", ...engineHeaders, ...pingHeaders].sort());
});

test("unknown paths and wrong methods alike are 404 without the engine's headers", async () => {
  await using api = await startApi();
  for (const line of [
    "GET /nosuch",
    "PUT /v1.51/containers/json",
    "HEAD /version",
    "GET /v1.51/containers/json/",
    "GET /v1.51",
  ]) {
    const answer = await api.raw(request(line));
    assert.deepEqual(sortedHead(answer), [
      "Content-Length: 29",
      "Content-Type: application/json",
      "HTTP/1.1 404 Not Found",
    ]);
    if (!line.startsWith("HEAD")) assert.equal(bodyOf(answer), '{"message":"page not found"}\n');
  }
});

test("a version that is too new is refused in JSON, one that is too old in plain text", async () => {
  await using api = await startApi();
  const newer = await api.raw(request("GET /v1.99/version"));
  assert.equal(headOf(newer)[0], "HTTP/1.1 400 Bad Request");
  assert.equal(bodyOf(newer), '{"message":"client version 1.99 is too new. Maximum supported API version is 1.51"}\n');
  const older = await api.raw(request("GET /v1.10/version"));
  assert.ok(headOf(older).includes("Content-Type: text/plain; charset=utf-8"));
  assert.equal(
    bodyOf(older),
    "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n",
  );
});

test("a path that is not clean is redirected", async () => {
  await using api = await startApi();
  const answer = await api.raw(request("POST /v1.51/containers//start?t=1"));
  assert.deepEqual(sortedHead(answer), [
    "Content-Length: 0",
    "HTTP/1.1 301 Moved Permanently",
    "Location: /v1.51/containers/start?t=1",
  ]);
});

test("OPTIONS is answered everywhere", async () => {
  await using api = await startApi();
  const answer = await api.raw(request("OPTIONS /v1.51/foo/bar"));
  assert.deepEqual(sortedHead(answer), ["Content-Length: 0", "HTTP/1.1 200 OK", ...engineHeaders].sort());
});

test("errors: each kind has its status, and notModified has no body", async () => {
  const kinds = {
    notFound: 404,
    conflict: 409,
    system: 500,
    notImplemented: 501,
    unavailable: 503,
    forbidden: 403,
  } as const;
  for (const [kind, status] of Object.entries(kinds)) {
    const pause = () => Promise.reject(new EngineError(kind as keyof typeof kinds, `<${kind}>`));
    await using api = await startApi({ containers: { pause } });
    const answer = await api.raw(request("POST /v1.51/containers/x/pause", "Content-Length: 0"));
    assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `));
    assert.equal(bodyOf(answer), `{"message":"<${kind}>"}\n`);
  }
  await using api = await startApi({ containers: { start: () => Promise.reject(new EngineError("notModified", "")) } });
  const answer = await api.raw(request("POST /containers/x/start"));
  assert.equal(headOf(answer)[0], "HTTP/1.1 304 Not Modified");
  assert.equal(bodyOf(answer), "");
});

test("names: slashes, escapes and lengths reach the service as they were meant", async () => {
  const seen: string[] = [];
  const pause = async (name: string) => void seen.push(name);
  await using api = await startApi({ containers: { pause } });
  const long = "x".repeat(5000);
  for (const name of ["a/b/c", "a%2Fb", "%c3%a9%20+", "a%25b", long])
    assert.match(await api.raw(request(`POST /v1.51/containers/${name}/pause`)), /^HTTP\/1.1 204 /);
  assert.deepEqual(seen, ["a/b/c", "a/b", "é +", "a%b", long]);
});

test("parameters: a form in the body counts before the query, as Go's ParseForm has it", async () => {
  const seen: string[] = [];
  await using api = await startApi({
    containers: { kill: async (_: string, signal: string) => void seen.push(signal) },
  });
  const kill = async (body: string, type: string) => {
    const headers = [`Content-Type: ${type}`, `Content-Length: ${body.length}`];
    const answer = await api.raw(request("POST /containers/x/kill?signal=HUP", ...headers) + body);
    return `${headOf(answer)[0]?.slice(9, 12)} ${bodyOf(answer).trim()}`.trim();
  };
  const form = "application/x-www-form-urlencoded";
  for (const type of [form, `${form}; charset`, "Application/X-WWW-Form-URLEncoded"])
    assert.equal(await kill("signal=USR1&t=1", type), "204");
  for (const type of ["text/plain", "multipart/form-data; boundary=x"])
    assert.equal(await kill("signal=USR1", type), "204");
  assert.deepEqual(seen, ["USR1", "USR1", "USR1", "HUP", "HUP"]);
  assert.equal(await kill("a;b", form), '400 {"message":"invalid semicolon separator in query"}');
  assert.equal(await kill("a=%zz", form), '400 {"message":"invalid URL escape \\"%zz\\""}');
  assert.equal(await kill(`a=${"x".repeat(10 << 20)}`, form), '400 {"message":"http: POST too large"}');
});

test("answers above 2 KB are chunked, below they have a length, and none says Connection", async () => {
  const summary = (name: string) => ({ Id: "i", Names: [name], HostConfig: {} });
  const list = async ({ limit }: { limit: number }) => [summary("x".repeat(limit))];
  await using api = await startApi({ containers: { list } });
  const small = await api.raw(request("GET /containers/json?limit=5"));
  assert.ok(headOf(small).some((line) => line.startsWith("Content-Length: ")));
  const large = await api.raw(request("GET /containers/json?limit=3000"));
  assert.ok(headOf(large).includes("Transfer-Encoding: chunked"));
  for (const answer of [small, large]) assert.ok(!/\r\n(?:Connection|Keep-Alive):/.test(answer));
});

test("create: the body is JSON by its Content-Type and its grammar, and names a configuration", async () => {
  await using api = await startApi({ containers: { create: async () => ({ Id: "1", Warnings: [] }) } });
  const create = async (body: string, ...headers: string[]) => {
    const head = request("POST /v1.51/containers/create", `Content-Length: ${Buffer.byteLength(body)}`, ...headers);
    const answer = await api.raw(head + body);
    return `${headOf(answer)[0]?.slice(9, 12)} ${bodyOf(answer).trim()}`;
  };
  const json = "Content-Type: application/json";
  assert.equal(await create(""), '400 {"message":"invalid JSON: got EOF while reading request body"}');
  assert.equal(await create("{}"), '400 {"message":"malformed Content-Type header (): mime: no media type"}');
  assert.equal(
    await create("{}", "Content-Type: text/plain"),
    '400 {"message":"unsupported Content-Type header (text/plain): must be \'application/json\'"}',
  );
  assert.equal(
    await create("{}", "Content-Type: foo;;;bar"),
    '400 {"message":"malformed Content-Type header (foo;;;bar): mime: invalid media parameter"}',
  );
  assert.equal(await create("{}", json), '400 {"message":"config cannot be empty in order to create a container"}');
  assert.equal(await create('{"Image":"a"}{', json), '400 {"message":"unexpected content after JSON"}');
  assert.equal(await create('{"Image":"a"}', `${json}; charset=utf-8`), '201 {"Id":"1","Warnings":[]}');
});

test("auth: the body is JSON whatever it says it is, as of curl -d", async () => {
  const seen: unknown[] = [];
  await using api = await startApi({
    images: {
      login: async ({ credentials }: { credentials: unknown }) => {
        seen.push(credentials);
        return { status: "Login Succeeded", identityToken: "" };
      },
    },
  });
  const body = '{"username":"u","password":"p"}';
  const form = ["Content-Type: application/x-www-form-urlencoded", `Content-Length: ${body.length}`];
  assert.match(await api.raw(request("POST /auth", ...form) + body), /^HTTP\/1.1 200 OK/);
  assert.match(JSON.stringify(seen), /"username":"u"/);
});

test("create: a body that is too large is refused to a client that sends all of it first", async () => {
  await using api = await startApi({});
  const size = 20 << 20;
  const head = request("POST /containers/create", "Content-Type: application/json", `Content-Length: ${size}`);
  assert.equal(bodyOf(await api.raw(head + "[".repeat(size))), '{"message":"http: request body too large"}\n');
});

test("create: a compressed or doubly framed body is read as it is, not as something else", async () => {
  await using api = await startApi({ containers: { create: async () => ({ Id: "1", Warnings: [] }) } });
  const gzip = request(
    "POST /containers/create",
    "Content-Type: application/json",
    "Content-Encoding: gzip",
    "Content-Length: 2",
  );
  assert.match(bodyOf(await api.raw(`${gzip}\x1f\x8b`)), /invalid character '\\\\x1f' looking for beginning of value/);
  const both = request("POST /containers/create", "Content-Length: 3", "Transfer-Encoding: chunked");
  assert.match(
    await api.raw(`${both}0\r\n\r\n`),
    /^HTTP\/1.1 400 Bad Request\r\n.*\r\nConnection: close\r\n\r\n400 Bad Request$/s,
  );
});

test("a client that closes its side after the request still gets the answer", async () => {
  const top = () => new Promise((resolve) => setImmediate(() => resolve({ Processes: [["1"]], Titles: ["PID"] })));
  await using api = await startApi({ containers: { top } });
  const answer = await api.raw(request("GET /containers/x/top"));
  assert.equal(bodyOf(answer), '{"Processes":[["1"]],"Titles":["PID"]}\n');
});

test("an Upgrade that no route offers is ignored, and the connection lives on", async () => {
  await using api = await startApi({ containers: { create: async () => ({ Id: "1", Warnings: [] }) } });
  const socket = api.connect();
  const h2 = [
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "Content-Type: application/json",
    "Content-Length: 13",
  ];
  socket.write(`${request("POST /containers/create", ...h2)}{"Image":"x"}`);
  assert.match(await readUntil(socket, /\}\n/), /^HTTP\/1.1 201 Created\r\n/);
  socket.write(request("GET /_ping"));
  assert.match(await readUntil(socket, /OK$/), /^HTTP\/1.1 200 OK\r\n/);
  socket.destroy();
});

const faults: Readonly<Record<string, readonly [request: string, status: string]>> = {
  "no Host": ["GET /_ping HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"],
  "two Hosts": [request("GET /_ping", "Host: e"), "400 Bad Request"],
  "a Host that is none": ["GET /_ping HTTP/1.1\r\nHost: a b\r\n\r\n", "400 Bad Request: malformed Host header"],
  "HTTP/2.0 as text": [
    "GET /_ping HTTP/2.0\r\nHost: d\r\n\r\n",
    "505 HTTP Version Not Supported: unsupported protocol version",
  ],
  "HTTP/0.9": ["GET /_ping\r\n\r\n", "400 Bad Request"],
  "a coding that is not chunked": [request("POST /build", "Transfer-Encoding: gzip, chunked"), "501 Not Implemented"],
};
for (const [name, [text, status]] of Object.entries(faults)) {
  test(`protocol: ${name} is refused as by Go's server, and the connection ends`, async () => {
    await using api = await startApi();
    const head = headOf(await api.raw(text));
    assert.deepEqual(head, [`HTTP/1.1 ${status}`, "Content-Type: text/plain; charset=utf-8", "Connection: close"]);
  });
}

test("protocol: an absolute request target is the path in it", async () => {
  await using api = await startApi();
  assert.equal(bodyOf(await api.raw(request("GET http://docker/v1.51/_ping"))), "OK");
});

test("protocol: a client that says Connection: close hears it back, and one that expects what nobody knows is told 417", async () => {
  await using api = await startApi();
  assert.ok(headOf(await api.raw(request("GET /_ping", "Connection: close"))).includes("Connection: close"));
  const unmet = headOf(await api.raw(request("GET /_ping", "Expect: 200-ok")));
  assert.deepEqual([unmet[0], unmet.includes("Connection: close")], ["HTTP/1.1 417 Expectation Failed", true]);
  assert.match(await api.raw(request("GET /_ping", "Expect: 100-continue")), /^HTTP\/1.1 200 OK/);
});

test("BuildKit's connections are refused with a reason", async () => {
  await using api = await startApi();
  for (const path of ["/grpc", "/v1.51/session"]) {
    const answer = await api.raw(`POST ${path} HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 501 Not Implemented\r\n.*no BuildKit/s);
  }
});
