import { pipeline, type Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { createGunzip } from "node:zlib";
import { errnoOf } from "#base/errors";
import { passing } from "../garbage.ts";
import { TruncatedError } from "./byte-input.ts";
import { unbzip2 } from "./bzip2.ts";
import { unxz } from "./xz.ts";
import { unzstd } from "./zstd.ts";

export type Compression = "none" | "gzip" | "zstd" | "bzip2" | "xz";

/** The magic numbers that moby knows (go-archive, compression.Detect). */
const magics: readonly (readonly [Compression, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b, 0x08]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];
const longestMagic = 6;
/** zlib is twice as fast with these as with its default of 16 kB, and hardly faster with larger ones. */
const chunkBytes = 1 << 18;
/** Some chunks are inflated before they are asked for: on a busy machine a thread that waits for another waits long. */
const codecOptions = { chunkSize: chunkBytes, readableHighWaterMark: 4 * chunkBytes };

/** Tells the compression by the first bytes; six are enough. */
export function detectCompression(head: Uint8Array): Compression {
  if (isSkippableFrame(head)) return "zstd";
  const found = magics.find(([, magic]) => magic.every((byte, index) => head[index] === byte));
  return found?.[0] ?? "none";
}

/** 0x184D2A50 to 0x184D2A5F: pzstd begins with one (RFC 8878, 3.1.2). */
const isSkippableFrame = (head: Uint8Array): boolean =>
  ((head[0] ?? 0) & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18;

/**
 * The uncompressed bytes of a stream, whatever its compression. Several gzip members or zstd frames are one stream.
 * Inflating runs on node's thread pool, beside whatever the caller does with the chunks.
 */
export async function* decompress(source: Readable): AsyncGenerator<Buffer, void> {
  const chunks: AsyncIterator<Buffer, undefined> = source.iterator({ destroyOnReturn: true });
  const head = await readHead(chunks);
  yield* passing(inflate(detectCompression(head), rejoin(head, chunks)));
}

function inflate(compression: Compression, source: AsyncGenerator<Buffer, void>): AsyncGenerator<Buffer, void> {
  switch (compression) {
    case "none":
      return source;
    case "gzip":
      return inGoWords(gunzip(source));
    case "zstd":
      return inGoWords(unzstd(source, codecOptions));
    case "bzip2":
      return withPauses(unbzip2(source));
    case "xz":
      return withPauses(unxz(source));
    default:
      return compression satisfies never;
  }
}

/** What is decoded in this thread lets others have their turn between its chunks. */
async function* withPauses(source: AsyncGenerator<Buffer, void>): AsyncGenerator<Buffer, void> {
  for await (const chunk of source) {
    yield chunk;
    await setImmediate();
  }
}

async function* gunzip(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const codec = createGunzip(codecOptions);
  // The error of either end destroys the codec, and the loop over it throws that error: the callback has nothing to add.
  pipeline(source, codec, () => undefined);
  yield* codec;
}

async function* inGoWords(inflated: AsyncGenerator<Buffer, void>): AsyncGenerator<Buffer, void> {
  try {
    yield* inflated;
  } catch (error) {
    throw errnoOf(error) === "Z_BUF_ERROR" ? new TruncatedError() : error;
  }
}

async function readHead(chunks: AsyncIterator<Buffer, undefined>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let length = 0; length < longestMagic; ) {
    const next = await chunks.next();
    if (next.done === true) break;
    parts.push(next.value);
    length += next.value.length;
  }
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}

async function* rejoin(head: Buffer, rest: AsyncIterator<Buffer, undefined>): AsyncGenerator<Buffer, void> {
  try {
    if (head.length > 0) yield head;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
