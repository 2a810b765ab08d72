import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { type Credentials, parseCredentials } from "#registry";
import { startRegistry } from "#test/registry";
import { TokenServer } from "#test/token-server";
import { never, openImages, shown, tag } from "./rig.ts";
import { bodyOf, fail, RogueRegistry } from "./rogue.ts";

type Reply = (request: IncomingMessage, response: ServerResponse) => void;

const give =
  (reply: unknown, status = 200): Reply =>
  (_, response) =>
    void response.writeHead(status).end(typeof reply === "string" ? reply : JSON.stringify(reply));

/** A registry that accepts the token "good", and the server that gives tokens. */
async function guarded(undo: AsyncDisposableStack, reply: Reply, scheme = "http") {
  const registry = undo.use(await RogueRegistry.start());
  const tokens = undo.use(await RogueRegistry.start());
  registry.addImage("1", [randomBytes(100), randomBytes(200)]);
  const forms: string[] = [];
  tokens.hook = (request, response) => {
    void bodyOf(request).then((body) => {
      if (body.length > 0) forms.push(body.toString());
      reply(request, response);
    });
    return true;
  };
  registry.hook = (request, response) => {
    if (request.headers.authorization === "Bearer good") return false;
    response.setHeader("www-authenticate", `Bearer realm="${scheme}://${tokens.address}/token",service="s"`);
    fail(response, 401, "UNAUTHORIZED", "authentication required");
    return true;
  };
  return { registry, tokens, forms };
}

test("token: a refresh token is exchanged by POST, and one token serves all requests", async () => {
  await using undo = new AsyncDisposableStack();
  await using rig = await openImages();
  const { registry, tokens, forms } = await guarded(undo, give({ access_token: "good", refresh_token: "next" }));
  const said = shown(await rig.pull(`${registry.address}/x:1`, { credentials: { identityToken: "old" } }));
  assert.match(said.at(-1) ?? "", /^Status: Downloaded/);
  const form = "client_id=docker&grant_type=refresh_token&refresh_token=old&scope=repository%3Ax%3Apull&service=s";
  assert.deepEqual(forms, [form]);
  assert.deepEqual(tokens.requests, [{ line: "POST /token", authorization: "", range: "" }]);
});

test("token: a server that redirects the exchange elsewhere does not get the refresh token there", async () => {
  await using undo = new AsyncDisposableStack();
  await using rig = await openImages();
  const thief = undo.use(await RogueRegistry.start());
  const { registry } = await guarded(
    undo,
    (_, response) => void response.writeHead(307, { location: `http://${thief.address}/token` }).end(),
  );
  await rig.pull(`${registry.address}/x:1`, { credentials: { identityToken: "secret" } });
  assert.equal(thief.requests.length, 0);
});

test("token: one that has expired is not used again", async () => {
  await using undo = new AsyncDisposableStack();
  await using rig = await openImages();
  const old = { token: "good", expires_in: 300, issued_at: "2001-01-01T00:00:00Z" };
  const { registry, tokens } = await guarded(undo, give(old));
  await rig.pull(`${registry.address}/x:1`);
  assert.ok(tokens.requests.length > 1);
});

test("token: lives of less than a minute, or none at all, count as one", async () => {
  for (const life of [{ expires_in: 1 }, { expires_in: -5 }, {}]) {
    await using undo = new AsyncDisposableStack();
    await using rig = await openImages();
    const { registry, tokens } = await guarded(undo, give({ token: "good", ...life }));
    await rig.pull(`${registry.address}/x:1`);
    assert.equal(tokens.requests.length, 1);
  }
});

test("token: a push asks to push and pull, and to pull from where it mounts", async () => {
  await using undo = new AsyncDisposableStack();
  await using rig = await openImages();
  const { registry, tokens } = await guarded(undo, give({ token: "good" }));
  const user = { username: "u", password: "p" };
  await rig.pull(`${registry.address}/sister:1`, { credentials: user });
  rig.images.tag(`${registry.address}/sister:1`, tag(`${registry.address}/x:2`));
  const guard = registry.hook;
  registry.hook = (request, response) => {
    const isAsked = request.method === "HEAD" && request.url?.includes("/x/blobs/") === true;
    if (!isAsked || registry.count(/mount=/) > 0) return guard(request, response);
    response.writeHead(404).end();
    return true;
  };
  const said = shown(await rig.push(`${registry.address}/x:2`, user));
  assert.ok(
    said.some((line) => line.endsWith(": Mounted from sister")),
    said.join("\n"),
  );
  const scopes = tokens.requests.map(({ line }) => new URL(line.slice(4), "http://t").searchParams.getAll("scope"));
  assert.deepEqual(scopes[1], ["repository:x:push,pull"]);
  assert.ok(scopes.some((asked) => asked.join() === "repository:x:push,pull,repository:sister:pull"));
});

/** What dockerd 28.5.2 makes of each. */
const replies: readonly (readonly [what: string, reply: Reply, said: RegExp])[] = [
  ["a token by its other name", give({ access_token: "good" }), /^Status: Downloaded/],
  ["two tokens", give({ token: "bad", access_token: "good" }), /^Status: Downloaded/],
  ["something after the document", give('{"token":"good"} x'), /^Status: Downloaded/],
  ["keys in capitals", give({ TOKEN: "good" }), /^Status: Downloaded/],
  ["no token", give({}), /: authorization server did not include a token in the response$/],
  ["nothing", give(""), /: unable to decode token response: EOF$/],
  ["half a document", give('{"token":"go'), /: unable to decode token response: unexpected EOF$/],
  ["a web page", give("<html>"), /: unable to decode token response: invalid character '<' looking for beginning/],
  ["401", give("no\n", 401), /: unauthorized: no\n$/],
  ["503", give("", 503), /: received unexpected HTTP status: 503 Service Unavailable$/],
  [
    "a redirect in a circle",
    (_, response) => void response.writeHead(302, { location: "/token" }).end(),
    /: stopped after 10 redirects$/,
  ],
];
for (const [what, reply, expected] of replies) {
  test(`token: a server that answers ${what}`, async () => {
    await using undo = new AsyncDisposableStack();
    await using rig = await openImages();
    const { registry } = await guarded(undo, reply);
    const said = shown(await rig.pull(`${registry.address}/x:1`, { credentials: { username: "u", password: "p" } }));
    assert.match(said.at(-1) ?? "", expected);
  });
}

test("token: a realm that is no URL, or none of the web, is refused", async () => {
  await using undo = new AsyncDisposableStack();
  await using rig = await openImages();
  const { registry, tokens } = await guarded(undo, give({ token: "good" }), "ftp");
  const [refused = ""] = shown(await rig.pull(`${registry.address}/x:1`));
  assert.match(refused, /: unsupported protocol scheme "ftp"$/);
  registry.hook = (_, response) => {
    response.setHeader("www-authenticate", 'Bearer realm="http://[::1",service="s"');
    fail(response, 401, "UNAUTHORIZED", "authentication required");
    return true;
  };
  const [broken = ""] = shown(await rig.pull(`${registry.address}/x:1`));
  assert.match(broken, /: invalid token auth challenge realm: parse "http:\/\/\[::1": invalid URL$/);
  assert.equal(tokens.requests.length, 0);
});

test("login: the refresh token that a server gives is handed on; a registry token is no login", async () => {
  await using undo = new AsyncDisposableStack();
  await using rig = await openImages();
  const { registry, tokens } = await guarded(undo, (request, response) => {
    const isKnown = request.headers.authorization === `Basic ${btoa("u:p")}`;
    give(isKnown ? { token: "good", refresh_token: "fresh" } : { token: "none" })(request, response);
  });
  const serverAddress = registry.address;
  const signal = new AbortController().signal;
  const login = await rig.images.login({ credentials: { username: "u", password: "p", serverAddress } }, signal);
  assert.deepEqual(login, { status: "Login Succeeded", identityToken: "fresh" });
  assert.match(tokens.requests.at(-1)?.line ?? "", /client_id=docker&offline_token=true/);
  await assert.rejects(
    rig.images.login({ credentials: { registryToken: "good", serverAddress } }, signal),
    /401 Unauthorized/,
  );
});

test("credentials: a header is padded base64url; what is not counts as none", () => {
  const header = Buffer.from('{"username":"us>er?","password":"p"}').toString("base64url");
  const padded = header + "=".repeat((4 - (header.length % 4)) % 4);
  assert.deepEqual(parseCredentials(padded), { username: "us>er?", password: "p" });
  const unpadded = Buffer.from('{"username":"ab"}').toString("base64url");
  assert.notEqual(unpadded.length % 4, 0);
  const standard = Buffer.from('{"username":"~~~~~~~~"}').toString("base64");
  assert.match(standard, /\+/);
  for (const bad of ["", unpadded, standard, "!!!", "W10=", "ew=="]) {
    assert.deepEqual(parseCredentials(bad), {}, bad);
  }
});

test("token: Debian's registry believes the tokens that a password, a login and nobody get", async () => {
  await using tokens = await TokenServer.start({ name: "u", password: "p" });
  await using registry = await startRegistry({ prefix: [] }, { realm: tokens.realm });
  await using rig = await openImages();
  tokens.serve(registry.folder);
  const [first, second] = [`${registry.address}/team/app:1`, `${registry.address}/other/app:1`];
  await rig.importBusybox(first);
  rig.images.tag(first, tag(second));
  const push = async (name: string, credentials: Credentials) => shown(await rig.push(name, credentials));
  assert.equal(
    (await push(first, { username: "u", password: "wrong" })).at(-1),
    "unauthorized: incorrect username or password",
  );
  assert.match((await push(first, {})).at(-1) ?? "", /^denied: requested access to the resource is denied$/);
  assert.match((await push(first, { username: "u", password: "p" })).at(-1) ?? "", /^1: digest: /);

  const account = { username: "u", password: "p", serverAddress: registry.address };
  const { identityToken } = await rig.images.login({ credentials: account }, never);
  assert.equal(identityToken, "refresh");
  const mounted = await push(second, { username: "u", identityToken });
  assert.ok(
    mounted.some((line) => line.endsWith(": Mounted from team/app")),
    mounted.join("\n"),
  );
  assert.ok(tokens.asked.includes("POST repository:other/app:push,pull repository:team/app:pull"));

  for (const name of [first, second]) rig.images.delete(name, { force: true, prune: true });
  assert.match(shown(await rig.pull(second)).at(-1) ?? "", /^Status: Downloaded newer image/);
  assert.equal(tokens.asked.at(-1), "GET repository:other/app:pull");
});
