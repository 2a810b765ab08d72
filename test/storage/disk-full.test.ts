import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { mount, umount2 } from "#native";
import { hasCode, openAt, testFolder } from "./rig.ts";
import { file, tarOf } from "./tar-builder.ts";

test("a full disk: a clear error in Go's words, nothing half-recorded, and it works again when there is space", async () => {
  await using folder = testFolder();
  mount({ source: "tmpfs", target: folder.path, type: "tmpfs", options: "size=24m" });
  using _mounted = { [Symbol.dispose]: () => umount2(folder.path, 2) };
  await using storage = await openAt(folder.path);
  const { content, layers } = storage;
  const big = tarOf(file("small"), file("dir/big", Buffer.alloc(13 << 20, "b")));
  const { digest } = await content.ingest(big);
  const failed = layers.apply({ parent: undefined, blob: digest });
  await assert.rejects(failed, { code: "ENOSPC", message: "write /dir/big: no space left on device" });
  await assert.rejects(content.ingest(Buffer.alloc(20 << 20)), hasCode("ENOSPC"));
  assert.deepEqual(layers.list(), []);
  assert.deepEqual(readdirSync(join(folder.path, "data/content/ingest")), []);
  assert.equal(content.list().length, 1);
  await content.delete(digest);
  const layer = await layers.apply({ parent: undefined, blob: (await content.ingest(tarOf(file("f")))).digest });
  assert.deepEqual(layers.release(layer.chainId), [layer.chainId]);
});
