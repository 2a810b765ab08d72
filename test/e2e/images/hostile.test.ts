/** What registries and images may try (THREATS, C3), beyond what layers try (test/storage/hostile.test.ts). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { EngineError } from "#base/errors";
import { detectMediaType, parseManifest, parseReference, type Reference } from "#registry";
import { startDaemon } from "#test/daemon";
import { Authorizer } from "../../../src/registry/auth.ts";
import { HttpClient } from "../../../src/registry/client.ts";
import { Budget } from "../../../storage/archive/budget.ts";
import { openImages, shown } from "./rig.ts";
import { RogueRegistry, types } from "./rogue.ts";

const residentMb = (): number => process.memoryUsage.rss() / (1 << 20);

test("hostile: a document that is an image to one reader and an index to another is refused", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const { manifest } = registry.addImage("1", [Buffer.from("a")]);
  const entry = { mediaType: types.manifest, digest: manifest, size: 10 };
  const image = JSON.parse(registry.manifests.get("1")?.bytes.toString() ?? "");
  const cases: readonly (readonly [type: string, document: object])[] = [
    [types.manifest, { ...image, manifests: [entry] }],
    [types.oci, { ...image, mediaType: types.oci, manifests: [entry] }],
    [types.index, { schemaVersion: 2, manifests: [entry], layers: image.layers }],
    [types.index, { schemaVersion: 2, manifests: [entry], config: image.config }],
    [types.index, image],
    [types.oci, { ...image, mediaType: types.index }],
    [types.manifest, { ...image, mediaType: undefined }],
  ];
  for (const [type, document] of cases) {
    registry.addManifest("bad", document, type);
    const before = registry.count(/GET .*\/blobs\//);
    const last = shown(await rig.pull(`${registry.address}/x:bad`)).at(-1) ?? "";
    assert.match(last, /expected (manifest|index) but found|mediaType in/, `${type} ${JSON.stringify(document)}`);
    assert.equal(registry.count(/GET .*\/blobs\//), before, "nothing of it is fetched");
  }
  assert.deepEqual(rig.storage.content.list(), []);
});

test("hostile: JSON a hundred thousand levels deep costs neither the stack nor memory", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const depth = 100_000;
  const deep = `${"[".repeat(depth)}${"]".repeat(depth)}`;
  const before = residentMb();
  registry.addImage("config", [Buffer.from("a")], { config: { history: "DEEP" } });
  const config = [...registry.blobs.values()].find((blob) => blob.includes("DEEP"))?.toString() ?? "";
  registry.addBlob(Buffer.from(config.replace('"DEEP"', deep)));
  for (const place of ["annotations", "config", "layers", "manifests", "platform"]) {
    const bytes = Buffer.from(`{"schemaVersion":2,"mediaType":"${types.manifest}","${place}":${deep}}`);
    assert.throws(() => parseManifest(bytes, types.manifest), EngineError, place);
  }
  const image = JSON.parse(registry.manifests.get("config")?.bytes.toString() ?? "");
  const digest = registry.addBlob(Buffer.from(config.replace('"DEEP"', deep)));
  registry.addManifest("deep", { ...image, config: { ...image.config, digest } });
  assert.equal(
    shown(await rig.pull(`${registry.address}/x:deep`))
      .at(-1)
      ?.startsWith("Status:"),
    false,
  );
  assert.ok(residentMb() - before < 100, `${residentMb() - before} MB more`);
});

test("hostile: digests that are paths are refused before anybody is asked for them", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  registry.addImage("1", [Buffer.from("a")]);
  const image = JSON.parse(registry.manifests.get("1")?.bytes.toString() ?? "");
  const digests = [
    "sha256:../../../../etc/passwd",
    `sha256:${"A".repeat(64)}`,
    `sha256:${"a".repeat(63)}`,
    "a/../b",
    "",
  ];
  for (const digest of [...digests, `md5:${"a".repeat(32)}`, `sha256:${"a".repeat(64)}/../x`]) {
    for (const document of [
      { ...image, config: { ...image.config, digest } },
      { ...image, layers: [{ ...image.layers[0], digest }] },
    ]) {
      registry.addManifest("bad", document);
      const last = shown(await rig.pull(`${registry.address}/x:bad`)).at(-1) ?? "";
      assert.match(last, /could not validate (config|layer) digest/, digest);
    }
  }
  assert.ok(registry.requests.every(({ line }) => !line.includes("etc") && !line.includes("..")));
});

/** The same every time: a failure can be looked at. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

test("hostile: three thousand damaged manifests are read or refused, and nothing else happens", async () => {
  await using registry = await RogueRegistry.start();
  registry.addImage("1", [Buffer.from("a"), Buffer.from("b")]);
  const whole = registry.manifests.get("1")?.bytes.toString() ?? "";
  const random = numbers(1);
  const pick = (limit: number): number => Math.floor(random.next().value * limit);
  const odd = ["null", "-1", "1e999", "{}", "[]", '""', '"\\u0000"', "__proto__", "}", "]", ",", '"mediaType":'];
  for (let round = 0; round < 3000; round++) {
    let text = whole;
    for (let times = 1 + pick(4); times > 0; times--) {
      const [at, length] = [pick(text.length), pick(30)];
      text = text.slice(0, at) + (odd[pick(odd.length)] ?? "") + text.slice(at + length);
    }
    const bytes = Buffer.from(text);
    for (const type of [types.manifest, types.oci, types.index, "text/plain"]) {
      try {
        const manifest = parseManifest(bytes, type);
        if (manifest.kind === "manifest") assert.match(manifest.config.digest, /^sha256:[a-f0-9]{64}$/);
        detectMediaType(bytes);
      } catch (error) {
        assert.ok(error instanceof EngineError, `${String(error)}\n${text}`);
      }
    }
  }
});

test("hostile: names are what the grammar allows, whatever is tried, and quickly", () => {
  const random = numbers(2);
  const letters = "abz09AZ./:@-_%\\?#[] \u0000\n\u00e4sha256";
  const isSafe = ({ domain, path, tag = "", digest = "" }: Reference): boolean => {
    const url = new URL(`https://${domain}/v2/${path}/manifests/${digest || tag}`);
    return (
      url.pathname === `/v2/${path}/manifests/${digest || tag}` && url.host.toLowerCase() !== "" && url.search === ""
    );
  };
  for (let round = 0; round < 20_000; round++) {
    const length = 1 + Math.floor(random.next().value * 40);
    const text = Array.from({ length }, () => letters[Math.floor(random.next().value * letters.length)]).join("");
    try {
      assert.ok(isSafe(parseReference(text)), text);
    } catch (error) {
      assert.ok(error instanceof EngineError, `${String(error)}\n${text}`);
    }
  }
  const began = performance.now();
  for (const part of ["a", "a-", "a.", "a/", "-", "a_", "a:", "A.", "1.1", "a__"]) {
    for (const end of ["", "!", ":", "/", "@"])
      assert.throws(() => parseReference(part.repeat(20_000) + end), EngineError);
  }
  assert.ok(performance.now() - began < 3000, `${performance.now() - began} ms`);
});

test("hostile: an archive of too many entries ends at its budget", () => {
  const budget = new Budget({ maxEntries: 1000, maxBytes: 1 << 20 }, "/var/tmp");
  for (let count = 0; count < 1000; count++) budget.countEntry();
  assert.throws(() => budget.countEntry(), { code: "ELIMIT" });
});

test("hostile: labels are data: no label of an image changes what a container may do", async () => {
  await using daemon = await startDaemon();
  const labels = [
    "io.minidock.privileged=true",
    "com.docker.security.privileged=true",
    "containerd.io/restart.loguri=binary:///bin/touch?/tmp/pwned",
    "containerd.io/restart.status=running",
    "io.kubernetes.cri.untrusted-workload=false",
    "run.oci.handler=krun",
    "org.opencontainers.image.config.privileged=1",
  ];
  const build = [...labels.map((label) => ["-c", `LABEL ${label.replace("=", '="')}"`]), ["-c", 'CMD ["sh"]']].flat();
  const tar = `${daemon.folder}/busybox.tar`;
  await daemon.ok("create", "--name", "plain", "busybox", "cat", "/proc/self/status");
  await daemon.ok("export", "-o", tar, "plain");
  await daemon.ok("import", ...build, tar, "labelled");
  await daemon.ok("create", "--name", "labelled", "labelled", "cat", "/proc/self/status");
  const [plain, labelled] = await Promise.all(
    ["plain", "labelled"].map(async (name) => {
      const settings = await daemon.ok("inspect", "-f", "{{json .HostConfig}}", name);
      const status = await daemon.ok("start", "-a", name);
      return `${settings}\n${status.split("\n").filter((line) => /^(Cap|Seccomp|NoNewPrivs|Uid)/.test(line))}`;
    }),
  );
  assert.equal(labelled, plain);
  assert.match(await daemon.ok("inspect", "-f", "{{json .Config.Labels}}", "labelled"), /binary:\/\/\/bin\/touch/);
});

const credentials = { username: "u", password: "secret" };

/** A registry of its own that answers every token request. */
async function tokenServer(): Promise<RogueRegistry> {
  const server = await RogueRegistry.start();
  server.hook = (request, response) => {
    if (!request.url?.startsWith("/token")) return false;
    response.writeHead(200, { "content-type": "application/json" }).end('{"token":"t"}');
    return true;
  };
  return server;
}

test("hostile: a token server that sends us on gives our password to nobody", async () => {
  await using stranger = await tokenServer();
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  registry.addImage("1", [Buffer.from("a")]);
  registry.hook = (request, response) => {
    if (request.url?.startsWith("/token")) {
      response.writeHead(302, { location: `http://${stranger.address}${request.url}` }).end();
      return true;
    }
    if (request.headers.authorization === "Bearer t") return false;
    const realm = `Bearer realm="http://${registry.address}/token",service="s"`;
    response.writeHead(401, { "www-authenticate": realm }).end();
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x:1`, { credentials }));
  assert.ok(said.at(-1)?.startsWith("Status: Downloaded"), said.join("\n"));
  assert.ok(registry.requests.some(({ authorization }) => authorization.startsWith("Basic ")));
  assert.deepEqual(new Set(stranger.requests.map(({ authorization }) => authorization)), new Set([""]));
});

test("hostile: a registry behind TLS cannot make us tell a password or a refresh token in clear text", async () => {
  for (const own of [credentials, { identityToken: "refresh-secret" }]) {
    await using clear = await tokenServer();
    await using client = new HttpClient({ isVerified: true, ca: [], certificates: [] }, {});
    const parameters = new Map([["realm", `http://${clear.address}/token`]]);
    const options = { credentials: own, scopes: ["repository:x:pull"], clock: systemClock };
    const base = "https://registry.example";
    const authorizer = new Authorizer(client, base, [{ scheme: "bearer", parameters }], options);
    const headers = await authorizer.authorize(new URL(`${base}/v2/x/manifests/1`), AbortSignal.timeout(5000));
    assert.deepEqual(headers, { authorization: "Bearer t" });
    assert.deepEqual(
      clear.requests.map(({ line, authorization }) => `${line.split("?")[0]} ${authorization}`),
      ["GET /token "],
    );
  }
});
