import assert from "node:assert/strict";
import { appendFile, mkdtemp, readdir, rename, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { LogOptions } from "../../src/engine/container/options.ts";
import { compressRotated } from "../../src/engine/log/compressor.ts";
import { LogReaders, type LogSource } from "../../src/engine/log/reader.ts";

const forever = new AbortController().signal;
const everything: LogOptions = { stdout: true, stderr: true, follow: false, timestamps: false, details: false };
const readers = new LogReaders();
const time = (second: number, fraction = "5") => `2026-11-21T03:19:${String(second).padStart(2, "0")}.${fraction}Z`;
const ns = (second: number) => BigInt(Date.UTC(2026, 10, 21, 3, 19, second)) * 1_000_000n;

interface Entry {
  readonly log: string;
  readonly stream?: string;
  readonly attrs?: Readonly<Record<string, string>>;
  readonly time?: string;
}
/** As Go's encoding/json would write it: keys in order, <, > and & escaped. */
const entry = ({ log, stream = "stdout", attrs, time: at = time(1) }: Entry) =>
  `${JSON.stringify({ log, stream, attrs, time: at }).replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`)}\n`;
const entries = (...items: readonly Entry[]) => items.map(entry).join("");
const numbered = (from: number, to: number) =>
  entries(...Array.from({ length: to - from }, (_, i) => ({ log: `line ${from + i}\n` })));

class LogFolder implements AsyncDisposable {
  readonly path: string;
  readonly source: LogSource;
  readonly #folder: string;
  constructor(folder: string, framing: LogSource["framing"]) {
    this.#folder = folder;
    this.path = join(folder, "c-json.log");
    this.source = { driver: "json-file", path: this.path, framing };
  }
  async text(options: Partial<LogOptions> = {}): Promise<string> {
    const life = { ended: AbortSignal.abort(), signal: new AbortController().signal };
    const parts: Buffer[] = [];
    for await (const chunk of readers.read(this.source, { ...everything, ...options }, life))
      parts.push(Buffer.from(chunk));
    return Buffer.concat(parts).toString();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.#folder, { recursive: true });
  }
}

async function logFolder(framing: LogSource["framing"] = "raw"): Promise<LogFolder> {
  return new LogFolder(await mkdtemp("/var/tmp/tools-logs-"), framing);
}

test("logs: each message is one stdcopy frame of its stream", async () => {
  await using logs = await logFolder("stdcopy");
  await writeFile(logs.path, entries({ log: "a\n" }, { log: "é\n", stream: "stderr" }));
  assert.equal(await logs.text(), "\x01\0\0\0\0\0\0\x02a\n\x02\0\0\0\0\0\0\x03é\n");
});

test("logs: one stream is left out when only the other is asked for", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, entries({ log: "a\n" }, { log: "b\n", stream: "stderr" }));
  assert.equal(await logs.text({ stderr: false }), "a\n");
  assert.equal(await logs.text({ stdout: false }), "b\n");
});

test("logs: every JSON escape comes back as the byte that was written", async () => {
  await using logs = await logFolder();
  const log = 'quote " slash \\ tab \t bell \b feed \f return \r <&> \u2028 \u0007 é € 😀 \ufffd\n';
  await writeFile(
    logs.path,
    `${entries({ log })}{"log":"\\u00e9\\u20ac\\ud83d\\ude00","stream":"stdout","time":"2026-11-21T03:19:01Z"}\n`,
  );
  assert.equal(await logs.text(), `${log}é€😀`);
});

test("logs: timestamps have nine digits whatever the log has", async () => {
  await using logs = await logFolder();
  const bare = "2026-11-21T03:19:02Z";
  await writeFile(logs.path, entries({ log: "a\n", time: time(1, "12") }, { log: "b\n", time: bare }));
  const expected = "2026-11-21T03:19:01.120000000Z a\n2026-11-21T03:19:02.000000000Z b\n";
  assert.equal(await logs.text({ timestamps: true }), expected);
});

test("logs: details are sorted, escaped and followed by one blank, also when there are none", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, entries({ log: "a\n", attrs: { z: "1", "a b": "x=y'*" } }, { log: "b\n" }));
  assert.equal(await logs.text({ details: true }), "a+b=x%3Dy%27%2A,z=1 a\n b\n");
});

test("logs: attributes do not disturb a reader that does not ask for them", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, entries({ log: "a\n", attrs: { time: '"time":"' } }));
  assert.equal(await logs.text(), "a\n");
});

test("logs: since includes its own moment and until ends the reading", async () => {
  await using logs = await logFolder();
  const at = (second: number) => ({ log: `${second}\n`, time: `2026-11-21T03:19:0${second}Z` });
  await writeFile(logs.path, entries(at(1), at(2), at(3), at(4)));
  assert.equal(await logs.text({ since: ns(2) }), "2\n3\n4\n");
  assert.equal(await logs.text({ since: ns(2), until: ns(3) }), "2\n3\n");
  const year10000 = BigInt(Date.UTC(10000, 0)) * 1_000_000n;
  assert.equal(await logs.text({ since: -year10000, until: year10000 }), "1\n2\n3\n4\n");
  assert.equal(await logs.text({ since: year10000 }), "");
});

test("logs: a tail is counted over rotated and compressed files", async () => {
  await using logs = await logFolder();
  await writeFile(`${logs.path}.2.gz`, gzipSync(numbered(0, 10)));
  await writeFile(`${logs.path}.1`, numbered(10, 20));
  await writeFile(logs.path, numbered(20, 25));
  const lines = async (tail?: number) => (await logs.text({ tail })).split("\n").slice(0, -1);
  assert.deepEqual(await lines(0), []);
  assert.deepEqual(await lines(1), ["line 24"]);
  assert.equal((await lines(5))[0], "line 20");
  assert.equal((await lines(6))[0], "line 19");
  assert.equal((await lines(17))[0], "line 8");
  assert.equal((await lines(99)).length, 25);
  assert.equal((await lines()).length, 25);
});

test("logs: a tail is found in a file of many blocks, and lines may cross them", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, numbered(0, 20_000));
  const text = await logs.text({ tail: 15_000 });
  assert.equal(text.slice(0, 11), "line 5000\nl");
  assert.equal(text.split("\n").length, 15_001);
  assert.equal((await logs.text()).split("\n").length, 20_001);
});

test("logs: a tail and a since are found without reading what comes before them", async () => {
  await using logs = await logFolder();
  const [old, end] = [entry({ log: "old\n", time: time(1) }), entry({ log: "end\n", time: time(2) })];
  await writeFile(logs.path, "");
  await truncate(logs.path, 2 ** 40); // a tebibyte of nothing
  await appendFile(logs.path, `\n${old.repeat(2000)}${end}`);
  assert.equal(await logs.text({ tail: 1 }), "end\n");
  assert.equal(await logs.text({ since: ns(2) }), "end\n");
});

test("logs: since passes over files, packed or not, that were complete before", async () => {
  await using logs = await logFolder();
  const at = (second: number) => entry({ log: `${second}\n`, time: time(second) });
  const write = async (age: number, second: number, text = at(second)) => {
    await writeFile(`${logs.path}.${age}`, text);
    await utimes(`${logs.path}.${age}`, 0, Number(ns(second)) / 1e9);
  };
  await write(3, 30, "what cannot be read");
  await write(2, 40);
  await compressRotated(logs.path, forever);
  await write(1, 50);
  await writeFile(logs.path, at(55));
  assert.equal(await logs.text({ since: ns(40) }), "40\n50\n55\n");
  assert.equal(await logs.text({ since: ns(52) }), "55\n");
});

test("logs: any text is read as JSON.parse reads it, in whatever form it is asked for", async () => {
  const texts = ["", "a", "<&>", '"\\"', "\u0000\u001b[0m\t\r", "é\u2028𝒳", "x".repeat(9000), "\\n", "n\\"];
  const messages = texts.flatMap((a) => texts.flatMap((b) => [`${a}${b}`, `${b}${a}\n`]));
  await using logs = await logFolder();
  const attrs = { k: '"time":"' };
  await writeFile(logs.path, entries(...messages.map((log, i) => (i % 5 === 0 ? { log, attrs } : { log }))));
  const details = (i: number) => (i % 5 === 0 ? "k=%22time%22%3A%22 " : " ");
  const stamp = `${time(1, "500000000")} `;
  assert.equal(await logs.text(), messages.join(""));
  assert.equal(await logs.text({ timestamps: true }), messages.map((text) => stamp + text).join(""));
  assert.equal(await logs.text({ details: true }), messages.map((text, i) => details(i) + text).join(""));
  const both = messages.map((text, i) => stamp + details(i) + text).join("");
  assert.equal(await logs.text({ timestamps: true, details: true }), both);
});

test("logs: half of a surrogate pair is replaced, a whole one is read as one", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, entry({ log: "\u1234" }).replace("\u1234", "\\ud83d\\ude00 \\ud83d \\ude00\\n"));
  assert.equal(await logs.text(), "😀 \ufffd \ufffd\n");
});

test("logs: a broken line does not hide what comes after it", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, `${entries({ log: "a\n" })}{"log":"torn\n\0\0\0\n${entries({ log: "b\n" })}`);
  assert.equal(await logs.text(), "a\nb\n");
  const [zeros, torn] = ["\0".repeat(50), '{"log":"torn'];
  await writeFile(logs.path, [zeros, torn, torn].map((hurt, n) => hurt + entry({ log: `${n}\n` })).join(""));
  assert.equal(await logs.text(), "0\n1\n2\n");
  await writeFile(
    logs.path,
    entries({ log: "x\n", stream: "stdin" }, { log: "y\n", time: "yesterday" }, { log: "b\n" }),
  );
  assert.equal(await logs.text(), "b\n");
});

test("logs: a container that never ran has an empty log", async () => {
  await using logs = await logFolder();
  assert.equal(await logs.text(), "");
  assert.equal(await logs.text({ tail: 3 }), "");
});

test("logs: a symlink in place of the log is refused in-band", async () => {
  await using logs = await logFolder();
  await symlink("/etc/passwd", logs.path);
  assert.match(await logs.text(), /^Error grabbing logs: open .*: too many levels of symbolic links\n$/);
});

/** Reads a followed log piece by piece, as a client does. */
class Follower implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #end = new AbortController();
  readonly #chunks: AsyncIterator<Buffer>;
  seen = "";
  constructor(source: LogSource, options: Partial<LogOptions> = {}) {
    const life = { ended: this.#end.signal, signal: this.#stop.signal };
    this.#chunks = readers.read(source, { ...everything, follow: true, ...options }, life)[Symbol.asyncIterator]();
  }
  async until(text: string): Promise<void> {
    while (!this.seen.includes(text)) {
      const { done, value } = await this.#chunks.next();
      if (done === true) assert.fail(`ended before ${text}: ${this.seen}`);
      this.seen += value;
    }
  }
  async rest(): Promise<string> {
    this.#end.abort();
    for (let item = await this.#chunks.next(); item.done !== true; item = await this.#chunks.next())
      this.seen += item.value;
    return this.seen;
  }
  hangUp(): void {
    this.#stop.abort();
  }
  async next(): Promise<unknown> {
    return this.#chunks.next();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.();
  }
}

test("logs -f: lines show as they are written, half lines when they are whole, and the end when the container stops", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, numbered(0, 3));
  await using follower = new Follower(logs.source, { tail: 1 });
  await follower.until("line 2\n");
  const [first = "", second = ""] = [entry({ log: "x\n" }), entry({ log: "y\n" })];
  await appendFile(logs.path, first + second.slice(0, 20));
  await follower.until("x\n");
  await appendFile(logs.path, second.slice(20));
  await follower.until("y\n");
  await appendFile(logs.path, entry({ log: "last" }));
  assert.equal(await follower.rest(), "line 2\nx\ny\nlast");
});

test("logs -f: no line is lost over several rotations", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, numbered(0, 2));
  await using follower = new Follower(logs.source);
  await follower.until("line 1\n");
  for (let n = 1; n <= 6; n++) {
    for (const k of [2, 1]) await rename(`${logs.path}.${k}`, `${logs.path}.${k + 1}`).catch(() => undefined);
    await appendFile(logs.path, numbered(n * 2, n * 2 + 1));
    await rename(logs.path, `${logs.path}.1`);
    await writeFile(logs.path, numbered(n * 2 + 1, n * 2 + 2));
    if (n % 2 === 0) await follower.until(`line ${n * 2 + 1}\n`);
  }
  const expected = Array.from({ length: 14 }, (_, i) => `line ${i}\n`).join("");
  assert.equal(await follower.rest(), expected);
});

test("logs -f: a follower waits out a rotation that is under way", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, numbered(0, 1));
  await using follower = new Follower(logs.source);
  await follower.until("line 0\n");
  await rename(logs.path, `${logs.path}.3`);
  await writeFile(`${logs.path}.1`, numbered(2, 3));
  await writeFile(logs.path, numbered(3, 4));
  const rest = follower.rest();
  for (let i = 0; i < 20; i++) await readdir(dirname(logs.path));
  await writeFile(`${logs.path}.2`, numbered(1, 2));
  assert.equal(await rest, "line 0\nline 1\nline 2\nline 3\n");
});

test("logs -f: a follower that fell behind finds its place among compressed files", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, numbered(0, 2));
  await using follower = new Follower(logs.source);
  await follower.until("line 1\n");
  for (let n = 1; n <= 3; n++) {
    for (const k of [2, 1]) await rename(`${logs.path}.${k}.gz`, `${logs.path}.${k + 1}.gz`).catch(() => undefined);
    await appendFile(logs.path, numbered(n * 2, n * 2 + 1));
    await rename(logs.path, `${logs.path}.1`);
    await writeFile(logs.path, numbered(n * 2 + 1, n * 2 + 2));
    await compressRotated(logs.path, forever);
  }
  const expected = Array.from({ length: 8 }, (_, i) => `line ${i}\n`).join("");
  assert.equal(await follower.rest(), expected);
  assert.equal(await logs.text(), expected);
});

test("logs: whatever a compression leaves that was killed, nothing is lost or told twice, and the next one mends it", async () => {
  await using logs = await logFolder();
  await writeFile(`${logs.path}.2`, numbered(0, 10));
  await writeFile(`${logs.path}.2.gz`, gzipSync(numbered(0, 10)));
  await writeFile(`${logs.path}.1`, numbered(10, 20));
  await writeFile(`${logs.path}.gz.tmp`, "half");
  await writeFile(logs.path, numbered(20, 25));
  const before = await logs.text();
  assert.equal(before.split("\n").length, 26);
  await compressRotated(logs.path, forever);
  assert.equal(await logs.text(), before);
  assert.deepEqual(
    (await readdir(dirname(logs.path))).sort(),
    ["", ".1.gz", ".2.gz"].map((end) => `c-json.log${end}`),
  );
});

test("logs -f: a log that does not exist yet is followed from its first line", async () => {
  await using logs = await logFolder();
  await using follower = new Follower(logs.source);
  const first = follower.until("line 0\n");
  await writeFile(logs.path, numbered(0, 1));
  await first;
  assert.equal(await follower.rest(), "line 0\n");
});

test("logs -f: a client that hangs up ends the reading", async () => {
  await using logs = await logFolder();
  await writeFile(logs.path, numbered(0, 1));
  await using follower = new Follower(logs.source);
  await follower.until("line 0\n");
  const next = follower.next();
  follower.hangUp();
  assert.deepEqual(await next, { done: true, value: undefined });
});
