import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";

/** Makes images of a wanted shape, as archives that any engine loads. */
export interface ImageShape {
  readonly tag: string;
  /** For each layer its files' sizes. Layers of the same seed are the same. */
  readonly layers: readonly LayerShape[];
}

export interface LayerShape {
  readonly seed: string;
  readonly files: number;
  readonly bytesPerFile: number;
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

function entry(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  const numbers: readonly (readonly [number, number, number])[] = [
    [0o644, 100, 7],
    [0, 108, 7],
    [0, 116, 7],
    [content.length, 124, 11],
    [1_700_000_000, 136, 11],
  ];
  for (const [value, at, digits] of numbers) header.write(`${value.toString(8).padStart(digits, "0")}\0`, at);
  header.write("ustar\u000000", 257);
  header.write("0", 156);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

/** Half of each file is noise, so that it compresses to about half. */
function layerTar({ seed, files, bytesPerFile }: LayerShape): Buffer {
  const noise = randomBytesOf(seed, Math.ceil(bytesPerFile / 2));
  const content = (index: number): Buffer =>
    Buffer.concat([Buffer.from(`${seed} ${index}\n`), noise, Buffer.alloc(Math.floor(bytesPerFile / 2), "x")]);
  const members = Array.from({ length: files }, (_, index) => entry(`${seed}/${index}`, content(index)));
  return Buffer.concat([...members, Buffer.alloc(1024)]);
}

const noises = new Map<string, Buffer>();
function randomBytesOf(seed: string, length: number): Buffer {
  const key = `${seed} ${length}`;
  const noise = noises.get(key) ?? randomBytes(length);
  noises.set(key, noise);
  return noise;
}

/** A `docker save` archive in the file `path`. */
export function writeImage(path: string, { tag, layers }: ImageShape): void {
  const tars = layers.map(layerTar);
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: { Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: tars.map((tar) => `sha256:${sha256(tar)}`) },
    }),
  );
  const manifest = [{ Config: "config.json", RepoTags: [tag], Layers: tars.map((_, index) => `${index}.tar`) }];
  const files = [
    entry("config.json", config),
    ...tars.map((tar, index) => entry(`${index}.tar`, tar)),
    entry("manifest.json", Buffer.from(JSON.stringify(manifest))),
  ];
  writeFileSync(path, Buffer.concat([...files, Buffer.alloc(1024)]));
}
