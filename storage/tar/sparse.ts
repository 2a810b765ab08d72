import { blockBytes, invalidHeader, type SparseMap, TarError } from "./entry.ts";
import type { RawHeader } from "./header.ts";
import { parseDecimal, parseNumber } from "./numbers.ts";
import { type PaxRecords, recordOf } from "./pax.ts";

/** As Go: a longer map is an attack on memory. */
const maxMapBytes = 1 << 20;
const oldFragmentBytes = 24;
const longestNumber = 20;

type Fragment = SparseMap["fragments"][number];

/** Formats 0.0 and 0.1 of GNU tar keep the map in the extended header. Undefined when the entry is not of these. */
export function sparseFromPax(pax: PaxRecords): SparseMap | undefined {
  const map = recordOf(pax, "GNU.sparse.map");
  const version = versionOf(pax);
  if (version === undefined ? map === undefined : !["0.0", "0.1"].includes(version)) return undefined;
  return checked(realSize(pax), pairs(map === undefined ? [] : splitNumbers(map)));
}

/** Whether the map stands in front of the data (format 1.0). */
export const hasLeadingMap = (pax: PaxRecords): boolean => versionOf(pax) === "1.0";

function versionOf(pax: PaxRecords): string | undefined {
  const [major, minor] = [recordOf(pax, "GNU.sparse.major"), recordOf(pax, "GNU.sparse.minor")];
  return major === undefined && minor === undefined ? undefined : `${major}.${minor}`;
}

function realSize(pax: PaxRecords): number {
  const text = recordOf(pax, "GNU.sparse.size") ?? recordOf(pax, "GNU.sparse.realsize");
  if (text === undefined) throw invalidHeader();
  return parseDecimal(text.toString("latin1"));
}

/** Format 1.0: the number of fragments, then each one's offset and length, in decimal lines padded to whole blocks. */
export class LeadingMap {
  /** How long the map is in the archive, so far. */
  length = 0;
  readonly #numbers: number[] = [];
  #rest = "";

  /** The whole map, when this was its last block. */
  add(block: Buffer, pax: PaxRecords): SparseMap | undefined {
    this.length += blockBytes;
    if (this.length > maxMapBytes) throw new TarError("archive/tar: sparse map too long");
    const lines = `${this.#rest}${block.toString("latin1")}`.split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (!this.#isWhole) this.#numbers.push(parseDecimal(line));
    if (this.#isWhole) return checked(realSize(pax), pairs(this.#numbers.slice(1)));
    if (this.#rest.length > longestNumber) throw invalidHeader();
    return undefined;
  }

  get #isWhole(): boolean {
    const [count] = this.#numbers;
    if (count !== undefined && count < 0) throw invalidHeader();
    return count !== undefined && this.#numbers.length === 1 + 2 * count;
  }
}

/** The old GNU format: four fragments in the header, more in blocks behind it. */
export interface OldGnuSparse {
  readonly fragments: Fragment[];
  readonly realSizeBytes: number;
  /** Another block of the map follows. */
  isExtended: boolean;
}

export function oldGnuSparse(raw: RawHeader): OldGnuSparse {
  if (raw.block.toString("latin1", 257, 263) !== "ustar ") throw invalidHeader();
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
  for (let at = 0; at + oldFragmentBytes <= table.length && table[at] !== 0; at += oldFragmentBytes) {
    const offset = parseNumber(table.subarray(at, at + 12));
    const length = parseNumber(table.subarray(at + 12, at + 24));
    sparse.fragments.push({ offset, length });
  }
  if (sparse.fragments.length * oldFragmentBytes > maxMapBytes) throw new TarError("archive/tar: sparse map too long");
}

function splitNumbers(list: Buffer): number[] {
  const numbers = list.toString("latin1").split(",").map(parseDecimal);
  if (numbers.length % 2 !== 0) throw invalidHeader();
  return numbers;
}

const pairs = (numbers: readonly number[]): Fragment[] =>
  Array.from({ length: numbers.length / 2 }, (_, at) => ({
    offset: numbers[2 * at] ?? 0,
    length: numbers[2 * at + 1] ?? 0,
  }));

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

/** The map accounts for every byte that is in the archive. */
export function checkStored(map: SparseMap, sizeBytes: number): void {
  const mapped = map.fragments.reduce((sum, { length }) => sum + length, 0);
  if (mapped > sizeBytes) throw new TarError("archive/tar: sparse file references non-existent data");
  if (mapped < sizeBytes) throw new TarError("archive/tar: sparse file contains unreferenced data");
}
