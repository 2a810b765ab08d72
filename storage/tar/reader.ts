import { blockBytes, invalidHeader, type SparseMap, type TarEntry, TarError, unexpectedEnd } from "./entry.ts";
import { bodySize, type Overrides, parseHeader, type RawHeader, resolveEntry } from "./header.ts";
import { type PaxRecords, parsePax } from "./pax.ts";
import {
  checkStored,
  extendOldGnuSparse,
  finishOldGnuSparse,
  hasLeadingMap,
  LeadingMap,
  type OldGnuSparse,
  oldGnuSparse,
  sparseFromPax,
} from "./sparse.ts";

/** Where a tar's contents go. All calls are synchronous, in the archive's order. */
export interface TarSink {
  entry(entry: TarEntry): void;
  /** A part of the last entry's bytes. The buffer is the caller's again when this returns. */
  data(chunk: Buffer): void;
  /** All bytes of the last entry have come. */
  entryEnd(): void;
}

/** Go's maxSpecialFileSize: extended headers and long names above this are an attack on memory. */
const maxMetadataBytes = 1 << 20;

type State =
  | { readonly at: "header" }
  | { readonly at: "sparse-header"; readonly raw: RawHeader; readonly sparse: OldGnuSparse }
  | { readonly at: "metadata"; readonly raw: RawHeader; readonly parts: Buffer[]; left: number }
  | { readonly at: "sparse-map"; readonly raw: RawHeader; readonly map: LeadingMap; left: number }
  | { readonly at: "body"; left: number }
  | { readonly at: "padding"; left: number }
  | { readonly at: "end" };

/**
 * A tar parser that is fed: ustar, pax (POSIX) and GNU, as Go's archive/tar reads them. Own code, because tar-stream decodes
 * pax values as UTF-8 (file capabilities and names that are not would be destroyed), knows no sparse files, and needs a
 * promise for every entry.
 */
export class TarReader {
  readonly #sink: TarSink;
  #state: State = { at: "header" };
  /** Bytes of a block that has not come whole yet. */
  #rest = Buffer.alloc(0);
  #zeroBlocks = 0;
  #pax: PaxRecords = new Map();
  #longName: Buffer | undefined;
  #longLink: Buffer | undefined;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** Whether the end marker has been read. What comes after it is padding and is not looked at. */
  get hasEnded(): boolean {
    return this.#state.at === "end";
  }

  write(chunk: Buffer): void {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = Buffer.alloc(0);
    while (data.length > 0 && this.#state.at !== "end") {
      const used = this.#step(data);
      if (used === 0) break;
      data = data.subarray(used);
    }
    if (this.#state.at !== "end") this.#rest = Buffer.from(data);
  }

  /** No more bytes come. An archive may lack its end marker, but not the end of an entry. */
  end(): void {
    const { at } = this.#state;
    const isBetween = at === "end" || at === "header" || at === "padding";
    if (!isBetween || this.#rest.length > 0) throw unexpectedEnd();
  }

  /** Takes what it can from `data`, returns how much that was; 0 when it needs more. */
  #step(data: Buffer): number {
    const state = this.#state;
    switch (state.at) {
      case "header":
      case "sparse-header":
        return this.#takeBlock(data);
      case "metadata":
        return this.#takeMetadata(state, data);
      case "sparse-map":
        return this.#takeSparseMap(state, data);
      case "body":
        return this.#takeBody(state, data);
      case "padding":
        return this.#takePadding(state, data);
      case "end":
        return data.length;
      default:
        return state satisfies never;
    }
  }

  #takeBlock(data: Buffer): number {
    if (data.length < blockBytes) return 0;
    const block = data.subarray(0, blockBytes);
    const state = this.#state;
    if (state.at === "sparse-header") this.#extend(state.raw, state.sparse, block);
    else if (isZero(block)) this.#endMarker();
    else if (this.#zeroBlocks > 0) throw invalidHeader();
    else this.#header(parseHeader(block));
    return blockBytes;
  }

  #endMarker(): void {
    this.#zeroBlocks++;
    if (this.#zeroBlocks === 2) this.#state = { at: "end" };
  }

  #header(raw: RawHeader): void {
    if (!"xgLK".includes(raw.typeflag)) {
      if (raw.typeflag === "S") this.#extend(raw, oldGnuSparse(raw), undefined);
      else if (hasLeadingMap(this.#pax)) this.#beginSparseMap(raw);
      else this.#emit(raw, sparseFromPax(this.#pax));
      return;
    }
    if (raw.sizeBytes < 0 || raw.sizeBytes > maxMetadataBytes) throw new TarError("archive/tar: header field too long");
    this.#state = { at: "metadata", raw, parts: [], left: raw.sizeBytes };
    if (raw.sizeBytes === 0) this.#metadata(raw, Buffer.alloc(0));
  }

  #extend(raw: RawHeader, sparse: OldGnuSparse, block: Buffer | undefined): void {
    if (block !== undefined) extendOldGnuSparse(sparse, block);
    if (sparse.isExtended) this.#state = { at: "sparse-header", raw, sparse };
    else this.#emit(raw, finishOldGnuSparse(sparse));
  }

  #takeMetadata(state: State & { at: "metadata" }, data: Buffer): number {
    const part = data.subarray(0, Math.min(state.left, data.length));
    state.parts.push(Buffer.from(part));
    state.left -= part.length;
    if (state.left === 0) this.#metadata(state.raw, Buffer.concat(state.parts));
    return part.length;
  }

  #metadata(raw: RawHeader, bytes: Buffer): void {
    if (raw.typeflag === "x") this.#pax = parsePax(bytes);
    if (raw.typeflag === "L") this.#longName = untilNul(bytes);
    if (raw.typeflag === "K") this.#longLink = untilNul(bytes);
    // A global header is read and ignored, as moby does.
    if (raw.typeflag === "g") parsePax(bytes);
    this.#pad(raw.sizeBytes);
  }

  #beginSparseMap(raw: RawHeader): void {
    const left = bodySize(raw, this.#pax);
    if (left < blockBytes) throw unexpectedEnd();
    this.#state = { at: "sparse-map", raw, map: new LeadingMap(), left };
  }

  #takeSparseMap(state: State & { at: "sparse-map" }, data: Buffer): number {
    if (data.length < blockBytes) return 0;
    state.left -= blockBytes;
    const found = state.map.add(data.subarray(0, blockBytes), this.#pax);
    if (found !== undefined) this.#emit(state.raw, found, state.map.length);
    else if (state.left < blockBytes) throw unexpectedEnd();
    return blockBytes;
  }

  /** Hands an entry over and forgets what was said for it. `skipped` bytes of its body have been read already. */
  #emit(raw: RawHeader, sparse: SparseMap | undefined, skipped = 0): void {
    const overrides: Overrides = { pax: this.#pax, longName: this.#longName, longLink: this.#longLink };
    const resolved = resolveEntry(raw, overrides, sparse);
    this.#pax = new Map();
    this.#longName = undefined;
    this.#longLink = undefined;
    const entry = skipped === 0 ? resolved : { ...resolved, sizeBytes: resolved.sizeBytes - skipped };
    if (sparse !== undefined && entry.type !== "file") throw invalidHeader();
    if (sparse !== undefined) checkStored(sparse, entry.sizeBytes);
    this.#sink.entry(entry);
    this.#state = { at: "body", left: entry.sizeBytes };
    this.#padAfter = resolved.sizeBytes;
    if (entry.sizeBytes === 0) this.#bodyEnd();
  }

  #padAfter = 0;

  #takeBody(state: State & { at: "body" }, data: Buffer): number {
    const part = data.subarray(0, Math.min(state.left, data.length));
    this.#sink.data(part);
    state.left -= part.length;
    if (state.left === 0) this.#bodyEnd();
    return part.length;
  }

  #bodyEnd(): void {
    this.#sink.entryEnd();
    this.#pad(this.#padAfter);
  }

  #pad(size: number): void {
    const left = (blockBytes - (size % blockBytes)) % blockBytes;
    this.#state = left === 0 ? { at: "header" } : { at: "padding", left };
  }

  #takePadding(state: State & { at: "padding" }, data: Buffer): number {
    const used = Math.min(state.left, data.length);
    state.left -= used;
    if (state.left === 0) this.#state = { at: "header" };
    return used;
  }
}

const zeros = Buffer.alloc(blockBytes);
const isZero = (block: Buffer): boolean => block.equals(zeros);

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end === -1 ? bytes : bytes.subarray(0, end);
}
