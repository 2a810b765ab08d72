/** Cuts a stream of bytes into lines, without their ends. What follows the last line waits for its end. */
export class LineReader {
  #parts: Buffer[] = [];

  push(chunk: Buffer): string[] {
    const end = chunk.lastIndexOf(0x0a);
    if (end < 0) {
      this.#parts.push(chunk);
      return [];
    }
    const text = Buffer.concat([...this.#parts, chunk.subarray(0, end)]).toString("utf8");
    this.#parts = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : [];
    return text.split("\n");
  }
}
