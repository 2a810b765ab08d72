import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseDigest } from "#base/ids";
import { bytesOf, digestOf, openAt, testFolder } from "./rig.ts";

const rounds = 12;

/** Every row has its files, every file its row, every byte its digest. */
async function verify(folder: string, reported: ReadonlySet<string>): Promise<void> {
  await using storage = await openAt(folder);
  const { content, layers, records } = storage;
  for (const id of reported)
    assert.ok(records.images.find(parseDigest(id)) !== undefined, `image ${id} was reported done`);
  for (const image of records.images.list()) assert.ok(content.has(image.id));
  const blobs = content.list();
  assert.deepEqual(
    readdirSync(join(folder, "data/content/blobs/sha256")).sort(),
    blobs.map(({ digest }) => digest.slice(7)),
  );
  for (const { digest, sizeBytes } of blobs) assert.equal(digestOf(await content.readBytes(digest, sizeBytes)), digest);
  for (const layer of layers.list()) assert.equal(digestOf(await bytesOf(layers.tar(layer.chainId))), layer.diffId);
  const folders = readdirSync(join(folder, "data/snapshots")).filter((name) => name !== "empty");
  // Containers were never recorded, so their snapshots are orphans and went at start.
  assert.deepEqual(
    folders.map(Number).sort(),
    layers
      .list()
      .map((layer) => layer.snapshotNumber)
      .sort(),
  );
  assert.deepEqual(readdirSync(join(folder, "data/content/ingest")), []);
  for (const layer of layers.list()) {
    const files = readdirSync(join(folder, "data/snapshots", `${layer.snapshotNumber}`, "fs"), { recursive: true });
    assert.equal(files.length, layer.parent === undefined ? 41 : 1);
  }
}

test("kill -9 at any moment: what was reported done is there, and nothing else is left", async () => {
  await using folder = testFolder();
  const reported = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    const child = fork(fileURLToPath(new URL("./crash-child.ts", import.meta.url)), [folder.path]);
    await once(child, "message");
    child.on("message", (id) => reported.add(String(id)));
    // The moment is the case, not a wait for something: each round dies somewhere else. The last one has done something.
    await (round < rounds - 1 ? delay(20 + round * 47) : once(child, "message"));
    child.kill("SIGKILL");
    await once(child, "close");
    await verify(folder.path, reported);
  }
  assert.ok(reported.size > 0);
});
