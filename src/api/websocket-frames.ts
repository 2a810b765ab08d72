/** RFC 6455, section 5: frames as a server reads and writes them. */

export const opcodes = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const known: ReadonlySet<number> = new Set([0, ...Object.values(opcodes)]);

/** A control frame, whole; or a part of a message, with the opcode of its frame. */
export interface Piece {
  readonly opcode: number;
  readonly payload: Buffer;
}

interface Frame {
  readonly opcode: number;
  readonly mask: Buffer;
  /** Where in the mask the payload goes on. */
  maskAt: number;
  left: number;
}

/** Gives on what comes as it comes: a message may be as long as it likes, and where it begins and ends is of no account. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0);
  #frame: Frame | undefined;

  /** The chunk's memory becomes the pieces'. Throws for what no client may send. */
  *read(chunk: Buffer): Generator<Piece> {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    for (;;) {
      this.#frame ??= this.#takeHead();
      const frame = this.#frame;
      if (frame === undefined) return;
      if (isControl(frame.opcode) && this.#held.length < frame.left) return;
      const payload = this.#take(Math.min(this.#held.length, frame.left));
      unmask(payload, frame);
      if (payload.length > 0 || isControl(frame.opcode)) yield { opcode: frame.opcode, payload };
      if (frame.left > 0) return;
      this.#frame = undefined;
    }
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  #takeHead(): Frame | undefined {
    const held = this.#held;
    if (held.length < 2) return undefined;
    const opcode = held.readUInt8(0) & 0x0f;
    const isFinal = (held.readUInt8(0) & 0x80) !== 0;
    const length = held.readUInt8(1) & 0x7f;
    if ((held.readUInt8(0) & 0x70) !== 0 || !known.has(opcode)) throw new Error("an extension nobody agreed on");
    if ((held.readUInt8(1) & 0x80) === 0) throw new Error("a frame without a mask");
    if (isControl(opcode) && (!isFinal || length > 125)) throw new Error("a control frame in parts");
    const lengthBytes = length === 127 ? 8 : length === 126 ? 2 : 0;
    if (held.length < 6 + lengthBytes) return undefined;
    const [, extended, mask] = [this.#take(2), this.#take(lengthBytes), this.#take(4)];
    const left = lengthBytes === 0 ? length : Number(BigInt(`0x${extended.toString("hex")}`));
    return { opcode, mask, maskAt: 0, left };
  }
}

const isControl = (opcode: number): boolean => opcode >= opcodes.close;

function unmask(payload: Buffer, frame: Frame): void {
  const { mask, maskAt } = frame;
  for (let at = 0; at < payload.length; at++) payload[at] = (payload[at] ?? 0) ^ (mask[(maskAt + at) & 3] ?? 0);
  frame.maskAt = (maskAt + payload.length) & 3;
  frame.left -= payload.length;
}

/** What goes before a payload of that many bytes. */
export function frameHead(opcode: number, length: number): Buffer {
  const [marker, lengthBytes] = length < 126 ? [length, 0] : length < 0x1_0000 ? [126, 2] : [127, 8];
  const head = Buffer.alloc(2 + lengthBytes);
  head.writeUInt8(0x80 | opcode, 0);
  head.writeUInt8(marker, 1);
  if (lengthBytes === 2) head.writeUInt16BE(length, 2);
  if (lengthBytes === 8) head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}
