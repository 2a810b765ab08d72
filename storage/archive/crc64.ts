/** CRC-64 of ECMA-182, as .xz uses it: reflected, in two halves because numbers have 53 bits. */
export class Crc64 {
  readonly size = 8;
  #low = 0xffffffff;
  #high = 0xffffffff;

  update(bytes: Uint8Array): void {
    let [low, high] = [this.#low, this.#high];
    for (const byte of bytes) {
      const index = (low ^ byte) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ (lows[index] ?? 0);
      high = (high >>> 8) ^ (highs[index] ?? 0);
    }
    [this.#low, this.#high] = [low, high];
  }

  finish(): Buffer {
    const sum = Buffer.alloc(8);
    sum.writeUInt32LE(~this.#low >>> 0, 0);
    sum.writeUInt32LE(~this.#high >>> 0, 4);
    return sum;
  }
}

const lows = new Uint32Array(256);
const highs = new Uint32Array(256);
for (let index = 0; index < 256; index++) {
  let [low, high] = [index, 0];
  for (let bit = 0; bit < 8; bit++) {
    const isOdd = (low & 1) === 1;
    low = (low >>> 1) | ((high & 1) << 31);
    high >>>= 1;
    if (!isOdd) continue;
    low ^= 0xd7870f42;
    high ^= 0xc96c5795;
  }
  lows[index] = low;
  highs[index] = high;
}
