import type { Writable } from "node:stream";

/**
 * Writes each chunk, and asks for the next one when the system has taken it: the source may use its memory again, and a sink that
 * does not move holds one chunk. Rejects when the sink is gone. Its end is the caller's.
 */
export async function writeThrough(sink: Writable, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  let cut = (): void => undefined;
  const onClose = () => cut();
  sink.on("close", onClose);
  try {
    for await (const chunk of chunks) {
      await new Promise<void>((resolve, reject) => {
        cut = () => reject(new Error("the sink is gone"));
        if (sink.destroyed) cut();
        else sink.write(chunk, (error) => (error ? reject(error) : resolve()));
      });
    }
  } finally {
    sink.off("close", onClose);
  }
}
