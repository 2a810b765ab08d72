import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const everyBytes = 8 << 20;

/**
 * Lets go of buffers that have passed. They lie outside of V8's heap, and it does not look for dead ones before it has seen
 * tens of megabytes go by in each thread. A minor collection of a thread that hardly allocates takes a fraction of a millisecond.
 */
export class PassingBuffers {
  readonly #collect: (options: { readonly type: "minor" }) => void;
  #bytes = 0;

  constructor() {
    setFlagsFromString("--expose-gc");
    this.#collect = runInNewContext("gc");
  }

  passed(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < everyBytes) return;
    this.#bytes = 0;
    this.#collect({ type: "minor" });
  }
}
