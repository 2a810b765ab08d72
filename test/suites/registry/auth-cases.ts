import type { IncomingMessage, ServerResponse } from "node:http";
import { fail, type RogueRegistry } from "../../e2e/images/rogue.ts";
import type { Case } from "./run.ts";
import { auth, type Stage } from "./stage.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, body: URLSearchParams) => void;

interface Guard {
  /** The challenge; `REALM` is the token server. */
  readonly challenge?: string | readonly string[];
  readonly tokens?: Answer;
  readonly credentials?: unknown;
  /** Accepts this header; default: the token that is given. */
  readonly accepts?: (authorization: string, request: IncomingMessage) => boolean;
  readonly header?: string;
}

const bearer = 'Bearer realm="http://REALM/token",service="the service"';
const user = { username: "user", password: "pass:word" };

/** A registry that wants to be shown something, and a token server; what each was shown is part of the outcome. */
function guarded({
  challenge = bearer,
  tokens = give({ token: "good" }),
  credentials = user,
  accepts = (header) => header === "Bearer good",
  header,
}: Guard) {
  return async (
    stage: Stage,
    act: (stage: Stage, registry: RogueRegistry, headers: Record<string, string>) => Promise<unknown> = pulled,
  ) => {
    const registry = await stage.registry();
    const server = await stage.registry();
    registry.addImage("1", [stage.content("a")]);
    const asked: string[] = [];
    server.hook = (request, response) => {
      let text = "";
      request
        .on("data", (chunk) => (text += chunk))
        .on("end", () => {
          asked.push(
            `${request.method} ${decodeURIComponent(request.url ?? "")} ${shown(request)} ${decodeURIComponent(text)}`,
          );
          tokens(request, response, new URLSearchParams(text));
        });
      return true;
    };
    registry.hook = (request, response) => {
      if (accepts(request.headers.authorization ?? "", request)) return false;
      response.setHeader(
        "www-authenticate",
        [challenge].flat().map((one) => one.replaceAll("REALM", server.address)),
      );
      fail(response, 401, "UNAUTHORIZED", "authentication required");
      return true;
    };
    const headers = { "X-Registry-Auth": header ?? auth(credentials) };
    const outcome = await act(stage, registry, headers);
    const seen = [
      ...new Set(
        registry.requests.map(
          ({ line, authorization }) =>
            `${line.split(" ")[0]} ${/v2\/$/.test(line) ? "ping" : "rest"} ${plain(authorization)}`,
        ),
      ),
    ].sort();
    return { outcome, asked: [...new Set(asked)], seen };
  };
}

const plain = (header: string) =>
  header.startsWith("Basic ") ? `Basic ${Buffer.from(header.slice(6), "base64")}` : header;
const shown = (request: IncomingMessage) => plain(request.headers.authorization ?? "");
const give =
  (reply: unknown, code = 200): Answer =>
  (_, response) =>
    void response
      .writeHead(code, { "content-type": "application/json" })
      .end(typeof reply === "string" ? reply : JSON.stringify(reply));
const raw =
  (code: number, type: string, body: string): Answer =>
  (_, response) =>
    void response.writeHead(code, { "content-type": type }).end(body);

const pulled = (stage: Stage, registry: RogueRegistry, headers: Record<string, string>) =>
  stage.pull(`${registry.address}/${stage.word}:1`, {}, headers);
const looked = (stage: Stage, registry: RogueRegistry, headers: Record<string, string>) =>
  stage.json(`/distribution/${registry.address}/${stage.word}:1/json`, headers);
async function loggedIn(stage: Stage, registry: RogueRegistry, headers: Record<string, string>) {
  const config = JSON.parse(Buffer.from(headers["X-Registry-Auth"] ?? "", "base64url").toString()) ?? {};
  const reply = await stage.http.post("/auth", { ...config, serveraddress: registry.address });
  return [reply.status, reply.text];
}
async function pushed(stage: Stage, registry: RogueRegistry, headers: Record<string, string>) {
  const source = await stage.registry();
  source.addImage("1", [stage.content("p")]);
  await stage.pull(`${source.address}/${stage.word}:1`);
  await stage.tag(`${source.address}/${stage.word}:1`, `${registry.address}/${stage.word}:2`);
  const seen = await stage.push(`${registry.address}/${stage.word}:2`, headers);
  return JSON.parse(
    JSON.stringify(seen)
      .replace(/sha256:[0-9a-f]{64}/g, "D")
      .replace(/size: \d+/g, "")
      .replace(/Size[^}]*/g, ""),
  );
}

const credentials: readonly (readonly [string, unknown])[] = [
  ["user", user],
  ["nobody", {}],
  ["name only", { username: "user" }],
  ["password only", { password: "pass" }],
  ["empty words", { username: "", password: "" }],
  ["unicode", { username: "üser", password: "pässword€" }],
  ["identity token", { identitytoken: "refresh" }],
  ["identity token with a name", { username: "user", identitytoken: "refresh" }],
  ["identity token with a password", { ...user, identitytoken: "refresh" }],
  ["registry token", { registrytoken: "good" }],
  ["wrong registry token", { registrytoken: "bad" }],
  ["auth field", { auth: Buffer.from("user:pass").toString("base64") }],
  ["capital keys", { Username: "user", Password: "pass" }],
  ["server address of another", { ...user, serveraddress: "elsewhere.example" }],
  ["null", null],
];

const challenges: readonly (readonly [string, Guard])[] = [
  ["basic", { challenge: 'Basic realm="r"', accepts: (header) => header.startsWith("Basic ") }],
  [
    "bearer",
    {
      tokens: (request, response, body) =>
        give(
          request.method === "POST"
            ? { access_token: "good", refresh_token: body.get("refresh_token") }
            : { token: "good" },
        )(request, response, body),
    },
  ],
];

const crossed: Case[] = challenges.flatMap(([kind, guard]) =>
  credentials.flatMap(([who, shown]): Case[] => [
    [`auth ${kind} pull by ${who}`, (stage) => guarded({ ...guard, credentials: shown })(stage)],
    [`auth ${kind} login by ${who}`, (stage) => guarded({ ...guard, credentials: shown })(stage, loggedIn)],
    [`auth ${kind} distribution by ${who}`, (stage) => guarded({ ...guard, credentials: shown })(stage, looked)],
    [`auth ${kind} push by ${who}`, (stage) => guarded({ ...guard, credentials: shown })(stage, pushed)],
  ]),
);

const replies: readonly (readonly [string, Answer])[] = [
  ["access_token", give({ access_token: "good" })],
  ["both tokens", give({ token: "bad", access_token: "good" })],
  ["empty tokens", give({ token: "", access_token: "" })],
  ["no token", give({})],
  ["null", give("null")],
  ["a number as token", give({ token: 5 })],
  ["a list", give("[]")],
  ["an empty body", give("")],
  ["broken json", give('{"token":"goo')],
  ["trailing garbage", give('{"token":"good"} x')],
  ["html", raw(200, "text/html", "<html>")],
  ["short life", give({ token: "good", expires_in: 1 })],
  ["negative life", give({ token: "good", expires_in: -5 })],
  ["life in words", give({ token: "good", expires_in: "60" })],
  ["life with a fraction", give({ token: "good", expires_in: 60.5 })],
  ["issued long ago", give({ token: "good", expires_in: 60, issued_at: "2001-01-01T00:00:00Z" })],
  ["issued in no time", give({ token: "good", issued_at: "yesterday" })],
  ["capital keys", give({ TOKEN: "good" })],
  ["401", give({ errors: [{ code: "UNAUTHORIZED", message: "incorrect username or password" }] }, 401)],
  ["401 details", give({ details: "incorrect username or password" }, 401)],
  ["401 text", raw(401, "text/plain", "no\n")],
  ["401 empty", raw(401, "", "")],
  ["403", give({ errors: [{ code: "DENIED", message: "not you" }] }, 403)],
  ["404 html", raw(404, "text/html", "<html>")],
  ["405", raw(405, "text/plain", "")],
  ["429", give({ errors: [{ code: "TOOMANYREQUESTS", message: "too many failed login attempts" }] }, 429)],
  ["500", raw(500, "text/plain", "oops")],
  ["503", raw(503, "text/plain", "")],
  ["cut", (request) => void request.socket.destroy()],
  ["a redirect to itself", (request, response) => void response.writeHead(302, { location: request.url }).end()],
  ["a redirect elsewhere", (_, response) => void response.writeHead(302, { location: "http://127.0.0.1:1/t" }).end()],
  [
    "307 on POST",
    (request, response) =>
      request.url === "/there"
        ? give({ access_token: "good" })(request, response, new URLSearchParams())
        : void response.writeHead(307, { location: "/there" }).end(),
  ],
  ["a wrong token", give({ token: "bad" })],
  ["a new refresh token", give({ token: "good", access_token: "good", refresh_token: "fresh" })],
];
const replied: Case[] = replies.flatMap(([name, tokens]): Case[] => [
  [`auth token ${name} pull`, (stage) => guarded({ tokens })(stage)],
  [`auth token ${name} push`, (stage) => guarded({ tokens })(stage, pushed)],
  [`auth token ${name} login`, (stage) => guarded({ tokens })(stage, loggedIn)],
  [`auth token ${name} refresh`, (stage) => guarded({ tokens, credentials: { identitytoken: "refresh" } })(stage)],
  [
    `auth token ${name} refresh login`,
    (stage) => guarded({ tokens, credentials: { identitytoken: "refresh" } })(stage, loggedIn),
  ],
]);

const spoken: readonly (readonly [string, string | readonly string[]])[] = [
  ["no realm", 'Bearer service="s"'],
  ["empty realm", 'Bearer realm="",service="s"'],
  ["relative realm", 'Bearer realm="/token",service="s"'],
  ["realm that is no url", 'Bearer realm="http://[::1",service="s"'],
  ["realm without a scheme", 'Bearer realm="REALM/token",service="s"'],
  ["realm ftp", 'Bearer realm="ftp://REALM/token"'],
  ["realm with a query", 'Bearer realm="http://REALM/token?a=b&scope=old",service="s"'],
  ["realm with a password", 'Bearer realm="http://u:p@REALM/token",service="s"'],
  ["no service", 'Bearer realm="http://REALM/token"'],
  ["scope", 'Bearer realm="http://REALM/token",service="s",scope="repository:other:pull,push"'],
  ["several scopes", 'Bearer realm="http://REALM/token",service="s",scope="repository:a:pull repository:b:push"'],
  ["lower case", 'bearer realm="http://REALM/token",service="s"'],
  ["unquoted", "Bearer realm=http://REALM/token,service=s"],
  ["spaces", 'Bearer   realm = "http://REALM/token" , service = "s"'],
  ["escapes", 'Bearer realm="http://REALM/token",service="s\\"q"'],
  ["error", 'Bearer realm="http://REALM/token",service="s",error="invalid_token"'],
  ["digest", 'Digest realm="r",nonce="n"'],
  ["negotiate", "Negotiate"],
  ["nothing", ""],
  ["two headers, basic first", ['Basic realm="r"', bearer]],
  ["two headers, bearer first", [bearer, 'Basic realm="r"']],
  ["two in one header", `${bearer}, Basic realm="r"`],
  ["two bearers", [bearer, 'Bearer realm="http://REALM/second",service="t"']],
];
const spokenCases: Case[] = spoken.flatMap(([name, challenge]): Case[] => [
  [`auth challenge ${name} pull`, (stage) => guarded({ challenge })(stage)],
  [`auth challenge ${name} login`, (stage) => guarded({ challenge })(stage, loggedIn)],
]);

const headers: Case[] = [
  "",
  "!!!",
  "e30=",
  "e30",
  "bnVsbA==",
  "W10=",
  "ew==",
  "eyJ1c2VybmFtZSI6NX0=",
  Buffer.from('{"username":"user","password":"p"} x').toString("base64"),
  Buffer.from(JSON.stringify({ username: "us>er?", password: "p~~?>" })).toString("base64"),
].map(
  (header): Case => [
    `auth header ${JSON.stringify(header)}`,
    async (stage) => ({
      pull: await guarded({ challenge: 'Basic realm="r"', accepts: (it) => it.startsWith("Basic "), header })(stage),
      look: await guarded({ challenge: 'Basic realm="r"', accepts: (it) => it.startsWith("Basic "), header })(
        stage,
        looked,
      ),
    }),
  ],
);

const late: Case[] = [
  [
    "auth 401 on manifests only",
    (stage) =>
      guarded({ accepts: (header, { url = "" }) => !url.includes("manifests") || header === "Bearer good" })(stage),
  ],
  [
    "auth 401 on blobs after a token",
    (stage) =>
      guarded({ accepts: (header, { url = "" }) => header === "Bearer good" && !url.includes("blobs") })(stage),
  ],
  [
    "auth 401 in the middle of an upload",
    (stage) =>
      guarded({ accepts: (header, { method }) => header === "Bearer good" && method !== "PATCH" })(stage, pushed),
  ],
  [
    "auth 401 at the end of an upload",
    (stage) =>
      guarded({
        accepts: (header, { method, url = "" }) =>
          header === "Bearer good" && !(method === "PUT" && url.includes("blobs")),
      })(stage, pushed),
  ],
  [
    "auth 401 on the manifest's put",
    (stage) =>
      guarded({
        accepts: (header, { method, url = "" }) =>
          header === "Bearer good" && !(method === "PUT" && url.includes("manifests")),
      })(stage, pushed),
  ],
];

const logins: Case[] = [
  [
    "auth login bodies",
    async (stage) =>
      Promise.all(
        [
          "",
          "{}",
          "null",
          "[]",
          "5",
          '"x"',
          "{",
          '{"username":5}',
          '{"serveraddress":"http://127.0.0.1:1"}',
          '{"serveraddress":"127.0.0.1:1","username":"u","password":"p"}',
          '{"serveraddress":"http://[::1"}',
          '{"serveraddress":"ftp://127.0.0.1:1"}',
          '{"serveraddress":"http://127.0.0.1:1/v1/"}',
          '{"username":"u"} x',
        ].map(async (body) => {
          const reply = await stage.http.post("/auth", body, { "Content-Type": "application/json" });
          return [body, reply.status, reply.text];
        }),
      ),
  ],
  [
    "auth login statuses",
    async (stage) => {
      const seen: unknown[] = [];
      for (const code of [200, 201, 204, 301, 400, 401, 403, 404, 429, 500, 503]) {
        const registry = await stage.registry();
        registry.hook = (_, response) => void response.writeHead(code).end("{}") === undefined;
        const reply = await stage.http.post("/auth", { ...user, serveraddress: registry.address });
        seen.push([code, reply.status, reply.text]);
      }
      return seen;
    },
  ],
  [
    "auth login by address with a path",
    async (stage) => {
      const registry = await stage.registry();
      const addresses = [
        registry.address,
        `http://${registry.address}`,
        `https://${registry.address}/v2/`,
        `http://${registry.address}/v1/`,
        `${registry.address}/x`,
      ];
      return Promise.all(
        addresses.map(async (serveraddress) => {
          const reply = await stage.http.post("/auth", { ...user, serveraddress });
          return [reply.status, reply.text];
        }),
      );
    },
  ],
];

export const authCases: readonly Case[] = [...crossed, ...replied, ...spokenCases, ...headers, ...late, ...logins];
