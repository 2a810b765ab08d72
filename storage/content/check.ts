import { createHash, type Hash } from "node:crypto";
import { type Digest, sha256Digest } from "#base/ids";

/** Bytes that are not what they were said to be. */
export class ContentError extends Error {
  readonly code: "EDIGEST" | "ESIZE";
  constructor(code: "EDIGEST" | "ESIZE", message: string) {
    super(message);
    this.name = "ContentError";
    this.code = code;
  }
}

export interface Expected {
  readonly digest?: Digest | undefined;
  readonly sizeBytes?: number | undefined;
}

/** Watches the bytes of one blob go by. */
export class ContentCheck {
  sizeBytes = 0;
  readonly #hash: Hash = createHash("sha256");
  readonly #expected: Expected;

  constructor(expected: Expected) {
    this.#expected = expected;
  }

  /** Throws ESIZE as soon as there are too many: a lying registry must not fill the disk. */
  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.sizeBytes += chunk.length;
    const { sizeBytes } = this.#expected;
    if (sizeBytes !== undefined && this.sizeBytes > sizeBytes) throw this.#wrongSize(sizeBytes);
  }

  finish(): Digest {
    const { digest, sizeBytes } = this.#expected;
    if (sizeBytes !== undefined && this.sizeBytes !== sizeBytes) throw this.#wrongSize(sizeBytes);
    const found = sha256Digest(this.#hash.digest("hex"));
    if (digest === undefined || digest === found) return found;
    throw new ContentError("EDIGEST", `wrong digest: expected ${digest}, found ${found}`);
  }

  #wrongSize(expected: number): ContentError {
    return new ContentError("ESIZE", `wrong size: expected ${expected} bytes, found ${this.sizeBytes}`);
  }
}
