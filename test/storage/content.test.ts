import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { chainIdsOf, type ImageRecord } from "#storage";
import { bytesOf, digestOf, hasCode, openAt, openTestStorage, testFolder } from "./rig.ts";
import { file, tarOf } from "./tar-builder.ts";

const hello = Buffer.from("hello world");

/** What remains in content/ingest. */
const leftovers = (dataRoot: string): string[] => readdirSync(join(dataRoot, "content", "ingest"));

test("ingest: the folder is an OCI image layout with the blob under its digest", async () => {
  await using rig = await openTestStorage();
  const { content } = rig.storage;
  const blob = await content.ingest(Readable.from([hello.subarray(0, 3), hello.subarray(3)]), { mediaType: "text/x" });
  assert.deepEqual(blob, { digest: digestOf(hello), sizeBytes: 11, mediaType: "text/x" });
  const root = join(rig.dataRoot, "content");
  assert.deepEqual(readFileSync(join(root, "blobs/sha256", digestOf(hello).slice(7))), hello);
  assert.equal(readFileSync(join(root, "oci-layout"), "utf8"), '{"imageLayoutVersion":"1.0.0"}');
  await content.writeIndex([{ digest: blob.digest }]);
  assert.deepEqual(JSON.parse(readFileSync(join(root, "index.json"), "utf8")).manifests, [{ digest: blob.digest }]);
  assert.deepEqual(leftovers(rig.dataRoot), []);
});

test("ingest: a wrong digest, too few and too many bytes leave no trace", async () => {
  await using rig = await openTestStorage();
  const { content } = rig.storage;
  const other = digestOf(Buffer.from("other"));
  await assert.rejects(content.ingest(hello, { digest: other }), hasCode("EDIGEST"));
  await assert.rejects(content.ingest(hello, { sizeBytes: 12 }), hasCode("ESIZE"));
  await assert.rejects(content.ingest(hello, { sizeBytes: 10 }), hasCode("ESIZE"));
  assert.deepEqual([content.list(), leftovers(rig.dataRoot)], [[], []]);
});

test("ingest: an abort ends it, whether the stream moves or not", async () => {
  await using rig = await openTestStorage();
  const controller = new AbortController();
  const stuck = new PassThrough();
  const ingest = rig.storage.content.ingest(stuck, {}, controller.signal);
  stuck.write("some");
  controller.abort();
  await assert.rejects(ingest, { name: "AbortError" });
  assert.ok(stuck.destroyed);
  assert.deepEqual(leftovers(rig.dataRoot), []);
});

test("ingest: the same blob by ten at once is one blob", async () => {
  await using rig = await openTestStorage();
  await Promise.all(Array.from({ length: 10 }, () => rig.storage.content.ingest(hello)));
  assert.equal(rig.storage.content.list().length, 1);
  assert.deepEqual(leftovers(rig.dataRoot), []);
});

test("read: ranges, limits and blobs that are not there", async () => {
  await using rig = await openTestStorage();
  const { content } = rig.storage;
  const { digest } = await content.ingest(hello);
  assert.equal((await bytesOf(content.read(digest, { start: 6, end: 8 }))).toString(), "wor");
  assert.deepEqual(await content.readBytes(digest, 11), hello);
  await assert.rejects(content.readBytes(digest, 10), hasCode("EFBIG"));
  await assert.rejects(content.readBytes(digestOf(Buffer.from("none")), 10), hasCode("ENOENT"));
});

test("resume: what came before a failure and a restart is not asked for again", async () => {
  await using folder = testFolder();
  const digest = digestOf(hello);
  {
    await using storage = await openAt(folder.path);
    await using partial = await storage.content.resume(digest);
    await assert.rejects(partial.append(failingAfter(hello.subarray(0, 4)), {}), /cut/);
    assert.equal(partial.offset, 4);
    await assert.rejects(storage.content.resume(digest), hasCode("EBUSY"));
  }
  await using storage = await openAt(folder.path);
  await using partial = await storage.content.resume(digest);
  assert.equal(partial.offset, 4);
  const blob = await partial.append(Readable.from([hello.subarray(4)]), { sizeBytes: 11, mediaType: "text/x" });
  assert.deepEqual(blob, { digest, sizeBytes: 11, mediaType: "text/x" });
  assert.deepEqual(await storage.content.readBytes(digest, 11), hello);
});

test("resume: wrong bytes are dropped, and it can begin anew", async () => {
  await using rig = await openTestStorage();
  await using partial = await rig.storage.content.resume(digestOf(hello));
  await assert.rejects(partial.append(Readable.from([Buffer.from("HELLO")]), {}), hasCode("EDIGEST"));
  assert.equal(partial.offset, 0);
  await partial.append(Readable.from([hello]), {});
  assert.ok(rig.storage.content.has(digestOf(hello)));
});

test("collect: keeps what images and holders refer to, drops the rest", async () => {
  await using rig = await openTestStorage();
  const { content, layers, records, collect } = rig.storage;
  const config = await content.ingest(Buffer.from("{}"));
  const manifest = await content.ingest(Buffer.from("manifest"));
  const held = await content.ingest(Buffer.from("held"));
  await content.ingest(Buffer.from("garbage"));
  const layer = await rig.unpack(tarOf(file("f")));
  records.images.insert(imageOf(config.digest, layer.chainId, manifest.digest));
  layers.release(layer.chainId);
  {
    using _hold = content.hold([held.digest]);
    assert.deepEqual(await collect(), { layers: 0, blobs: 1, bytes: "garbage".length });
  }
  assert.deepEqual(await collect(), { layers: 0, blobs: 1, bytes: 4 });
  records.images.delete(config.digest);
  assert.equal((await collect()).layers, 1);
  assert.deepEqual([content.list(), layers.list()], [[], []]);
});

test("records: an image's references, children and prefixes", async () => {
  await using rig = await openTestStorage();
  const { images, references, distribution } = rig.storage.records;
  const [a, b] = [digestOf(Buffer.from("a")), digestOf(Buffer.from("b"))];
  images.insert(imageOf(a, null, null));
  images.insert(imageOf(b, null, null));
  images.setParent(b, a);
  images.setTagged(b, "2026-01-01T00:00:00Z");
  assert.deepEqual(
    [images.children(a), images.get(b).parent, images.get(b).lastTaggedAt],
    [[b], a, "2026-01-01T00:00:00Z"],
  );
  assert.deepEqual(images.findByPrefix(a.slice(7, 19)), [a]);
  references.set("127.0.0.1:5000/x/y:1", a);
  references.set(`127.0.0.1:5000/x/y@${a}`, a);
  references.set("127.0.0.1:5000/x/y:1", b);
  assert.equal(references.find("127.0.0.1:5000/x/y:1"), b);
  assert.deepEqual(references.ofRepository("127.0.0.1:5000/x/y").length, 2);
  images.delete(a);
  assert.deepEqual(references.list(), [{ reference: "127.0.0.1:5000/x/y:1", imageId: b }]);
  distribution.add(a, { digest: b, repository: "r", mediaType: undefined });
  distribution.add(a, { digest: a, repository: "r", mediaType: undefined });
  distribution.add(a, { digest: b, repository: "r", mediaType: "m" });
  assert.deepEqual(
    distribution.byDiffId(a).map((known) => known.digest),
    [b, a],
  );
  assert.deepEqual(distribution.find(b), { diffId: a, digest: b, repository: "r", mediaType: "m" });
});

test("records: documents are what was put in, and a transaction is all or nothing", async () => {
  await using rig = await openTestStorage();
  const table = rig.storage.records.documents<{ size: number }>("things");
  table.insert("one", { size: 1 });
  assert.throws(() => table.insert("one", { size: 2 }));
  assert.throws(() => table.update("two", { size: 2 }), /no things with id two/);
  const work = (): void => {
    table.upsert("one", { size: 9 });
    throw new Error("no");
  };
  assert.throws(() => rig.storage.transaction(work), /no/);
  assert.deepEqual(
    [table.get("one"), table.list(), table.delete("one"), table.find("one")],
    [{ size: 1 }, [{ size: 1 }], true, undefined],
  );
});

test("open: a second daemon on the same data root is refused, and everything is there after the first has gone", async () => {
  await using folder = testFolder();
  {
    await using first = await openAt(folder.path);
    await assert.rejects(openAt(folder.path), /in use by another minidockd/);
    first.records.documents("x").insert("a", { b: 1 });
  }
  await using again = await openAt(folder.path);
  assert.deepEqual(again.records.documents("x").get("a"), { b: 1 });
});

test("chainIdsOf: as the OCI image spec defines them", () => {
  const diffIds = ["a", "b"].map((text) => digestOf(Buffer.from(text)));
  const [first, second] = chainIdsOf(diffIds);
  assert.equal(first, diffIds[0]);
  assert.equal(second, digestOf(Buffer.from(`${diffIds[0]} ${diffIds[1]}`)));
});

async function* cutAfter(bytes: Buffer): AsyncGenerator<Buffer, void> {
  yield bytes;
  throw new Error("cut");
}
const failingAfter = (bytes: Buffer): Readable => Readable.from(cutAfter(bytes));

const imageOf = (
  id: ImageRecord["id"],
  topChainId: ImageRecord["topChainId"],
  manifestDigest: ImageRecord["manifestDigest"],
): ImageRecord => ({
  id,
  topChainId,
  manifestDigest,
  configJson: "{}",
  parent: null,
  createdAt: null,
  lastTaggedAt: null,
  sizeBytes: 0,
  isBuiltLocally: false,
});
