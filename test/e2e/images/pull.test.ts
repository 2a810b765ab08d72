import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer, request as forward } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { ProgressMessage } from "../../../src/engine/image/transfer/progress.ts";
import { openImages, shown } from "./rig.ts";
import { fail, RogueRegistry, types } from "./rogue.ts";

const short = (digest: string | undefined) => digest?.slice(7, 19);

test("pull: layers come side by side and the lines are dockerd's", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [Buffer.from("a"), Buffer.from("b")]);
  const said = shown(await rig.pull(`${registry.address}/x:1`));
  assert.equal(said[0], "1: Pulling from x");
  assert.deepEqual(said.slice(-2), [
    `Digest: ${image.manifest}`,
    `Status: Downloaded newer image for ${registry.address}/x:1`,
  ]);
  for (const layer of image.layers) {
    const steps = said.filter((line) => line.startsWith(`${short(layer)}: `)).map((line) => line.slice(14));
    assert.deepEqual(steps, ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"]);
  }
  assert.equal(rig.images.get(`${registry.address}/x:1`).id, image.configDigest);
  assert.deepEqual(rig.events, [`image pull ${registry.address}/x:1`]);
});

test("pull: what is here already is not fetched again", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const base = Buffer.from("base");
  const first = registry.addImage("1", [base]);
  registry.addImage("2", [base, Buffer.from("top")]);
  await rig.pull(`${registry.address}/x:1`);
  const again = shown(await rig.pull(`${registry.address}/x:1`));
  assert.equal(again.at(-1), `Status: Image is up to date for ${registry.address}/x:1`);
  const second = shown(await rig.pull(`${registry.address}/y:2`));
  assert.ok(second.includes(`${short(first.layers[0])}: Already exists`));
  assert.equal(registry.count(new RegExp(`GET .*/blobs/${first.layers[0]}`)), 1);
});

test("pull: several clients at once share one download, and one that leaves does not disturb the others", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [randomBytes(200_000), randomBytes(1000)]);
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  let isHeld = false;
  registry.hook = (request, response) => {
    if (isHeld || !request.url?.endsWith(`/blobs/${image.layers[0]}`)) return false;
    isHeld = true;
    asked.resolve();
    gate.promise.then(() => response.writeHead(200).end(registry.blobs.get(image.layers[0] ?? "")));
    return true;
  };
  const leaving = new AbortController();
  const gone = rig.pull(`${registry.address}/x:1`, { signal: leaving.signal });
  await asked.promise;
  const others = [1, 2].map(() => {
    const joined = Promise.withResolvers<void>();
    const last = `${short(image.layers[1])}: Pulling fs layer`;
    const onLine = (message: ProgressMessage) => shown([message])[0] === last && joined.resolve();
    return { joined: joined.promise, lines: rig.pull(`${registry.address}/x:1`, { onLine }) };
  });
  await Promise.all(others.map(({ joined }) => joined));
  leaving.abort(new Error("client has gone"));
  assert.equal(shown(await gone).at(-1), "client has gone");
  gate.resolve();
  for (const { lines } of others) assert.match(shown(await lines).at(-1) ?? "", /^Status: /);
  for (const layer of image.layers) assert.equal(registry.count(new RegExp(`GET .*/blobs/${layer}`)), 1);
});

test("pull: what ten clients want is fetched once, and each of them sees how it goes", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [randomBytes(300_000), randomBytes(1000)]);
  const here = Promise.withResolvers<void>();
  let count = 0;
  const onLine = ({ status = "" }: ProgressMessage) => {
    if (status.startsWith("Pulling from") && ++count === 10) here.resolve();
  };
  registry.hook = (request, response) => {
    if (request.method !== "GET" || !request.url?.endsWith(`/blobs/${image.configDigest}`)) return false;
    // All of them know by then what they want.
    here.promise.then(() => setImmediate(() => response.end(registry.blobs.get(image.configDigest))));
    return true;
  };
  const pulls = Array.from({ length: 10 }, () => rig.pull(`${registry.address}/x:1`, { onLine }));
  for (const lines of await Promise.all(pulls)) {
    assert.match(shown(lines).at(-1) ?? "", /^Status: /);
    for (const layer of image.layers) {
      const states = lines.filter(({ id }) => id === short(layer)).map(({ status }) => status);
      assert.ok(states.includes("Pull complete") || states.includes("Already exists"), states.join());
    }
  }
  for (const digest of [image.configDigest, ...image.layers])
    assert.equal(registry.count(new RegExp(`GET .*/blobs/${digest}`)), 1);
});

test("pull: a connection that breaks is resumed where it broke", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [randomBytes(400_000)]);
  registry.hook = (request, response) => {
    const blob = registry.blobs.get(image.layers[0] ?? "");
    if (
      !request.url?.endsWith(`/blobs/${image.layers[0]}`) ||
      request.headers.range !== undefined ||
      blob === undefined
    )
      return false;
    response.writeHead(200, { "content-length": blob.length });
    response.write(blob.subarray(0, 150_000), () => setTimeout(() => request.socket.destroy(), 50));
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x:1`));
  assert.match(said.at(-1) ?? "", /^Status: Downloaded/);
  assert.ok(said.includes(`${short(image.layers[0])}: Retrying in 5 seconds`));
  const ranges = registry.requests.map(({ range }) => range).filter((range) => range !== "");
  assert.equal(ranges.length, 1);
  assert.notEqual(ranges[0], "bytes=0-");
});

test("pull: a registry that ignores Range is read from the start again", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [randomBytes(400_000)]);
  let tries = 0;
  registry.hook = (request, response) => {
    const blob = registry.blobs.get(image.layers[0] ?? "");
    if (!request.url?.endsWith(`/blobs/${image.layers[0]}`) || blob === undefined) return false;
    response.writeHead(200, { "content-length": blob.length });
    if (++tries === 1) response.write(blob.subarray(0, 150_000), () => setTimeout(() => request.socket.destroy(), 50));
    else response.end(blob);
    return true;
  };
  assert.match(shown(await rig.pull(`${registry.address}/x:1`)).at(-1) ?? "", /^Status: Downloaded/);
  assert.equal(tries, 3);
});

test("pull: wrong bytes are refused and leave nothing", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [Buffer.from("right")]);
  const layer = image.layers[0] ?? "";
  registry.blobs.set(layer, Buffer.alloc(registry.blobs.get(layer)?.length ?? 0));
  const said = shown(await rig.pull(`${registry.address}/x:1`));
  assert.equal(said.at(-1), `filesystem layer verification failed for digest ${layer}`);
  assert.deepEqual([rig.images.count, rig.storage.layers.list(), rig.storage.content.list()], [0, [], []]);
});

test("pull: layers that do not unpack to what the config says are refused and leave nothing", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const rootfs = { type: "layers", diff_ids: [`sha256:${"0".repeat(64)}`] };
  registry.addImage("1", [Buffer.from("x")], { config: { rootfs } });
  registry.addImage("2", [Buffer.from("y"), Buffer.from("z")], { config: { rootfs } });
  for (const tag of ["1", "2"]) {
    const said = shown(await rig.pull(`${registry.address}/x:${tag}`));
    assert.equal(said.at(-1), "layers from manifest don't match image configuration");
  }
  await rig.storage.collect();
  assert.deepEqual([rig.images.count, rig.storage.layers.list(), rig.storage.content.list()], [0, [], []]);
});

test("pull: an oversized manifest or config is refused before it is held", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [Buffer.from("x")]);
  registry.addManifest("big", { padding: "x".repeat(5 << 20) });
  registry.hook = (request, response) => {
    if (!request.url?.endsWith(`/blobs/${image.configDigest}`)) return false;
    response.writeHead(200);
    const more = () =>
      response.write(Buffer.alloc(1 << 20), (error) => (error || response.destroyed ? undefined : more()));
    more();
    return true;
  };
  assert.equal(shown(await rig.pull(`${registry.address}/x:big`)).at(-1), "response body is larger than 4194304 bytes");
  assert.match(
    shown(await rig.pull(`${registry.address}/x:1`)).at(-1) ?? "",
    /response body is larger than 8388608 bytes$/,
  );
});

test("pull: an index gives the image of the platform", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const amd = registry.addImage("amd", [Buffer.from("amd")]);
  const arm = registry.addImage("arm", [Buffer.from("arm")], { config: { architecture: "arm64" } });
  const entry = ({ manifest }: { manifest: string }, architecture: string) => ({
    mediaType: types.manifest,
    digest: manifest,
    size: registry.manifests.get(manifest)?.bytes.length,
    platform: { os: "linux", architecture },
  });
  const manifests = [entry(arm, "arm64"), entry(amd, "amd64")];
  const index = registry.addManifest("multi", { schemaVersion: 2, mediaType: types.index, manifests }, types.index);
  const name = `${registry.address}/x:multi`;
  const said = shown(await rig.pull(name, { platform: { os: "linux", architecture: "arm64" } }));
  assert.ok(said.includes(`Digest: ${index}`));
  assert.equal(rig.images.get(name).id, arm.configDigest);
  await rig.pull(name, { platform: { os: "linux", architecture: "amd64" } });
  assert.equal(rig.images.get(name).id, amd.configDigest);
  const none = shown(await rig.pull(name, { platform: { os: "linux", architecture: "s390x" } }));
  assert.equal(none.at(-1), "no matching manifest for linux/s390x in the manifest list entries");
  const single = shown(
    await rig.pull(`${registry.address}/x:amd`, { platform: { os: "linux", architecture: "arm64" } }),
  );
  assert.match(
    single.at(-1) ?? "",
    /^WARNING: image with reference .* was found but its platform \(linux\/amd64\) does not match/,
  );
  const other = shown(
    await rig.pull(`${registry.address}/x:amd`, { platform: { os: "windows", architecture: "amd64" } }),
  );
  assert.match(other.at(-1) ?? "", /^WARNING: .* does not match the specified platform \(windows\/amd64\)/);
  // The first platform that was pulled has the index's digest, and nothing takes it from there.
  const byDigest = `${registry.address}/x@${index}`;
  assert.equal(rig.images.get(byDigest).id, arm.configDigest);
  const second = shown(await rig.pull(byDigest, { platform: { os: "linux", architecture: "amd64" } }));
  assert.equal(second.at(-1), `cannot overwrite digest ${index}`);
  assert.equal(rig.images.get(byDigest).id, arm.configDigest);
});

test("pull: an index's word for an image's platform counts as much as the config's", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const [arm64, s390x] = ["arm64", "s390x"].map((architecture) => ({ os: "linux", architecture }));
  assert.ok(arm64 !== undefined && s390x !== undefined);
  const { manifest: digest, configDigest } = registry.addImage("single", [Buffer.from("amd64, it says")]);
  const entry = { mediaType: types.manifest, digest, size: registry.manifests.get(digest)?.bytes.length };
  const manifests = [{ ...entry, platform: arm64 }];
  registry.addManifest("multi", { schemaVersion: 2, mediaType: types.index, manifests }, types.index);
  const [single, multi] = [`${registry.address}/x:single`, `${registry.address}/x:multi`];
  await rig.pull(single);
  assert.throws(() => rig.images.get(single, arm64), /does not match the specified platform/);
  const said = shown(await rig.pull(multi, { platform: arm64 }));
  assert.match(said.at(-1) ?? "", /^Status: Downloaded newer image/);
  for (const name of [single, multi]) assert.equal(rig.images.get(name, arm64).id, configDigest);
  assert.throws(() => rig.images.get(multi, s390x), /does not match the specified platform/);
});

test("pull: credentials go to the registry and its token server, never to where a redirect points", async () => {
  await using registry = await RogueRegistry.start();
  await using tokens = await RogueRegistry.start();
  await using other = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [Buffer.from("secret")]);
  for (const [digest, blob] of registry.blobs) other.blobs.set(digest, blob);
  tokens.hook = (_request, response) => void response.end(JSON.stringify({ token: "t" })) === undefined;
  registry.hook = (request, response) => {
    if (request.headers.authorization !== "Bearer t") {
      response.setHeader("www-authenticate", `Bearer realm="http://${tokens.address}/token",service="s"`);
      fail(response, 401, "UNAUTHORIZED", "authentication required");
      return true;
    }
    if (!request.url?.includes("/blobs/")) return false;
    response.writeHead(307, { location: `http://${other.address}${request.url}` }).end();
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x:1`, { credentials: { username: "u", password: "p" } }));
  assert.match(said.at(-1) ?? "", /^Status: Downloaded/);
  assert.deepEqual(
    tokens.requests.map(({ line, authorization }) => [line, authorization]),
    [["GET /token?account=u&scope=repository%3Ax%3Apull&service=s", `Basic ${Buffer.from("u:p").toString("base64")}`]],
  );
  assert.equal(other.count(/blobs/), 1 + image.layers.length);
  assert.ok(other.requests.every(({ authorization }) => authorization === ""));
});

test("pull: a layer's foreign URL is not followed", async () => {
  await using registry = await RogueRegistry.start();
  await using other = await RogueRegistry.start();
  await using rig = await openImages();
  const layer = {
    mediaType: types.layer,
    size: 10,
    digest: `sha256:${"1".repeat(64)}`,
    urls: [`http://${other.address}/blob`],
  };
  registry.addImage("1", [Buffer.from("x")], { manifest: { layers: [layer] } });
  assert.equal(shown(await rig.pull(`${registry.address}/x:1`)).at(-1), "unknown blob");
  assert.equal(other.requests.length, 0);
});

for (const mediaType of [
  "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
]) {
  test(`pull: a non-distributable layer is refused before anything is fetched: ${mediaType}`, async () => {
    await using registry = await RogueRegistry.start();
    await using rig = await openImages();
    const layers = [{ mediaType, size: 10, digest: `sha256:${"1".repeat(64)}` }];
    registry.addImage("1", [Buffer.from("x")], { manifest: { layers } });
    const said = shown(await rig.pull(`${registry.address}/x:1`)).at(-1);
    assert.equal(said, `unsupported media type ${mediaType}: non-distributable layers are not pulled`);
    assert.equal(registry.count(/blobs/), 0);
  });
}

const answers: readonly (readonly [status: number, code: string, message: string, said: string])[] = [
  [
    403,
    "DENIED",
    "no",
    "pull access denied for R/x, repository does not exist or may require 'docker login': denied: no",
  ],
  [404, "NAME_UNKNOWN", "no", "repository R/x not found: name unknown: no"],
  [404, "MANIFEST_UNKNOWN", "no", "manifest for R/x:1 not found: manifest unknown: no"],
  [429, "TOOMANYREQUESTS", "slow down", "toomanyrequests: slow down"],
  [500, "", "", "received unexpected HTTP status: 500 Internal Server Error"],
];
for (const [status, code, message, said] of answers) {
  test(`pull: ${status} ${code} is told in Docker's words`, async () => {
    await using registry = await RogueRegistry.start();
    await using rig = await openImages();
    registry.hook = (request, response) => {
      if (!request.url?.includes("/manifests/")) return false;
      fail(response, status, code, message);
      return true;
    };
    assert.deepEqual(shown(await rig.pull(`${registry.address}/x:1`)), [said.replaceAll("R", registry.address)]);
  });
}

test("pull: 429 is told with what is left of the quota, and is not tried again", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  registry.addImage("1", [Buffer.from("a")]);
  registry.hook = (request, response) => {
    if (!request.url?.includes("/manifests/")) return false;
    response.setHeader("ratelimit-limit", "100;w=21600");
    response.setHeader("ratelimit-remaining", "0;w=21600");
    fail(response, 429, "TOOMANYREQUESTS", "You have reached your pull rate limit.");
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x:1`));
  const words = "toomanyrequests: You have reached your pull rate limit. (0 of 100 pulls left in 6 hours)";
  assert.deepEqual(said, [words]);
  assert.equal(registry.count(/GET .*manifests/), 1);
});

test("pull: a registry that asks to be left alone for a moment is asked again after it", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [Buffer.from("a")]);
  let refusals = 2;
  registry.hook = (request, response) => {
    if (!request.url?.endsWith(`/blobs/${image.layers[0]}`) || refusals-- === 0) return false;
    response.setHeader("retry-after", "2");
    fail(response, 429, "TOOMANYREQUESTS", "slow down");
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x:1`));
  const id = short(image.layers[0]);
  assert.equal(said.filter((line) => line === `${id}: Retrying in 2 seconds`).length, 2);
  assert.ok(said.at(-1)?.startsWith("Status: Downloaded newer image"), said.join("\n"));
});

test("pull: through the proxy of the environment, with its password; not where NO_PROXY says", async (context) => {
  await using registry = await RogueRegistry.start();
  const name = "registry.example:5000";
  await using rig = await openImages({ insecureRegistries: [name] });
  registry.addImage("1", [Buffer.from("a")]);
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "");
    asked.push(`${request.headers["proxy-authorization"]} ${request.url}`);
    const onward = forward(`http://${registry.address}${pathname}`, { method: request.method ?? "GET" }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.end();
  });
  proxy.on("connect", (_request, socket) => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const before = { ...process.env };
  context.after(() => {
    proxy.closeAllConnections();
    proxy.close();
    process.env = before;
  });
  const { port } = proxy.address() as AddressInfo;
  for (const scheme of ["HTTP", "HTTPS"]) process.env[`${scheme}_PROXY`] = `http://u:p@127.0.0.1:${port}`;
  const said = shown(await rig.pull(`${name}/x:1`));
  assert.equal(said.at(-1), `Status: Downloaded newer image for ${name}/x:1`);
  assert.ok(asked.includes(`Basic ${btoa("u:p")} http://${name}/v2/`), asked.join("\n"));
  process.env.NO_PROXY = "registry.example";
  assert.match(shown(await rig.pull(`${name}/x:1`)).join(), /lookup registry.example/);
});
