import { Transform, type TransformCallback } from "node:stream";

/** ctrl-p ctrl-q */
export const defaultDetachKeys: Buffer = Buffer.from([16, 17]);

const controlKeys = "@abcdefghijklmnopqrstuvwxyz[\\]^_";

/** "ctrl-p,ctrl-q", "a,b", "DEL" (moby/term): the bytes to look for, or undefined for text that names no key. */
export function parseDetachKeys(text: string): Buffer | undefined {
  if (text === "") return defaultDetachKeys;
  const bytes = text.split(",").map(keyByte);
  return bytes.every((byte) => byte !== undefined) ? Buffer.from(bytes) : undefined;
}

function keyByte(key: string): number | undefined {
  if (Buffer.byteLength(key) === 1) return key.charCodeAt(0);
  if (key === "DEL") return 127;
  const control = /^ctrl-(.)$/.exec(key)?.[1];
  const code = control === undefined ? -1 : controlKeys.indexOf(control);
  return code < 0 ? undefined : code;
}

/**
 * Passes stdin through and looks for the detach sequence. Bytes that may be its beginning are held back until the next key
 * decides, and a key that decides against it begins no new one (moby/term, EscapeProxy). On a match everything before it is
 * passed on, and `onDetach` is called once.
 */
export class DetachScanner extends Transform {
  readonly #keys: Buffer;
  readonly #onDetach: () => void;
  #matched = 0;
  #isDetached = false;

  constructor(keys: Buffer, onDetach: () => void) {
    super();
    this.#keys = keys;
    this.#onDetach = onDetach;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const pass: number[] = [];
    for (const byte of this.#isDetached ? [] : chunk) {
      this.#isDetached = this.#isSequence(byte, pass);
      if (this.#isDetached) break;
    }
    if (pass.length > 0) this.push(Buffer.from(pass));
    if (this.#isDetached) this.#onDetach();
    done();
  }

  override _flush(done: TransformCallback): void {
    done(null, this.#isDetached ? undefined : this.#keys.subarray(0, this.#matched));
  }

  #isSequence(byte: number, pass: number[]): boolean {
    if (byte === this.#keys[this.#matched]) {
      this.#matched++;
      return this.#matched === this.#keys.length;
    }
    pass.push(...this.#keys.subarray(0, this.#matched), byte);
    this.#matched = 0;
    return false;
  }
}
