import { checkSpace } from "../space.ts";
import { LimitError } from "./failure.ts";

export interface Limits {
  readonly maxEntries: number;
  /** Bytes that may be written. */
  readonly maxBytes: number;
}

/** One image's layer may be large, but not without bounds: a bomb must end before the disk does. */
export const layerLimits = { maxEntries: 4_000_000, floorBytes: 1 << 30, maxRatio: 200 } as const;

/** Deflate cannot exceed 1:1032 and real layers stay below 1:50; the floor lets small layers of zeros pass. */
export const limitsFor = (compressedBytes: number): Limits => ({
  maxEntries: layerLimits.maxEntries,
  maxBytes: Math.max(layerLimits.floorBytes, compressedBytes * layerLimits.maxRatio),
});

const checkEveryBytes = 64 << 20;
const reserveBytes = 64 << 20;

/** Counts what an archive takes and stops it in time: at its limits, or while the database still has room to say so. */
export class Budget {
  readonly #limits: Limits;
  readonly #directory: string;
  #entries = 0;
  #bytes = 0;
  #nextCheck = 0;

  constructor(limits: Limits, directory: string) {
    this.#limits = limits;
    this.#directory = directory;
  }

  countEntry(): void {
    this.#entries++;
    if (this.#entries > this.#limits.maxEntries) throw new LimitError("archive has too many entries");
  }

  countBytes(length: number): void {
    this.#bytes += length;
    if (this.#bytes > this.#limits.maxBytes) throw new LimitError("archive is larger than its compressed size allows");
    if (this.#bytes < this.#nextCheck) return;
    this.#nextCheck = this.#bytes + checkEveryBytes;
    checkSpace(this.#directory, reserveBytes);
  }
}
