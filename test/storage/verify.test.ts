import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lchownSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import Sqlite from "better-sqlite3";
import { newId } from "#base/ids";
import { createLog } from "#base/log";
import { setxattr } from "#native";
import { type BlobSource, type Layer, repairStore, type Storage, subjectOf, verifyStore } from "#storage";
import { digestOf, openAt, testFolder } from "./rig.ts";
import { directory, file, symlink, tarOf } from "./tar-builder.ts";

const nowhere: BlobSource = {
  withLayer: () => Promise.reject(new Error("no registry has it")),
  fetchManifest: () => Promise.reject(new Error("no registry has it")),
};

async function faultsOf(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const fault of verifyStore(join(folder, "data"))) found.push(`${subjectOf(fault)}: ${fault.problem}`);
  return found;
}

async function repair(folder: string, source: BlobSource = nowhere): Promise<string[]> {
  const options = { dataRoot: join(folder, "data"), execRoot: join(folder, "run"), log: createLog("silent") };
  const done: string[] = [];
  for await (const { fault, failure } of repairStore(options, source))
    done.push(`${subjectOf(fault)}: ${failure ?? "mended"}`);
  return done;
}

interface Filled {
  readonly base: Layer;
  readonly top: Layer;
  readonly bytes: Buffer;
  readonly configJson: string;
}

/** One image of two layers; the upper one hides a file of the lower. */
async function fill({ content, layers, records }: Storage): Promise<Filled> {
  const bytes = tarOf(
    directory("d/"),
    file("d/a", "aaaa"),
    file("d/b", "bbbb"),
    file("implicit/c", "cccc"),
    symlink("link", "d"),
  );
  const base = await layers.apply({ parent: undefined, blob: (await content.ingest(bytes)).digest });
  const upper = tarOf(file("d/.wh.a", ""), file("top", "top"));
  const top = await layers.apply({ parent: base.chainId, blob: (await content.ingest(upper)).digest });
  const configJson = JSON.stringify({ rootfs: { diff_ids: [base.diffId, top.diffId] } });
  records.images.insert({
    id: digestOf(Buffer.from(configJson)),
    topChainId: top.chainId,
    configJson,
    parent: null,
    createdAt: null,
    lastTaggedAt: null,
    sizeBytes: base.sizeBytes + top.sizeBytes,
    isBuiltLocally: false,
    manifestDigest: null,
  });
  for (const layer of [base, top]) layers.release(layer.chainId);
  return { base, top, bytes, configJson };
}

const hexOf = (bytes: Buffer): string => digestOf(bytes).slice("sha256:".length);

async function filled(folder: string): Promise<Filled> {
  await using storage = await openAt(folder);
  return await fill(storage);
}

const filesOf = (folder: string, layer: Layer): string =>
  join(folder, "data/snapshots", `${layer.snapshotNumber}`, "fs");
const blobOf = (folder: string, layer: Layer): string =>
  join(folder, "data/content/blobs/sha256", layer.blob?.slice(7) ?? "");

/** The row without which a snapshot is an orphan. */
function recordContainer(folder: string, id: string, status: string): void {
  const database = new Sqlite(join(folder, "data/engine.db"));
  database.prepare("INSERT INTO containers VALUES (?, ?, ?)").run(id, id, JSON.stringify({ state: { status } }));
  database.close();
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

test("verify: a whole store has no fault, with the engine beside it and without", async () => {
  await using folder = testFolder();
  const storage = await openAt(folder.path);
  await fill(storage);
  await storage.snapshots.prepare(newId(), undefined);
  assert.deepEqual(await faultsOf(folder.path), []);
  await storage[Symbol.asyncDispose]();
  assert.deepEqual(await faultsOf(folder.path), []);
});

/** Changes the database behind the engine's back. */
function alter(folder: string, sql: string): void {
  const database = new Sqlite(join(folder, "data/engine.db"));
  database.exec(sql);
  database.close();
}

const alterations: Readonly<Record<string, readonly [sql: string, found: RegExp]>> = {
  "an image's config": [
    `UPDATE images SET document = replace(document, 'rootfs', 'rootfx')`,
    /^image sha256:\w+: its config has the digest sha256:/,
  ],
  "an image's size": [
    `UPDATE images SET document = json_set(document, '$.sizeBytes', 5)`,
    /^image sha256:\w+: its size is 16 and not 5 bytes/,
  ],
  "an image's layer": [
    "UPDATE images SET top_chain_id = NULL, document = json_set(document, '$.topChainId', NULL)",
    /^image sha256:\w+: its layers are not those of its config/,
  ],
  "a layer's digest": [
    "UPDATE layers SET diff_id = 'sha256:' || printf('%064d', 1)",
    /^layer .*: its row does not fit/,
  ],
  "a layer's size": ["UPDATE layers SET tar_bytes = tar_bytes + 1", /^layer .*: its row does not say how large it is/],
  "a blob's digest": ["UPDATE blobs SET digest = substr(digest, 1, 60)", /^database: invalid digest/],
  "a document": [
    "INSERT INTO documents VALUES ('network', 'n', '{\"id\":')",
    /^database: the record of network n cannot/,
  ],
  "a name": [
    "INSERT INTO image_references SELECT 'docker.io/library/a:1', 'docker.io/library/b', id FROM images",
    /^database: the name docker.io\/library\/a:1 stands with another repository/,
  ],
};

for (const [what, [sql, found]] of Object.entries(alterations)) {
  test(`verify: ${what} that the database has wrong is found`, async () => {
    await using folder = testFolder();
    await filled(folder.path);
    alter(folder.path, sql);
    assert.match((await faultsOf(folder.path))[0] ?? "", found);
  });
}

test("repair: sizes are counted again, and a config comes from where the image came from", async () => {
  await using folder = testFolder();
  const { configJson } = await filled(folder.path);
  alter(folder.path, "UPDATE layers SET tar_bytes = tar_bytes + 1");
  alter(folder.path, `UPDATE images SET document = json_set(document, '$.sizeBytes', 5, '$.configJson', '{}')`);
  const source: BlobSource = {
    ...nowhere,
    withLayer: (_digest, _homes, take) => take(Readable.from([Buffer.from(configJson)])),
  };
  const said = await repair(folder.path, source);
  assert.deepEqual(
    said.map((line) => line.replace(/^(\w+) .*:/, "$1:")),
    ["layer: mended", "layer: mended", "image: mended"],
  );
  assert.deepEqual(await faultsOf(folder.path), []);
});

test("verify: a database that is none is told, and neither verify nor the engine touch the files", async () => {
  await using folder = testFolder();
  const { base } = await filled(folder.path);
  writeFileSync(join(folder.path, "data/engine.db"), Buffer.alloc(8192, "garbage"));
  assert.deepEqual(await faultsOf(folder.path), ["database: file is not a database"]);
  await assert.rejects(openAt(folder.path), /engine.db is damaged \(file is not a database\)/);
  assert.ok(existsSync(blobOf(folder.path, base)));
});

const damages: Readonly<Record<string, (root: string) => void>> = {
  "a flipped byte": (root) => flip(join(root, "d/b"), 3),
  "a missing file": (root) => rmSync(join(root, "implicit/c")),
  "a file too many": (root) => writeFileSync(join(root, "more"), ""),
  "another owner": (root) => lchownSync(join(root, "link"), 1, 1),
  "another target": (root) => {
    unlinkSync(join(root, "link"));
    symlinkSync("e", join(root, "link"));
  },
  "an extended attribute": (root) => setxattr(join(root, "d"), "trusted.overlay.opaque", Buffer.from("y")),
  "another mode": (root) => chmodSync(join(root, "d/b"), 0o4755),
  "a missing folder": (root) => rmSync(join(root, ".."), { recursive: true }),
};

for (const [what, damage] of Object.entries(damages)) {
  test(`verify: ${what} in a layer is found, and repair unpacks the layer again`, async () => {
    await using folder = testFolder();
    const { base } = await filled(folder.path);
    damage(filesOf(folder.path, base));
    const [fault = "", ...others] = await faultsOf(folder.path);
    assert.match(fault, new RegExp(`^layer ${base.chainId}: its files are (missing|not those of its blob)$`));
    assert.deepEqual(others, []);
    assert.deepEqual(await repair(folder.path), [`layer ${base.chainId}: mended`]);
    assert.deepEqual(await faultsOf(folder.path), []);
  });
}

test("verify: every flipped byte of a blob is found", async () => {
  await using folder = testFolder();
  const { top } = await filled(folder.path);
  const path = blobOf(folder.path, top);
  const { length } = readFileSync(path);
  for (const at of [0, 1, 511, length - 1]) {
    flip(path, at);
    const faults = await faultsOf(folder.path);
    assert.match(faults.join(), new RegExp(`^blob ${top.blob}: its bytes have the digest sha256:`));
    flip(path, at);
  }
  assert.deepEqual(await faultsOf(folder.path), []);
});

test("repair: a blob that is damaged or missing comes from where it came from", async () => {
  await using folder = testFolder();
  const { base, bytes } = await filled(folder.path);
  const path = blobOf(folder.path, base);
  flip(path, 600);
  assert.deepEqual(await repair(folder.path), [`blob ${base.blob}: no registry has it`]);
  const source: BlobSource = { ...nowhere, withLayer: (_digest, _homes, take) => take(Readable.from([bytes])) };
  assert.deepEqual(await repair(folder.path, source), [`blob ${base.blob}: mended`]);
  rmSync(path);
  assert.deepEqual(await faultsOf(folder.path), [`blob ${base.blob}: its file is missing`]);
  const liar: BlobSource = {
    ...nowhere,
    withLayer: (_digest, _homes, take) => take(Readable.from([Buffer.from("x")])),
  };
  assert.match((await repair(folder.path, liar)).join(), /wrong size/);
  assert.deepEqual(await repair(folder.path, source), [`blob ${base.blob}: mended`]);
  assert.deepEqual(await faultsOf(folder.path), []);
});

test("repair: a config comes from its image's row, and a manifest of our own goes, to be written anew", async () => {
  await using folder = testFolder();
  const config = Buffer.from((await filled(folder.path)).configJson);
  const manifest = Buffer.from('{"schemaVersion":2}');
  {
    await using storage = await openAt(folder.path);
    for (const bytes of [config, manifest]) await storage.content.ingest(bytes);
    storage.records.images.setLayoutManifest(digestOf(config), digestOf(manifest));
    await storage.collect();
  }
  for (const bytes of [config, manifest]) flip(join(folder.path, "data/content/blobs/sha256", hexOf(bytes)), 0);
  const mended = [config, manifest].map((bytes) => `blob ${digestOf(bytes)}: mended`);
  assert.deepEqual((await repair(folder.path)).sort(), mended.sort());
  assert.deepEqual(await faultsOf(folder.path), []);
  await using storage = await openAt(folder.path);
  assert.deepEqual([storage.content.has(digestOf(config)), storage.content.has(digestOf(manifest))], [true, false]);
});

test("repair: a container's root can be mounted on what was unpacked again", async () => {
  await using folder = testFolder();
  const id = newId();
  const { base, top } = await filled(folder.path);
  {
    await using storage = await openAt(folder.path);
    recordContainer(folder.path, id, "exited");
    await storage.snapshots.prepare(id, top.chainId);
  }
  flip(join(filesOf(folder.path, top), "top"), 0);
  rmSync(join(filesOf(folder.path, base), "d/b"));
  assert.equal((await repair(folder.path)).length, 2);
  await using storage = await openAt(folder.path);
  await using mounted = await storage.snapshots.mount(id);
  assert.equal(readFileSync(join(mounted.path, "top"), "utf8"), "top");
  assert.deepEqual(readdirSync(join(mounted.path, "d")), ["b"]);
  assert.ok(existsSync(join(mounted.path, ".dockerenv")));
});

test("repair: a layer on which a container runs stays as it is", async () => {
  await using folder = testFolder();
  const id = newId();
  const { top } = await filled(folder.path);
  {
    await using storage = await openAt(folder.path);
    recordContainer(folder.path, id, "running");
    await storage.snapshots.prepare(id, top.chainId);
  }
  flip(join(filesOf(folder.path, top), "top"), 0);
  assert.deepEqual(await repair(folder.path), [`layer ${top.chainId}: container ${id} runs on it: stop it first`]);
});

test("repair: refuses while an engine has the store", async () => {
  await using folder = testFolder();
  await using _storage = await openAt(folder.path);
  await assert.rejects(repair(folder.path), /in use by another minidockd/);
});

test("verify: files that no row knows are told, and the next start removes them", async () => {
  await using folder = testFolder();
  await filled(folder.path);
  const orphan = join(folder.path, "data/content/blobs/sha256", "0".repeat(64));
  writeFileSync(orphan, "");
  assert.deepEqual(await faultsOf(folder.path), [`${orphan}: no row knows it`]);
  await (await openAt(folder.path))[Symbol.asyncDispose]();
  assert.deepEqual(await faultsOf(folder.path), []);
});
