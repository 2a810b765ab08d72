import { endianness } from "node:os";

/**
 * Netlink messages as bytes: netlink(7). Headers and integers are in the host's order, except where a protocol says
 * otherwise (nf_tables, addresses): those are passed as bytes or by the BE methods.
 */
const isLittle = endianness() === "LE";

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_ROOT = 0x100;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const nested = 0x8000;
const headerLength = 16;
const align = (length: number): number => (length + 3) & ~3;

/** Writes one or more messages into one buffer. Lengths are filled in when a message or a nest ends. */
export class MessageWriter {
  #buffer: Buffer;
  #length = 0;
  #start = 0;
  #count = 0;

  constructor(capacity = 1024) {
    this.#buffer = Buffer.alloc(capacity);
  }

  /** Messages begun so far; their sequence numbers are `firstSequence` … in order. */
  get count(): number {
    return this.#count;
  }

  /** Begins a message: ends the one before it. `body` is the protocol's fixed header (ifinfomsg, nfgenmsg …). */
  begin(type: number, flags: number, body: Uint8Array): this {
    this.#end();
    this.#start = this.#length;
    this.#reserve(headerLength);
    this.#u16(this.#start + 4, type);
    this.#u16(this.#start + 6, flags | NLM_F_REQUEST);
    this.#count += 1;
    return this.#append(body);
  }

  /** The kernel is to acknowledge the message begun last. */
  requestAnswer(): this {
    this.#u16(this.#start + 6, readU16(this.#buffer, this.#start + 6) | NLM_F_ACK);
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#length;
    this.#reserve(4);
    this.#u16(at, 4 + value.length);
    this.#u16(at + 2, type);
    return this.#append(value);
  }

  /** Attributes that are written already, such as a message of the kernel had them. */
  raw(attributes: Uint8Array): this {
    return this.#append(attributes);
  }

  text(type: number, value: string): this {
    return this.bytes(type, Buffer.from(`${value}\0`));
  }

  u8(type: number, value: number): this {
    return this.bytes(type, Uint8Array.of(value));
  }

  u16(type: number, value: number): this {
    const bytes = Buffer.alloc(2);
    writeU16(bytes, 0, value);
    return this.bytes(type, bytes);
  }

  u32(type: number, value: number): this {
    const bytes = Buffer.alloc(4);
    writeU32(bytes, 0, value);
    return this.bytes(type, bytes);
  }

  /** Network order, as nf_tables wants its numbers. */
  u32be(type: number, value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value >>> 0);
    return this.bytes(type, bytes);
  }

  u64be(type: number, value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(value);
    return this.bytes(type, bytes);
  }

  /** An attribute that holds attributes. */
  nest(type: number, write: (writer: this) => void): this {
    return this.nestAfter(type, new Uint8Array(0), write);
  }

  /** The same with a fixed header before the inner attributes (VETH_INFO_PEER carries an ifinfomsg). */
  nestAfter(type: number, header: Uint8Array, write: (writer: this) => void): this {
    const at = this.#length;
    this.#reserve(4);
    this.#u16(at + 2, type | nested);
    this.#append(header);
    write(this);
    this.#u16(at, this.#length - at);
    return this;
  }

  /** The finished messages, each with a sequence number and, on request, the flag that asks for an answer. */
  finish(firstSequence: number): Buffer {
    this.#end();
    let sequence = firstSequence;
    for (let at = 0; at < this.#length; at += align(readU32(this.#buffer, at))) {
      writeU32(this.#buffer, at + 8, sequence >>> 0);
      sequence += 1;
    }
    return this.#buffer.subarray(0, this.#length);
  }

  #end(): void {
    if (this.#count > 0) writeU32(this.#buffer, this.#start, this.#length - this.#start);
  }

  #append(value: Uint8Array): this {
    const at = this.#length;
    this.#reserve(align(value.length));
    this.#buffer.set(value, at);
    return this;
  }

  #reserve(length: number): void {
    const needed = this.#length + length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(needed, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#length = needed;
  }

  #u16(at: number, value: number): void {
    writeU16(this.#buffer, at, value);
  }
}

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Behind the netlink header. */
  readonly payload: Buffer;
}

export function* readMessages(buffer: Buffer): Generator<Message> {
  for (let at = 0; at + headerLength <= buffer.length; ) {
    const length = readU32(buffer, at);
    if (length < headerLength || at + length > buffer.length) throw new Error("netlink: truncated message");
    yield {
      type: readU16(buffer, at + 4),
      flags: readU16(buffer, at + 6),
      sequence: readU32(buffer, at + 8),
      payload: buffer.subarray(at + headerLength, at + length),
    };
    at += align(length);
  }
}

/** The attributes behind a fixed header of `skip` bytes, by type; the last of a repeated one. */
export function readAttributes(payload: Buffer, skip = 0): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (const [type, value] of readList(payload, skip)) attributes.set(type, value);
  return attributes;
}

/** The same in order, repeated ones included. */
export function* readList(payload: Buffer, skip = 0): Generator<readonly [number, Buffer]> {
  for (let at = align(skip); at + 4 <= payload.length; ) {
    const length = readU16(payload, at);
    if (length < 4 || at + length > payload.length) return;
    yield [readU16(payload, at + 2) & 0x3fff, payload.subarray(at + 4, at + length)];
    at += align(length);
  }
}

export const readText = (value: Buffer | undefined): string => value?.toString("utf8").replace(/\0.*$/s, "") ?? "";

export function writeU16(buffer: Buffer, at: number, value: number): void {
  if (isLittle) buffer.writeUInt16LE(value, at);
  else buffer.writeUInt16BE(value, at);
}

export function writeU32(buffer: Buffer, at: number, value: number): void {
  if (isLittle) buffer.writeUInt32LE(value >>> 0, at);
  else buffer.writeUInt32BE(value >>> 0, at);
}

export const readU16 = (buffer: Buffer, at: number): number =>
  isLittle ? buffer.readUInt16LE(at) : buffer.readUInt16BE(at);

export const readU32 = (buffer: Buffer, at: number): number =>
  isLittle ? buffer.readUInt32LE(at) : buffer.readUInt32BE(at);

export const readI32 = (buffer: Buffer, at: number): number =>
  isLittle ? buffer.readInt32LE(at) : buffer.readInt32BE(at);
