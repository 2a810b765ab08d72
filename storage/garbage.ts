import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const everyBytes = 4 << 20;

type Collect = (options: { readonly type: "minor" }) => void;

/** All streams of a thread share its heap, and so its count. */
const heap: { passedBytes: number; collect?: Collect } = { passedBytes: 0 };

/** Made by the first stream that is long enough: most threads never see one. */
function exposedCollect(): Collect {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

/**
 * The chunks of a long stream, for whoever does not keep them. Those that have passed lie outside of V8's heap: it does not look
 * for dead ones before a few megabytes have gone by, and then it marks the whole heap, every few megabytes, for as long as the
 * stream lasts. A minor collection takes a fraction of a millisecond.
 */
export async function* passing(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  for await (const chunk of source) {
    heap.passedBytes += chunk.length;
    if (heap.passedBytes > everyBytes) {
      heap.passedBytes = 0;
      heap.collect ??= exposedCollect();
      heap.collect({ type: "minor" });
    }
    yield chunk;
  }
}
