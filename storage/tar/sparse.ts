import { blockBytes, invalidHeader, type SparseMap } from "./entry.ts";
import type { RawHeader } from "./header.ts";
import { parseDecimal, parseNumber } from "./numbers.ts";
import type { PaxRecords } from "./pax.ts";

/** More fragments than this is an attack on memory: a file has at most one per block. */
const maxFragments = 1 << 20;

type Fragment = SparseMap["fragments"][number];

/** Formats 0.0 and 0.1 of GNU tar keep the map in the extended header. Undefined when the entry is not of these. */
export function sparseFromPax(pax: PaxRecords): SparseMap | undefined {
  const size = pax.get("GNU.sparse.size");
  if (size === undefined || pax.has("GNU.sparse.major")) return undefined;
  const realSizeBytes = decimal(size);
  const map = pax.get("GNU.sparse.map");
  if (map !== undefined) return checked(realSizeBytes, pairs(splitNumbers(map)));
  const [offsets, lengths] = [pax.get("GNU.sparse.offset"), pax.get("GNU.sparse.numbytes")];
  if (offsets === undefined || lengths === undefined) return checked(realSizeBytes, []);
  return checked(realSizeBytes, zip(splitNumbers(offsets), splitNumbers(lengths)));
}

/** Whether the map stands in front of the data (format 1.0). */
export const hasLeadingMap = (pax: PaxRecords): boolean =>
  pax.get("GNU.sparse.major")?.toString("latin1") === "1" && pax.has("GNU.sparse.realsize");

/** Format 1.0: decimal lines, padded to whole blocks. Undefined while `data` does not hold all of it. */
export function leadingMap(data: Buffer, pax: PaxRecords): { map: SparseMap; length: number } | undefined {
  const numbers: number[] = [];
  let at = 0;
  for (let wanted = 1; numbers.length < wanted; ) {
    const end = data.indexOf(0x0a, at);
    if (end === -1) return undefined;
    numbers.push(parseDecimal(data.toString("latin1", at, end)));
    at = end + 1;
    if (numbers.length === 1) wanted += 2 * checkedCount(numbers[0] ?? 0);
  }
  const realSize = pax.get("GNU.sparse.realsize") ?? Buffer.alloc(0);
  const length = Math.ceil(at / blockBytes) * blockBytes;
  return { map: checked(decimal(realSize), pairs(numbers.slice(1))), length };
}

function checkedCount(count: number): number {
  if (count < 0 || count > maxFragments) throw invalidHeader();
  return count;
}

/** The old GNU format: four fragments in the header, more in blocks behind it. */
export interface OldGnuSparse {
  readonly fragments: Fragment[];
  readonly realSizeBytes: number;
  /** Another block of the map follows. */
  isExtended: boolean;
}

export function oldGnuSparse(raw: RawHeader): OldGnuSparse {
  const sparse: OldGnuSparse = {
    fragments: [],
    realSizeBytes: parseNumber(raw.block.subarray(483, 495)),
    isExtended: raw.block[482] !== 0,
  };
  readFragments(sparse, raw.block.subarray(386, 482));
  return sparse;
}

export function extendOldGnuSparse(sparse: OldGnuSparse, block: Buffer): void {
  sparse.isExtended = block[504] !== 0;
  readFragments(sparse, block.subarray(0, 504));
}

export const finishOldGnuSparse = (sparse: OldGnuSparse): SparseMap => checked(sparse.realSizeBytes, sparse.fragments);

function readFragments(sparse: OldGnuSparse, table: Buffer): void {
  for (let at = 0; at + 24 <= table.length && table[at] !== 0; at += 24) {
    const offset = parseNumber(table.subarray(at, at + 12));
    const length = parseNumber(table.subarray(at + 12, at + 24));
    sparse.fragments.push({ offset, length });
  }
  if (sparse.fragments.length > maxFragments) throw invalidHeader();
}

const decimal = (text: Buffer): number => parseDecimal(text.toString("latin1"));

function splitNumbers(list: Buffer): number[] {
  const numbers = list.toString("latin1").split(",").map(parseDecimal);
  checkedCount(numbers.length / 2);
  return numbers;
}

const pairs = (numbers: readonly number[]): Fragment[] =>
  zip(
    numbers.filter((_, index) => index % 2 === 0),
    numbers.filter((_, index) => index % 2 === 1),
  );

function zip(offsets: readonly number[], lengths: readonly number[]): Fragment[] {
  if (offsets.length !== lengths.length) throw invalidHeader();
  return offsets.map((offset, index) => ({ offset, length: lengths[index] ?? 0 }));
}

/** In order, without overlap, inside the file (Go: validateSparseEntries). */
function checked(realSizeBytes: number, fragments: readonly Fragment[]): SparseMap {
  let end = 0;
  for (const { offset, length } of fragments) {
    if (length < 0 || offset < end || offset + length > realSizeBytes) throw invalidHeader();
    end = offset + length;
  }
  if (realSizeBytes < 0) throw invalidHeader();
  return { realSizeBytes, fragments };
}

export const storedBytes = (map: SparseMap): number => map.fragments.reduce((sum, { length }) => sum + length, 0);
