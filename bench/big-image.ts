/**
 * An image of eight layers made of this machine's /usr: what real images hold. Kept between runs as an OCI layout for each
 * compression.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip, createZstdCompress } from "node:zlib";
import { must } from "#test/command";

export type Compression = "gzip" | "zstd";

const layerCount = 8;
const imageMb = Number(process.env.BENCH_IMAGE_MB ?? 1000);
const cache = "/var/tmp/minidock-test-cache";

/** The folder of an OCI layout with the one image `bench`. */
export async function bigImage(compression: Compression): Promise<string> {
  const layout = join(cache, `big-${imageMb}-${compression}`);
  if (existsSync(layout)) return layout;
  const work = `${layout}.new`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(join(work, "blobs", "sha256"), { recursive: true });
  const parts = await partsOfUsr();
  const layers = [];
  for (const files of parts) layers.push(await addLayer(work, files, compression));
  const config = await addDocument(work, {
    architecture: "amd64",
    os: "linux",
    config: { Cmd: ["sh"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  const manifest = await addDocument(work, {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
    layers: layers.map(({ digest, size }) => ({
      mediaType: `application/vnd.oci.image.layer.v1.tar+${compression}`,
      digest,
      size,
    })),
  });
  const described = { mediaType: "application/vnd.oci.image.manifest.v1+json", ...manifest };
  const named = { ...described, annotations: { "org.opencontainers.image.ref.name": "bench" } };
  await writeFile(join(work, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  await writeFile(join(work, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  renameSync(work, layout);
  return layout;
}

/** Lists of files, each of the size of a layer. */
async function partsOfUsr(): Promise<string[][]> {
  const limit = (imageMb * 1_000_000) / layerCount;
  const parts: string[][] = [[]];
  let sum = 0;
  for (const line of (await must(["find", "/usr", "-type", "f", "-printf", "%P\\t%s\\n"])).split("\n").sort()) {
    const [, name = "", size = "0"] = /^(.*)\t(\d+)$/.exec(line) ?? [];
    if (Number(size) > limit / 8) continue;
    if (sum > limit) {
      if (parts.length === layerCount) break;
      parts.push([]);
      sum = 0;
    }
    parts.at(-1)?.push(name);
    sum += Number(size);
  }
  if (parts.length < layerCount) throw new Error(`/usr is too small for an image of ${imageMb} MB (BENCH_IMAGE_MB)`);
  return parts;
}

interface Blob {
  readonly digest: string;
  readonly size: number;
}

async function addLayer(layout: string, files: readonly string[], compression: Compression) {
  const [list, tar, packed] = ["list", "tar", "packed"].map((name) => join(layout, name)) as [string, string, string];
  await writeFile(list, files.join("\0"));
  await must(["tar", "-C", "/usr", "--null", "--no-recursion", "-cf", tar, "-T", list], { timeoutMs: 300_000 });
  const compressor = compression === "gzip" ? createGzip() : createZstdCompress();
  await pipeline(createReadStream(tar), compressor, createWriteStream(packed));
  const [diffId, digest] = [await digestOf(tar), await digestOf(packed)];
  const { size } = await stat(packed);
  renameSync(packed, blobPath(layout, digest));
  for (const file of [list, tar]) rmSync(file);
  return { diffId, digest, size };
}

async function addDocument(layout: string, document: object): Promise<Blob> {
  const bytes = Buffer.from(JSON.stringify(document));
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  await writeFile(blobPath(layout, digest), bytes);
  return { digest, size: bytes.length };
}

const blobPath = (layout: string, digest: string): string => join(layout, "blobs", digest.replace(":", "/"));

async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return `sha256:${hash.digest("hex")}`;
}
