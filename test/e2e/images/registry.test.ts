import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { copyFileSync, createReadStream, createWriteStream, mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { parseDigest } from "#base/ids";
import type { Descriptor } from "#registry";
import { must, run } from "#test/command";
import { startRegistry } from "#test/registry";
import { Filters } from "../../../src/engine/filters.ts";
import { lines, never, openImages, shown, tag } from "./rig.ts";
import { RogueRegistry, types } from "./rogue.ts";

/** The machine's own network: loopback ports are all that these tests need of it. */
const here = { prefix: [], name: "", daemonFlags: [], isIsolated: false, [Symbol.asyncDispose]: async () => undefined };
const everything = { force: true, prune: true };

test("push: the next push sends nothing, and what comes back is the same image", async () => {
  await using registry = await startRegistry(here);
  await using rig = await openImages();
  const name = `${registry.address}/team/app:1`;
  await rig.importBusybox(name);
  const { id } = rig.images.get(name);
  const first = shown(await rig.push(name));
  assert.deepEqual(first.slice(0, 1), [`The push refers to repository [${registry.address}/team/app]`]);
  assert.deepEqual(
    first.slice(1, -1).map((line) => line.slice(14)),
    ["Preparing", "Pushed"],
  );
  assert.match(first.at(-1) ?? "", /^1: digest: sha256:[a-f0-9]{64} size: \d+$/);
  const second = shown(await rig.push(name));
  assert.deepEqual(
    second.slice(1, -1).map((line) => line.slice(14)),
    ["Preparing", "Layer already exists"],
  );
  assert.equal(second.at(-1), first.at(-1));
  assert.match(
    await must(["skopeo", "inspect", "--tls-verify=false", "--raw", `docker://${name}`]),
    /manifest\.v2\+json/,
  );
  rig.images.delete(name, everything);
  await rig.pull(name);
  assert.equal(rig.images.get(name).id, id);
});

test("push: a sister repository's layer is mounted", async () => {
  await using registry = await startRegistry(here);
  await using rig = await openImages();
  await rig.importBusybox(`${registry.address}/a:1`);
  await rig.push(`${registry.address}/a:1`);
  rig.images.tag(`${registry.address}/a:1`, tag(`${registry.address}/b:1`));
  const said = shown(await rig.push(`${registry.address}/b:1`));
  assert.deepEqual(
    said.slice(1, -1).map((line) => line.slice(14)),
    ["Preparing", "Mounted from a"],
  );
});

for (const compression of ["gzip", "zstd"]) {
  test(`push: an OCI image with ${compression} layers goes out bit for bit as it came`, async () => {
    await using registry = await startRegistry(here);
    await using rig = await openImages();
    const layout = join(rig.folder, "layout");
    await must(["umoci", "init", "--layout", layout]);
    await must(["umoci", "new", "--image", `${layout}:1`]);
    for (const layer of ["one", "two"]) {
      await must([
        "sh",
        "-c",
        `mkdir -p ${rig.folder}/${layer}/etc && echo ${layer} >${rig.folder}/${layer}/etc/${layer}`,
      ]);
      await must(["umoci", "insert", "--image", `${layout}:1`, `${rig.folder}/${layer}/etc`, `/etc-${layer}`]);
    }
    const source = `${registry.address}/oci/app:1`;
    const plain = `dir:${rig.folder}/plain`;
    const copy = ["skopeo", "copy", "--dest-tls-verify=false"];
    await must([...copy, "--dest-decompress", `oci:${layout}:1`, plain]);
    await must([...copy, "--dest-compress-format", compression, plain, `docker://${source}`]);
    const said = shown(await rig.pull(source));
    assert.match(said.at(-1) ?? "", /^Status: Downloaded newer image/, said.join("\n"));
    rig.images.tag(source, tag(`${registry.address}/copy:1`));
    await rig.push(`${registry.address}/copy:1`);
    const raw = (name: string) => must(["skopeo", "inspect", "--tls-verify=false", "--raw", `docker://${name}`]);
    assert.equal(await raw(`${registry.address}/copy:1`), await raw(source));
  });
}

for (const [compression, compress, form, layerType] of [
  ["no", (tar: Buffer) => tar, types.oci, "application/vnd.oci.image.layer.v1.tar"],
  ["zstd", (tar: Buffer) => zstdCompressSync(tar), types.oci, "application/vnd.oci.image.layer.v1.tar+zstd"],
  ["gzip", (tar: Buffer) => gzipSync(tar), types.manifest, types.layer],
] as const) {
  test(`push: a layer that the registry has with ${compression} compression is not sent, and is called what it is`, async () => {
    await using registry = await RogueRegistry.start();
    await using rig = await openImages();
    const { layers, configDigest } = registry.addImage("1", [randomBytes(1000)], { compress });
    const name = `${registry.address}/x:1`;
    const archive = join(rig.folder, "saved.tar");
    const push = async (): Promise<string | undefined> => {
      assert.match(shown(await rig.push(name)).at(-1) ?? "", /^1: digest: /);
      return registry.manifests.get("1")?.bytes.toString();
    };
    await rig.pull(name);
    await pipeline(await rig.images.save([name], undefined, never), createWriteStream(archive));
    rig.images.delete(name, everything);
    await lines((output) => rig.images.load({ archive: createReadStream(archive), isQuiet: true }, output, never));
    await rig.storage.collect();
    const { mediaType, config, layers: named } = JSON.parse((await push()) ?? "");
    assert.deepEqual([mediaType, config.digest], [form, configDigest]);
    assert.deepEqual(
      named.map(({ mediaType, digest }: Descriptor) => [mediaType, digest]),
      [[layerType, layers[0]]],
    );
    assert.equal(registry.count(/^(PUT|PATCH) .*blobs/), 0);
    // As an older engine noted it: what it is can be seen only where it is here, as the tar that was loaded.
    const { distribution } = rig.storage.records;
    const [diffId] = rig.images.inspect(name).RootFS.Layers ?? [];
    const [known] = distribution.byDiffId(parseDigest(diffId ?? ""));
    assert.ok(known !== undefined);
    distribution.add(parseDigest(diffId ?? ""), { ...known, mediaType: undefined });
    const { mediaType: safe, layers: sent } = JSON.parse((await push()) ?? "");
    const isGzip = registry.blobs.get(sent[0].digest)?.readUInt16BE() === 0x1f8b;
    const isHere = compression === "no";
    const expected = isHere ? [form, layerType, false] : [types.manifest, types.layer, true];
    assert.deepEqual([safe, sent[0].mediaType, isGzip], expected);
  });
}

test("push: an image that came by two manifests goes to each name by its own", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const content = [randomBytes(1000)];
  const first = registry.addImage("1", content);
  const second = registry.addImage("2", content, { compress: (tar) => zstdCompressSync(tar) });
  assert.equal(first.configDigest, second.configDigest);
  const [one, two] = [`${registry.address}/x:1`, `${registry.address}/y:2`];
  await rig.pull(one);
  await rig.pull(two);
  await rig.storage.collect();
  const digests = [`${registry.address}/x@${first.manifest}`, `${registry.address}/y@${second.manifest}`];
  for (const [name, manifest] of [
    [one, first.manifest],
    [two, second.manifest],
  ] as const) {
    assert.ok(
      shown(await rig.push(name))
        .at(-1)
        ?.includes(`digest: ${manifest} `),
      name,
    );
  }
  assert.deepEqual(rig.images.inspect(one).RepoDigests, digests);
  // A registry that lost the blob gets what is here.
  registry.blobs.delete(second.layers[0] ?? "");
  assert.ok(
    shown(await rig.push(two))
      .at(-1)
      ?.includes(`digest: ${first.manifest} `),
  );
});

test("login and pull: a registry with TLS, a private CA and a password", async () => {
  const user = { name: "me", password: "secret" };
  await using registry = await startRegistry(here, { hasTls: true, user });
  const address = registry.address.replace("127.0.0.1", "localhost");
  await using rig = await openImages();
  const serverAddress = registry.address;
  const good = { username: user.name, password: user.password, serverAddress };
  assert.deepEqual(await rig.images.login({ credentials: good }, never), {
    status: "Login Succeeded",
    identityToken: "",
  });
  // Loopback may speak clear text, so that way is tried last, and its answer is what moby tells.
  await assert.rejects(rig.images.login({ credentials: { ...good, password: "wrong" } }, never), {
    message: `login attempt to http://${registry.address}/v2/ failed with status: 400 Bad Request`,
  });
  mkdirSync(join(rig.folder, "certs.d", address), { recursive: true });
  copyFileSync(registry.caFile, join(rig.folder, "certs.d", address, "ca.crt"));
  const said = shown(
    await rig.pull(`${address}/x:1`, { credentials: { username: user.name, password: user.password } }),
  );
  assert.deepEqual(said, [`manifest for ${address}/x:1 not found: manifest unknown: manifest unknown`]);
});

test("registries: they are told who asks the engine, with nothing in the name that could pass for ours", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  registry.addImage("1", [Buffer.from("a")]);
  const agents = new Set<string | undefined>();
  registry.hook = ({ headers }) => {
    agents.add(headers["user-agent"]);
    return false;
  };
  const access = { credentials: {}, client: "Docker-Client/28.2.2 (linux)" };
  await rig.images.inspectDistribution(`${registry.address}/x:1`, access, never);
  await rig.images.login({ ...access, credentials: { serverAddress: registry.address } }, never);
  assert.deepEqual([...agents], ["test UpstreamClient(Docker-Client/28.2.2 \\(linux\\))"]);
});

test("save and load: the archive is stable, other tools read it, and it comes back whole", async () => {
  await using rig = await openImages();
  await rig.importBusybox("app:1");
  rig.images.tag("app:1", tag("app:2"));
  const { id } = rig.images.get("app:1");
  const files = ["a.tar", "b.tar"].map((name) => join(rig.folder, name));
  for (const file of files) await pipeline(await rig.images.save(["app"], undefined, never), createWriteStream(file));
  const [first, second] = await Promise.all(files.map((file) => readFile(file)));
  assert.ok(first?.equals(second ?? Buffer.alloc(0)));
  const [file = ""] = files;
  assert.equal(JSON.parse(await must(["skopeo", "inspect", `docker-archive:${file}:app:1`])).Layers.length, 1);
  assert.match(await must(["skopeo", "inspect", "--config", `oci-archive:${file}:1`]), /"rootfs"/);
  rig.images.delete(id, everything);
  const load = (path: string) =>
    lines((output) => rig.images.load({ archive: createReadStream(path), isQuiet: true }, output, never));
  assert.deepEqual(shown(await load(file)), ["Loaded image: app:1\n", "Loaded image: app:2\n"]);
  assert.equal(rig.images.get("app:2").id, id);
  await must(["gzip", "-k", file]);
  rig.images.delete(id, everything);
  assert.equal(shown(await load(`${file}.gz`)).length, 2);
});

test("load: archives of other tools", async () => {
  await using rig = await openImages();
  await rig.importBusybox("app:1");
  const { id } = rig.images.get("app:1");
  const file = join(rig.folder, "a.tar");
  await pipeline(await rig.images.save(["app:1"], undefined, never), createWriteStream(file));
  rig.images.delete(id, everything);
  const load = (path: string) =>
    lines((output) => rig.images.load({ archive: createReadStream(path), isQuiet: true }, output, never));
  await must(["skopeo", "copy", `docker-archive:${file}:app:1`, `docker-archive:${rig.folder}/d.tar:tools:1`]);
  assert.deepEqual(shown(await load(`${rig.folder}/d.tar`)), ["Loaded image: tools:1\n"]);
  await must(["skopeo", "copy", `docker-archive:${file}:app:1`, `oci-archive:${rig.folder}/o.tar:docker.io/me/oci:1`]);
  assert.deepEqual(shown(await load(`${rig.folder}/o.tar`)), ["Loaded image: me/oci:1\n"]);
});

const broken: readonly (readonly [what: string, script: string, message: RegExp])[] = [
  ["no archive", "echo junk >bad.tar", /^unexpected EOF$/],
  ["a cut archive", "head -c 700000 a.tar >bad.tar", /^unexpected EOF$/],
  [
    "a wrong layer",
    "tar xf a.tar && L=$(ls -S blobs/sha256 | head -1) && tar cf blobs/sha256/$L -C /etc hostname && tar cf bad.tar blobs manifest.json",
    /^invalid diffID for layer 0: expected/,
  ],
  [
    "a missing layer",
    "tar xf a.tar && rm blobs/sha256/$(ls -S blobs/sha256 | head -1) && tar cf bad.tar blobs manifest.json",
    /no such file or directory$/,
  ],
  [
    "a manifest of null",
    "echo null >manifest.json && tar cf bad.tar manifest.json",
    /^invalid manifest, manifest cannot be null/,
  ],
  [
    "paths that climb",
    `echo '[{"Config":"../../../../etc/passwd","Layers":[]}]' >manifest.json && tar cf bad.tar manifest.json`,
    /^open etc\/passwd: no such file or directory$/,
  ],
  [
    "links that climb",
    `ln -s /etc/passwd c && echo '[{"Config":"c","Layers":[]}]' >manifest.json && tar cf bad.tar c manifest.json`,
    /no such file or directory$/,
  ],
];
test("load: a broken archive is refused and leaves nothing", async () => {
  await using rig = await openImages();
  await rig.importBusybox("app:1");
  await pipeline(await rig.images.save(["app:1"], undefined, never), createWriteStream(join(rig.folder, "a.tar")));
  rig.images.delete("app:1", everything);
  for (const [what, script, message] of broken) {
    const work = join(rig.folder, what.replaceAll(" ", "-"));
    mkdirSync(work);
    copyFileSync(join(rig.folder, "a.tar"), join(work, "a.tar"));
    const made = await run(["sh", "-c", script], { cwd: work });
    assert.equal(made.status, 0, made.stderr);
    const archive = createReadStream(join(work, "bad.tar"));
    const said = shown(await lines((output) => rig.images.load({ archive, isQuiet: true }, output, never)));
    assert.match(said.at(-1) ?? "", message, what);
    assert.equal(rig.images.count, 0, what);
  }
  await rig.storage.collect();
  assert.deepEqual([rig.storage.layers.list(), rig.storage.content.list()], [[], []]);
});

test("delete: a name first, the image with its last name", async () => {
  await using rig = await openImages();
  await rig.importBusybox("app:1");
  rig.images.tag("app:1", tag("other:1"));
  const { id, chainId } = rig.images.get("app:1");
  const options = { force: false, prune: true };
  assert.throws(() => rig.images.delete(id.slice(7, 19), options), {
    kind: "conflict",
    message: `conflict: unable to delete ${id.slice(7, 19)} (must be forced) - image is referenced in multiple repositories`,
  });
  assert.deepEqual(rig.images.delete("app:1", options), [{ Deleted: "", Untagged: "app:1" }]);
  assert.deepEqual(rig.images.delete("other:1", options), [
    { Deleted: "", Untagged: "other:1" },
    { Deleted: id, Untagged: "" },
    { Deleted: chainId, Untagged: "" },
  ]);
  assert.throws(() => rig.images.get("other:1"), { kind: "notFound", message: "No such image: other:1" });
});

test("list: filters choose by name, label, age and dangling", async () => {
  await using rig = await openImages();
  for (const name of ["a/b:1", "c:1"]) {
    const changes = [`LABEL name=${name}`];
    const request = {
      source: createReadStream(await emptyTar(rig.folder, name)),
      ref: tag(name),
      message: "",
      changes,
    };
    await rig.images.import(request, { write: () => undefined }, never);
  }
  const list = (field: string, value: string) =>
    rig.images
      .list({ all: false, sharedSize: false, filters: new Filters([[field, [value]]]) })
      .map((image) => image.RepoTags?.[0]);
  assert.deepEqual(list("reference", "a/*"), ["a/b:1"]);
  assert.deepEqual(list("reference", "c"), ["c:1"]);
  assert.deepEqual(list("label", "name=c:1"), ["c:1"]);
  assert.deepEqual(list("before", "c:1"), ["a/b:1"]);
  assert.deepEqual(list("since", "a/b:1"), ["c:1"]);
  assert.deepEqual(list("dangling", "true"), []);
  assert.throws(() => list("bogus", "1"), { kind: "invalidParameter", message: "invalid filter 'bogus'" });
  assert.throws(() => list("since", "nosuch"), { kind: "notFound", message: "No such image: nosuch:latest" });
});

async function emptyTar(folder: string, name: string): Promise<string> {
  const file = join(folder, `${name.replaceAll("/", "-")}.tar`);
  await must(["sh", "-c", `mkdir -p '${file}.d' && echo ${name} >'${file}.d/f' && tar cf '${file}' -C '${file}.d' .`]);
  return file;
}
