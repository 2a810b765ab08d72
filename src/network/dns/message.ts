import { type Address, addressBytes, addressFromBytes } from "../address.ts";

/** DNS messages (RFC 1035) as far as a resolver for container names needs them: one question, plain answers. */
export const types = { A: 1, PTR: 12, MX: 15, AAAA: 28, SRV: 33, OPT: 41 } as const;
export const responseCodes = { noError: 0, formatError: 1, serverFailure: 2, nameError: 3, refused: 5 } as const;

export interface Query {
  readonly id: number;
  /** As it was written, without the final dot. */
  readonly name: string;
  readonly type: number;
  /** The question section, to be repeated in the answer. */
  readonly question: Buffer;
  readonly isRecursionDesired: boolean;
  /** How large an answer over UDP may be: 512, or what EDNS says (RFC 6891). */
  readonly maxSizeBytes: number;
}

export type Answer =
  | { readonly type: "address"; readonly address: Address }
  | { readonly type: "name"; readonly name: string };

const headerLength = 12;
const classInternet = 1;
/** moby's: 600 seconds. */
const timeToLive = 600;
const flags = { response: 0x8000, truncated: 0x0200, recursionDesired: 0x0100, recursionAvailable: 0x0080 } as const;
const pointerToQuestion = 0xc000 | headerLength;

/** Undefined for what is no query with one question: it deserves no answer. */
export function parseQuery(message: Buffer): Query | undefined {
  if (message.length < headerLength) return undefined;
  const [bits, questions] = [message.readUInt16BE(2), message.readUInt16BE(4)];
  const isStandardQuery = (bits & (flags.response | 0x7800)) === 0;
  if (!isStandardQuery || questions !== 1) return undefined;
  const name = readName(message, headerLength);
  if (name === undefined || name.end + 4 > message.length) return undefined;
  return {
    id: message.readUInt16BE(0),
    name: name.text,
    type: message.readUInt16BE(name.end),
    question: Buffer.from(message.subarray(headerLength, name.end + 4)),
    isRecursionDesired: (bits & flags.recursionDesired) !== 0,
    maxSizeBytes: announcedSize(message, name.end + 4),
  };
}

/** Labels without compression: a question is the first name in its message. */
function readName(message: Buffer, start: number): { readonly text: string; readonly end: number } | undefined {
  const labels: string[] = [];
  for (let at = start; ; ) {
    const length = message[at];
    if (length === undefined || length > 63 || at + 1 + length > message.length || at - start > 255) return undefined;
    if (length === 0) return { text: labels.join("."), end: at + 1 };
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
}

function announcedSize(message: Buffer, end: number): number {
  const isEdns = message.readUInt16BE(10) > 0 && message[end] === 0 && message.length >= end + 11;
  if (!isEdns || message.readUInt16BE(end + 1) !== types.OPT) return 512;
  return Math.max(512, message.readUInt16BE(end + 3));
}

/** Over UDP what does not fit is left out and marked as truncated: the client asks again by TCP. */
export function answerOf(query: Query, answers: readonly Answer[], isStream: boolean): Buffer {
  const records = answers.map(encodeAnswer);
  const limit = isStream ? 65_535 : query.maxSizeBytes;
  const kept: Buffer[] = [];
  let size = headerLength + query.question.length;
  for (const record of records) {
    if (size + record.length > limit) break;
    size += record.length;
    kept.push(record);
  }
  const truncated = kept.length < records.length ? flags.truncated : 0;
  return Buffer.concat([header(query, responseCodes.noError | truncated, kept.length), query.question, ...kept]);
}

export const failureOf = (query: Query, code: number): Buffer =>
  Buffer.concat([header(query, code, 0), query.question]);

function header(query: Query, bits: number, answers: number): Buffer {
  const buffer = Buffer.alloc(headerLength);
  const desired = query.isRecursionDesired ? flags.recursionDesired : 0;
  buffer.writeUInt16BE(query.id, 0);
  buffer.writeUInt16BE(flags.response | flags.recursionAvailable | desired | bits, 2);
  buffer.writeUInt16BE(1, 4);
  buffer.writeUInt16BE(answers, 6);
  return buffer;
}

function encodeAnswer(answer: Answer): Buffer {
  const [type, content] =
    answer.type === "name"
      ? [types.PTR, encodeName(answer.name)]
      : [answer.address.family === 4 ? types.A : types.AAAA, Buffer.from(addressBytes(answer.address))];
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(pointerToQuestion, 0);
  fixed.writeUInt16BE(type, 2);
  fixed.writeUInt16BE(classInternet, 4);
  fixed.writeUInt32BE(timeToLive, 6);
  fixed.writeUInt16BE(content.length, 10);
  return Buffer.concat([fixed, content]);
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([
    ...labels.map((label) => {
      const bytes = Buffer.from(label).subarray(0, 63);
      return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    }),
    Buffer.from([0]),
  ]);
}

/** `2.0.17.172.in-addr.arpa` and its like; undefined for other names. */
export function addressOfPointer(name: string): Address | undefined {
  const lower = name.toLowerCase();
  if (lower.endsWith(".in-addr.arpa")) {
    const parts = lower.slice(0, -".in-addr.arpa".length).split(".").reverse().map(Number);
    const isWhole = parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255);
    return isWhole ? addressFromBytes(Uint8Array.from(parts)) : undefined;
  }
  if (!lower.endsWith(".ip6.arpa")) return undefined;
  const digits = lower.slice(0, -".ip6.arpa".length).split(".").reverse();
  if (digits.length !== 32 || !digits.every((digit) => /^[0-9a-f]$/.test(digit))) return undefined;
  return addressFromBytes(Buffer.from(digits.join(""), "hex"));
}

/** The response code of an answer from upstream. */
export const codeOf = (message: Buffer): number => (message[3] ?? 0) & 0x0f;
