/** Above the watermark of the disk, blobs that a registry has are dropped, and come back when they are needed. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseDigest } from "#base/ids";
import { parseReference } from "#registry";
import { subjectOf, verifyStore } from "#storage";
import { type ImageRig, never, openImages, shown } from "./rig.ts";
import { fail, RogueRegistry } from "./rogue.ts";

/** The first one that is above the mark drops what it can; a pull ends before that. */
async function dropped(rig: ImageRig, digest: string): Promise<void> {
  const path = join(rig.folder, "data/content/blobs/sha256", digest.slice(7));
  while (existsSync(path)) await new Promise(setImmediate);
}

async function saved(rig: ImageRig, name: string): Promise<Buffer> {
  return Buffer.concat(await (await rig.images.save([name], undefined, never)).toArray());
}

test("watermark: a dropped blob is fetched again for a save, and the archive is the same", async () => {
  await using registry = await RogueRegistry.start();
  const image = registry.addImage("1", [Buffer.from("a"), Buffer.from("b")]);
  const name = `${registry.address}/x:1`;
  await using keeping = await openImages();
  await keeping.pull(name);
  await using rig = await openImages({}, 0);
  await rig.pull(name);
  for (const layer of image.layers) await dropped(rig, layer);
  for await (const fault of verifyStore(join(rig.folder, "data"))) assert.fail(`${subjectOf(fault)}: ${fault.problem}`);
  assert.deepEqual(await saved(rig, name), await saved(keeping, name));
  assert.ok(rig.storage.content.has(parseDigest(image.layers[0] ?? "")));
});

test("watermark: a push gives the digest that was pulled", async () => {
  await using registry = await RogueRegistry.start();
  const image = registry.addImage("1", [Buffer.from("a")]);
  await using rig = await openImages({}, 0);
  await rig.pull(`${registry.address}/x:1`);
  await dropped(rig, image.layers[0] ?? "");
  rig.images.tag(`${registry.address}/x:1`, { ...parseReference(`${registry.address}/x`), tag: "2" });
  registry.hook = (request, response) => {
    if (request.method !== "PUT") return false;
    response.writeHead(201).end();
    return true;
  };
  const said = shown(await rig.push(`${registry.address}/x:2`));
  assert.match(said.at(-1) ?? "", new RegExp(`^2: digest: ${image.manifest} `));
});

test("watermark: what a registry shows only to those who log in stays", async () => {
  await using registry = await RogueRegistry.start();
  const image = registry.addImage("1", [Buffer.from("a")]);
  await using rig = await openImages({}, 0);
  registry.hook = (request, response) => {
    if (request.method !== "HEAD" || !request.url?.includes("/blobs/")) return false;
    fail(response, 401, "UNAUTHORIZED", "authentication required");
    return true;
  };
  await rig.pull(`${registry.address}/x:1`);
  while (registry.count(/HEAD .*blobs/) === 0) await new Promise(setImmediate);
  // The answer is on its way: another question to the same registry takes longer than it.
  await rig.pull(`${registry.address}/x:1`);
  assert.ok(rig.storage.content.has(parseDigest(image.layers[0] ?? "")));
});
