import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { test } from "node:test";
import { decompress } from "#storage";
import { bytesOf, openTestStorage } from "./rig.ts";
import { file, tarOf } from "./tar-builder.ts";

const plain = Buffer.concat([
  Buffer.from("some text that comes again and again. ".repeat(4000)),
  randomBytes(50_000),
  Buffer.alloc(300_000),
  Buffer.from(Array.from({ length: 2000 }, (_, n) => `line ${n * n}\n`).join("")),
]);

const run = (command: string, input: Buffer): Buffer => execFileSync("sh", ["-c", command], { input });
/** In odd pieces: no codec may count on where chunks end. */
const pieces = (bytes: Buffer, size: number): Readable =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size)),
  );
const opened = (bytes: Buffer, size = 1 << 16): Promise<Buffer> => bytesOf(decompress(pieces(bytes, size)));

const programs: readonly string[] = [
  "gzip",
  "gzip -1",
  "zstd",
  "bzip2",
  "bzip2 -1",
  "xz",
  "xz -0 --check=crc32",
  "xz -9e --check=sha256",
  "xz --check=none",
  "xz --block-size=64KiB",
  "xz --lzma2=lc=0,lp=2,pb=0",
  "xz --lzma2=lc=0,lp=0,pb=4",
];

for (const program of programs) {
  test(`decompress: what ${program} wrote, alone, twice, empty and in small pieces`, async () => {
    const packed = run(program, plain);
    assert.ok((await opened(packed)).equals(plain));
    assert.ok((await opened(Buffer.concat([packed, packed]))).equals(Buffer.concat([plain, plain])));
    assert.equal((await opened(run(program, Buffer.alloc(0)))).length, 0);
    assert.ok((await opened(packed, 977)).equals(plain));
  });
}

for (const program of ["bzip2", "xz", "xz --check=crc32"]) {
  test(`decompress: of ${program}, cuts and flipped bytes give an error or the right bytes`, async () => {
    const small = Buffer.concat([Buffer.from("text ".repeat(200)), randomBytes(200)]);
    const packed = run(program, small);
    let errors = 0;
    for (let at = 0; at < packed.length; at++) {
      const damaged = Buffer.from(packed);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      const result = await opened(damaged).catch((error: unknown) => error);
      if (!Buffer.isBuffer(result)) errors++;
      // With a damaged magic number it is something else, and passed on as it is.
      else assert.ok(result.equals(small) || result.equals(damaged), `byte ${at} of ${packed.length}`);
      if (at > 6) await assert.rejects(opened(packed.subarray(0, at)), `cut at ${at}`);
    }
    assert.ok(errors > packed.length * 0.9, `${errors} of ${packed.length}`);
  });
}

test("xz: a dictionary of gigabytes is refused before it is made", async () => {
  const packed = run("xz --lzma2=preset=0,dict=1GiB", Buffer.from("x"));
  await assert.rejects(opened(packed), { message: "xz data invalid: it needs too much memory" });
});

test("layers: xz and bzip2 unpack as gzip does", async () => {
  await using rig = await openTestStorage();
  const tar = tarOf(file("a", plain));
  const layers = [];
  for (const program of ["gzip", "xz", "bzip2"]) layers.push(await rig.unpack(run(program, tar)));
  assert.equal(new Set(layers.map(({ diffId }) => diffId)).size, 1);
});
