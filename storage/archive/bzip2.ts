/*
 * bzip2 as Julian Seward's program writes it: blocks of Huffman-coded, move-to-front, Burrows-Wheeler sorted bytes. Node has no
 * codec for it, and no program of the host is run on bytes from outside.
 */
import { ByteInput, TruncatedError } from "./byte-input.ts";

class Bzip2Error extends Error {
  readonly code = "EBADTAR";
  constructor(what: string) {
    super(`bzip2 data invalid: ${what}`);
    this.name = "Bzip2Error";
  }
}

const blockMagic = 0x314159265359;
const endMagic = 0x177245385090;
/** No block is longer: 900 000 symbols of 20 bits, and the tables. */
const longestBlock = 2_400_000;
const groupSize = 50;
const longestCode = 20;

/** Several streams behind one another are one. */
export async function* unbzip2(source: AsyncIterator<Buffer, void>): AsyncGenerator<Buffer, void> {
  const input = new ByteInput(source);
  for (let head = await input.fill(4); head.length > 0; head = await input.fill(4)) {
    const level = (head[3] ?? 0) - 0x30;
    if (head.length < 4) throw new TruncatedError();
    if (head.toString("latin1", 0, 3) !== "BZh" || level < 1 || level > 9) throw new Bzip2Error("bad magic value");
    yield* unbzip2Stream(input, level * 100_000);
  }
}

async function* unbzip2Stream(input: ByteInput, blockSize: number): AsyncGenerator<Buffer, void> {
  // The bits of a block begin where those of the last one end, inside a byte.
  let [skip, bit] = [4, 0];
  const sorted = new Uint32Array(blockSize);
  for (let sum = 0; ; ) {
    input.skip(skip);
    const bits = new BitReader(await input.fill(longestBlock), bit);
    const magic = bits.read(24) * 0x1000000 + bits.read(24);
    const expected = bits.read32();
    if (magic === endMagic) {
      if (expected !== sum >>> 0) throw new Bzip2Error("file checksum mismatch");
      input.skip(bits.endByte);
      return;
    }
    if (magic !== blockMagic) throw new Bzip2Error("bad magic value found");
    const bytes = readBlock(bits, sorted);
    const found = checksum(bytes);
    if (found !== expected) throw new Bzip2Error("block checksum mismatch");
    sum = ((sum << 1) | (sum >>> 31)) ^ found;
    yield bytes;
    [skip, bit] = [bits.position >>> 3, bits.position & 7];
  }
}

/** Most significant bit first. */
class BitReader {
  readonly #bytes: Uint8Array;
  position: number;

  constructor(bytes: Uint8Array, position: number) {
    this.#bytes = bytes;
    this.position = position;
  }

  get endByte(): number {
    return (this.position + 7) >>> 3;
  }

  /** Up to 24 bits. */
  read(count: number): number {
    let value = 0;
    let left = count;
    while (left > 0) {
      const byte = this.#bytes[this.position >>> 3];
      if (byte === undefined) throw new TruncatedError();
      const free = 8 - (this.position & 7);
      const taken = Math.min(free, left);
      value = (value << taken) | ((byte >>> (free - taken)) & ((1 << taken) - 1));
      this.position += taken;
      left -= taken;
    }
    return value;
  }

  read32(): number {
    return ((this.read(16) << 16) | this.read(16)) >>> 0;
  }
}

function readBlock(bits: BitReader, sorted: Uint32Array): Buffer {
  if (bits.read(1) === 1) throw new Bzip2Error("deprecated randomized files");
  const origin = bits.read(24);
  const symbols = readSymbols(bits);
  const groups = bits.read(3);
  if (groups < 2 || groups > 6) throw new Bzip2Error("invalid number of Huffman trees");
  const selectors = readSelectors(bits, groups);
  const tables = Array.from({ length: groups }, () => readTable(bits, symbols.length + 2));
  const counts = new Uint32Array(256);
  const length = readCodes(bits, { symbols, selectors, tables, sorted, counts });
  if (origin >= length) throw new Bzip2Error("pointer out of bounds");
  return unrun(unsort(sorted, counts, length, origin), length);
}

function readSymbols(bits: BitReader): number[] {
  const used = bits.read(16);
  const symbols: number[] = [];
  for (let high = 0; high < 16; high++) {
    if ((used & (0x8000 >>> high)) === 0) continue;
    const map = bits.read(16);
    for (let low = 0; low < 16; low++) if ((map & (0x8000 >>> low)) !== 0) symbols.push(high * 16 + low);
  }
  if (symbols.length === 0) throw new Bzip2Error("no symbols in input");
  return symbols;
}

function readSelectors(bits: BitReader, groups: number): Uint8Array {
  const selectors = new Uint8Array(bits.read(15));
  const order = Array.from({ length: groups }, (_, index) => index);
  for (let i = 0; i < selectors.length; i++) {
    let at = 0;
    while (bits.read(1) === 1) if (++at >= groups) throw new Bzip2Error("tree index too large");
    const [selected = 0] = order.splice(at, 1);
    order.unshift(selected);
    selectors[i] = selected;
  }
  return selectors;
}

/** A canonical Huffman code: for each length the last code of it, and where its symbols begin. */
interface Table {
  readonly limits: Int32Array;
  readonly offsets: Int32Array;
  readonly order: Uint16Array;
}

function readTable(bits: BitReader, size: number): Table {
  const lengths = new Uint8Array(size);
  let length = bits.read(5);
  for (let symbol = 0; symbol < size; symbol++) {
    for (;;) {
      if (length < 1 || length > longestCode) throw new Bzip2Error("Huffman length out of range");
      if (bits.read(1) === 0) break;
      length += bits.read(1) === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  const limits = new Int32Array(longestCode + 1).fill(-1);
  const offsets = new Int32Array(longestCode + 1);
  const order = new Uint16Array(size);
  let [code, at] = [0, 0];
  for (let bit = 1; bit <= longestCode; bit++) {
    offsets[bit] = at - code;
    for (let symbol = 0; symbol < size; symbol++) {
      if (lengths[symbol] !== bit) continue;
      order[at++] = symbol;
      code++;
    }
    limits[bit] = code - 1;
    code <<= 1;
  }
  return { limits, offsets, order };
}

function readCode(bits: BitReader, { limits, offsets, order }: Table): number {
  let code = 0;
  for (let length = 1; length <= longestCode; length++) {
    code = (code << 1) | bits.read(1);
    const last = limits[length] ?? -1;
    if (code > last) continue;
    return order[code + (offsets[length] ?? 0)] ?? 0;
  }
  throw new Bzip2Error("invalid Huffman code");
}

interface Codes {
  readonly symbols: readonly number[];
  readonly selectors: Uint8Array;
  readonly tables: readonly Table[];
  readonly sorted: Uint32Array;
  readonly counts: Uint32Array;
}

/** Undoes the Huffman code, the runs and the move to front; says how many bytes there are. */
function readCodes(bits: BitReader, { symbols, selectors, tables, sorted, counts }: Codes): number {
  const front = Uint8Array.from(symbols);
  const end = symbols.length + 1;
  let [length, group, left, run, weight] = [0, 0, 0, 0, 1];
  let table = tables[0];
  const put = (byte: number, times: number): void => {
    if (length + times > sorted.length) throw new Bzip2Error("data exceeds block size");
    sorted.fill(byte, length, length + times);
    length += times;
    counts[byte] = (counts[byte] ?? 0) + times;
  };
  for (;;) {
    if (left === 0) {
      table = tables[selectors[group++] ?? tables.length];
      if (table === undefined) throw new Bzip2Error("insufficient selector indices");
      left = groupSize;
    }
    left--;
    const code = table === undefined ? end : readCode(bits, table);
    if (code <= 1) {
      run += weight << code;
      weight <<= 1;
      if (run > sorted.length) throw new Bzip2Error("repeat count too large");
      continue;
    }
    if (run > 0) put(front[0] ?? 0, run);
    [run, weight] = [0, 1];
    if (code === end) return length;
    const byte = front[code - 1] ?? 0;
    front.copyWithin(1, 0, code - 1);
    front[0] = byte;
    put(byte, 1);
  }
}

/** The inverse of the Burrows-Wheeler transform: each entry gets the place of its successor in its upper bits. */
function unsort(sorted: Uint32Array, counts: Uint32Array, length: number, origin: number): Uint8Array {
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = counts[byte] ?? 0;
    counts[byte] = sum;
    sum += count;
  }
  for (let i = 0; i < length; i++) {
    const byte = (sorted[i] ?? 0) & 0xff;
    const place = counts[byte] ?? 0;
    counts[byte] = place + 1;
    sorted[place] = ((sorted[place] ?? 0) | (i << 8)) >>> 0;
  }
  const bytes = new Uint8Array(length);
  let next = (sorted[origin] ?? 0) >>> 8;
  for (let i = 0; i < length; i++) {
    const entry = sorted[next] ?? 0;
    bytes[i] = entry & 0xff;
    next = entry >>> 8;
  }
  return bytes;
}

/** Four equal bytes are followed by how many more of them there are. */
function unrun(bytes: Uint8Array, length: number): Buffer {
  let output = Buffer.allocUnsafe(Math.max(length * 2, 1 << 16));
  let [at, same, last] = [0, 0, -1];
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] ?? 0;
    const times = same === 4 ? byte : 1;
    if (at + times > output.length) output = Buffer.concat([output, Buffer.allocUnsafe(output.length)]);
    if (same === 4) {
      output.fill(last, at, at + times);
      same = 0;
      at += times;
      continue;
    }
    output[at++] = byte;
    same = byte === last ? same + 1 : 1;
    last = byte;
  }
  return output.subarray(0, at);
}

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit++) value = value < 0 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value >>> 0;
});

/** CRC-32, most significant bit first. */
function checksum(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum << 8) ^ (table[(sum >>> 24) ^ byte] ?? 0);
  return ~sum >>> 0;
}
