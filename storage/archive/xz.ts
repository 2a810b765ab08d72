/* The .xz container (tukaani.org/xz/xz-file-format.txt): streams of blocks of LZMA2, each with its check. No other filters. */
import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { ByteInput } from "./byte-input.ts";
import { Crc64 } from "./crc64.ts";
import { LzmaDecoder, XzError } from "./lzma.ts";

const magic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);
const lzma2 = 0x21;
/** What `xz -9` makes; a header could ask for 4 GB. */
const largestDictionary = 64 << 20;

/** Several streams behind one another, padded to four bytes, are one. */
export async function* unxz(source: AsyncIterator<Buffer, void>): AsyncGenerator<Buffer, void> {
  const input = new CountedInput(source);
  while (await input.hasMore()) {
    const head = await input.take(4);
    if (head.every((byte) => byte === 0)) continue;
    const rest = await input.take(8);
    if (!Buffer.concat([head, rest.subarray(0, 2)]).equals(magic)) throw new XzError("bad magic value");
    const flags = rest.subarray(2, 4);
    if (crc32(flags) !== rest.readUInt32LE(4)) throw new XzError("header checksum mismatch");
    yield* blocks(input, (flags[1] ?? 0) & 0xf);
    checkFooter(await input.take(12), flags);
  }
}

/** How long the index is stands in it too, for readers that begin at the end. */
function checkFooter(footer: Buffer, flags: Buffer): void {
  const isWhole = crc32(footer.subarray(4, 10)) === footer.readUInt32LE(0) && footer.subarray(10).toString() === "YZ";
  if (!isWhole || !footer.subarray(8, 10).equals(flags)) throw new XzError("footer mismatch");
}

async function* blocks(input: CountedInput, checkType: number): AsyncGenerator<Buffer, void> {
  for (let count = 0; ; count++) {
    const begin = input.position;
    const size = (await input.take(1))[0] ?? 0;
    if (size === 0) return readIndex(input, begin, count);
    const dictionarySize = await readBlockHeader(input, size);
    const check = checkOf(checkType);
    for await (const bytes of chunks(input, dictionarySize)) {
      check.update(bytes);
      yield bytes;
    }
    while ((input.position - begin) % 4 !== 0) if ((await input.take(1))[0] !== 0) throw new XzError("bad padding");
    if (!(await input.take(check.size)).equals(check.finish())) throw new XzError("block checksum mismatch");
  }
}

/** The size of the dictionary. */
async function readBlockHeader(input: CountedInput, size: number): Promise<number> {
  const body = await input.take((size + 1) * 4 - 1);
  const header = Buffer.concat([Buffer.from([size]), body.subarray(0, -4)]);
  if (crc32(header) !== body.readUInt32LE(body.length - 4)) throw new XzError("block header checksum mismatch");
  const flags = header[1] ?? 0;
  let at = 2;
  const number = (): number => {
    const { value, end } = readNumber(header, at);
    at = end;
    return value;
  };
  if ((flags & 0x40) !== 0) number();
  if ((flags & 0x80) !== 0) number();
  const [filter, length] = [number(), number()];
  if ((flags & 3) !== 0 || filter !== lzma2 || length !== 1) throw new XzError("a filter that is not supported");
  const bits = header[at] ?? 0;
  const dictionarySize = bits > 40 ? Number.POSITIVE_INFINITY : (2 + (bits & 1)) * 2 ** ((bits >>> 1) + 11);
  if (dictionarySize > largestDictionary) throw new XzError("it needs too much memory");
  return dictionarySize;
}

async function* chunks(input: CountedInput, dictionarySize: number): AsyncGenerator<Buffer, void> {
  const decoder = new LzmaDecoder(dictionarySize);
  for (let isFirst = true; ; isFirst = false) {
    const control = (await input.take(1))[0] ?? 0;
    if (control === 0) return;
    if (isFirst && control !== 1 && control < 0xe0) throw new XzError("a chunk that needs one before it");
    if (control === 1 || control >= 0xe0) decoder.resetDictionary();
    if (control < 3) {
      const bytes = await input.take((await input.take(2)).readUInt16BE() + 1);
      decoder.copy(bytes);
      yield bytes;
      continue;
    }
    if (control < 0x80) throw new XzError("a chunk of no known kind");
    const sizes = await input.take(4);
    if (control >= 0xc0) decoder.setProperties((await input.take(1))[0] ?? 0);
    if (control >= 0xa0) decoder.resetState();
    const length = ((control & 0x1f) << 16) + sizes.readUInt16BE(0) + 1;
    yield decoder.decode(await input.take(sizes.readUInt16BE(2) + 1), length);
  }
}

/** The sizes of blocks that have all been read and checked: their number and the checksum are of interest. */
async function readIndex(input: CountedInput, begin: number, blockCount: number): Promise<void> {
  let bytes = Buffer.from([0]);
  const number = async (): Promise<number> => {
    for (let at = bytes.length; ; ) {
      bytes = Buffer.concat([bytes, await input.take(1)]);
      if (((bytes.at(-1) ?? 0) & 0x80) === 0) return readNumber(bytes, at).value;
      if (bytes.length - at > 9) throw new XzError("a number too long");
    }
  };
  const count = await number();
  if (count !== blockCount) throw new XzError("the index has another number of blocks");
  for (let i = 0; i < count * 2; i++) {
    const start = bytes.length;
    await number();
    // A thousand blocks need 10 kB; nobody keeps megabytes of it in memory for a sum.
    if (start > 1 << 16) throw new XzError("the index is too long");
  }
  while ((input.position - begin) % 4 !== 0) bytes = Buffer.concat([bytes, await input.take(1)]);
  if ((await input.take(4)).readUInt32LE() !== crc32(bytes)) throw new XzError("index checksum mismatch");
}

/** Seven bits a byte, least significant first. */
function readNumber(bytes: Uint8Array, start: number): { value: number; end: number } {
  let value = 0;
  for (let at = start; at < start + 9; at++) {
    const byte = bytes[at];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if ((byte & 0x80) === 0) return { value, end: at + 1 };
  }
  throw new XzError("a number without an end");
}

interface BlockCheck {
  readonly size: number;
  update(bytes: Uint8Array): void;
  finish(): Buffer;
}

function checkOf(type: number): BlockCheck {
  switch (type) {
    case 0:
      return { size: 0, update: () => undefined, finish: () => Buffer.alloc(0) };
    case 1:
      return new Crc32Check();
    case 4:
      return new Crc64();
    case 10:
      return new Sha256Check();
    default:
      throw new XzError("a check that is not supported");
  }
}

class Crc32Check implements BlockCheck {
  readonly size = 4;
  #sum = 0;
  update(bytes: Uint8Array): void {
    this.#sum = crc32(bytes, this.#sum);
  }
  finish(): Buffer {
    const sum = Buffer.alloc(4);
    sum.writeUInt32LE(this.#sum);
    return sum;
  }
}

class Sha256Check implements BlockCheck {
  readonly size = 32;
  readonly #hash: Hash = createHash("sha256");
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }
  finish(): Buffer {
    return this.#hash.digest();
  }
}

class CountedInput {
  readonly #input: ByteInput;
  position = 0;
  constructor(source: AsyncIterator<Buffer, void>) {
    this.#input = new ByteInput(source);
  }
  async hasMore(): Promise<boolean> {
    return (await this.#input.fill(1)).length > 0;
  }
  async take(length: number): Promise<Buffer> {
    const bytes = await this.#input.take(length);
    this.position += length;
    return bytes;
  }
}
