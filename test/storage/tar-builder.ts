/** Writes tars byte by byte, lies included: nothing of the code under test is used. */
export interface Member {
  readonly name: string | Buffer;
  /** The typeflag: "0" file, "1" link, "2" symlink, "3" char, "4" block, "5" directory, "6" fifo. */
  readonly type?: string;
  readonly linkname?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly content?: string | Buffer;
  /** What the header says, when it is not the content's length. */
  readonly size?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** GNU: long name (L) and long link (K) members in front. */
  readonly isGnu?: boolean;
  /** Changes the finished block; the checksum is made after it. */
  readonly patch?: (block: Buffer) => void;
  /** Keeps the checksum of the unpatched block. */
  readonly hasBadSum?: boolean;
}

export const file = (name: string, content: string | Buffer = "x"): Member => ({ name, content });
export const directory = (name: string): Member => ({ name, type: "5", mode: 0o755 });
export const symlink = (name: string, linkname: string): Member => ({ name, type: "2", linkname });
export const link = (name: string, linkname: string): Member => ({ name, type: "1", linkname });

export const tarOf = (...members: readonly Member[]): Buffer =>
  Buffer.concat([...members.map(encode), Buffer.alloc(1024)]);

export function encode(member: Member): Buffer {
  const content = Buffer.from(member.content ?? "");
  const parts: Buffer[] = [];
  if (member.pax !== undefined) parts.push(paxOf(member.pax));
  const name = Buffer.from(member.name);
  if (member.isGnu === true) {
    parts.push(special("L", Buffer.concat([name, Buffer.alloc(1)])));
    if (member.linkname !== undefined) parts.push(special("K", Buffer.from(`${member.linkname}\0`)));
  }
  parts.push(block(member, name, content.length), padded(content));
  return Buffer.concat(parts);
}

function paxOf(records: Readonly<Record<string, string | Buffer>>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
    let length = rest.length + 1;
    while (`${length}`.length + rest.length !== length) length++;
    return Buffer.concat([Buffer.from(`${length}`), rest]);
  });
  return special("x", Buffer.concat(lines));
}

export const special = (type: string, content: Buffer): Buffer =>
  Buffer.concat([block({ name: "special", type }, Buffer.from("special"), content.length), padded(content)]);

const padded = (content: Buffer): Buffer =>
  Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);

function block(member: Member, name: Buffer, length: number): Buffer {
  const header = Buffer.alloc(512);
  const octal = (at: number, digits: number, value: number): unknown =>
    header.write(value.toString(8).padStart(digits, "0").slice(-digits), at, "latin1");
  header.set(name.subarray(0, 100), 0);
  octal(100, 7, member.mode ?? 0o644);
  octal(108, 7, member.uid ?? 0);
  octal(116, 7, member.gid ?? 0);
  octal(124, 11, member.size ?? length);
  octal(136, 11, member.mtime ?? 1_000_000_000);
  header.write(member.type ?? "0", 156, "latin1");
  header.write((member.linkname ?? "").slice(0, 100), 157, "utf8");
  header.write("ustar\u000000", 257, "latin1");
  octal(329, 7, member.major ?? 0);
  octal(337, 7, member.minor ?? 0);
  if (member.hasBadSum !== true) member.patch?.(header);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  if (member.hasBadSum === true) member.patch?.(header);
  return header;
}
