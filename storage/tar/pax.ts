import { invalidHeader } from "./entry.ts";

export type PaxRecords = Map<string, Buffer>;

/** Records of an extended header: `<length> <key>=<value>\n` (POSIX pax). Values are bytes: xattrs and names may be any. */
export function parsePax(data: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  const sparseMap: Buffer[] = [];
  for (let at = 0; at < data.length; ) {
    const { key, value, end } = parseRecord(data, at);
    if (!sparsePair.includes(key)) records.set(key, value);
    else if (key === sparsePair[sparseMap.length % 2]) sparseMap.push(value);
    else throw invalidHeader();
    at = end;
  }
  if (sparseMap.length > 0) records.set("GNU.sparse.map", Buffer.from(sparseMap.join(",")));
  return records;
}

/** What GNU's sparse format 0.0 repeats for each fragment. Format 0.1 has them in one record. */
const sparsePair: readonly string[] = ["GNU.sparse.offset", "GNU.sparse.numbytes"];

/** A record that says nothing is none: the header's own field counts (Go: mergePAX). */
export function recordOf(records: PaxRecords, key: string): Buffer | undefined {
  const value = records.get(key);
  return value?.length === 0 ? undefined : value;
}

function parseRecord(data: Buffer, at: number): { key: string; value: Buffer; end: number } {
  const blank = data.indexOf(0x20, at);
  if (blank === -1 || blank - at > 10) throw invalidHeader();
  const digits = data.toString("latin1", at, blank);
  const end = at + Number(digits);
  if (!/^\d+$/.test(digits) || end > data.length || end <= blank + 1 || data[end - 1] !== 0x0a) throw invalidHeader();
  const equals = data.indexOf(0x3d, blank + 1);
  if (equals === -1 || equals >= end) throw invalidHeader();
  const key = data.toString("utf8", blank + 1, equals);
  const value = Buffer.from(data.subarray(equals + 1, end - 1));
  if (key === "" || !isValid(key, value)) throw invalidHeader();
  return { key, value, end };
}

/** As Go's validPAXRecord: a NUL would cut a name short for the kernel but not for whoever checked it. */
function isValid(key: string, value: Buffer): boolean {
  if (key.includes("\0")) return false;
  return !["path", "linkpath", "uname", "gname"].includes(key) || !value.includes(0);
}

/** In the order of their keys, as Go. The length counts itself, so it is found by trying. */
export function formatPax(records: ReadonlyMap<string, Uint8Array>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [key, value] of [...records].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
    let length = rest.length;
    while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
    parts.push(Buffer.from(`${length}`), rest);
  }
  return Buffer.concat(parts);
}
