import { newId } from "#base/ids";
import { createLog } from "#base/log";
import { openStorage } from "#storage";
import { directory, file, tarOf } from "./tar-builder.ts";

/* Fills and empties a store until it is killed. What it reports as done must be there afterwards. */

const [, , folder = ""] = process.argv;
const storage = await openStorage({ dataRoot: `${folder}/data`, execRoot: `${folder}/run`, log: createLog("silent") });
const { content, layers, snapshots, records } = storage;

async function round(number: number): Promise<void> {
  const tar = tarOf(
    directory("d/"),
    ...Array.from({ length: 40 }, (_, index) => file(`d/${index}`, `${number} ${process.pid}`)),
  );
  const config = await content.ingest(Buffer.from(`{"round":"${number} ${process.pid}"}`));
  const { digest } = await content.ingest(tar);
  const layer = await layers.apply({ parent: undefined, blob: digest });
  const top = await layers.apply({
    parent: layer.chainId,
    blob: (await content.ingest(tarOf(file("top", `${number}`)))).digest,
  });
  records.images.insert({
    id: config.digest,
    topChainId: top.chainId,
    configJson: "{}",
    parent: null,
    createdAt: null,
    lastTaggedAt: null,
    sizeBytes: 0,
    isBuiltLocally: false,
    manifestDigest: null,
  });
  layers.release(layer.chainId);
  layers.release(top.chainId);
  const container = newId();
  await snapshots.prepare(container, top.chainId);
  if (number % 2 === 0) {
    process.send?.(config.digest);
    return;
  }
  snapshots.remove(container);
  records.images.delete(config.digest);
  layers.release(top.chainId);
  await storage.collect();
}

process.send?.("open");
for (let number = 0; ; number++) await round(number);
