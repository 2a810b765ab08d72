import assert from "node:assert/strict";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { LogOptions } from "../../src/engine/container/options.ts";
import { LogReaders } from "../../src/engine/log/reader.ts";

const everything: LogOptions = { stdout: true, stderr: true, follow: false, timestamps: false, details: false };
const second = 1_000_000_000n;
const start = BigInt(Date.UTC(2026, 10, 21)) * 1_000_000n;

function varint(value: bigint): number[] {
  return value < 0x80n ? [Number(value)] : [Number(value & 0x7fn) | 0x80, ...varint(value >> 7n)];
}
const field = (number: number, bytes: Buffer) =>
  Buffer.from([number * 8 + 2, ...varint(BigInt(bytes.length)), ...bytes]);

/** moby's logdriver.LogEntry between its lengths; `part` is the number of a part and whether it is the last one. */
function entry(
  line: string,
  { at = 0n, source = "stdout", part }: { at?: bigint; source?: string; part?: [number, boolean] } = {},
) {
  const meta = part && Buffer.from([...(part[1] ? [8, 1] : []), 0x12, 1, 0x61, 0x18, part[0]]);
  const message = Buffer.concat([
    field(1, Buffer.from(source)),
    Buffer.from([16, ...varint(start + at * second)]),
    field(3, Buffer.from(line)),
    ...(meta === undefined ? [] : [Buffer.from([32, 1]), field(5, meta)]),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message, length]);
}

class LocalLog implements AsyncDisposable {
  readonly path: string;
  readonly #folder: string;
  readonly #readers = new LogReaders();
  constructor(folder: string) {
    this.#folder = folder;
    this.path = join(folder, "container.log");
  }
  async text(options: Partial<LogOptions> = {}, framing: "raw" | "stdcopy" = "raw"): Promise<string> {
    const life = { ended: AbortSignal.abort(), signal: new AbortController().signal };
    let text = "";
    const source = { driver: "local" as const, path: this.path, framing };
    for await (const chunk of this.#readers.read(source, { ...everything, ...options }, life))
      text += chunk.toString("latin1");
    return text;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.#folder, { recursive: true });
  }
}
const localLog = async () => new LocalLog(await mkdtemp("/var/tmp/tools-logs-"));

test("local log: lines, parts of lines, frames, timestamps and details", async () => {
  await using log = await localLog();
  const parts = [entry("long", { part: [1, false] }), entry(" line", { part: [2, true] })];
  await writeFile(log.path, Buffer.concat([entry("a"), entry("", { at: 1n, source: "stderr" }), ...parts]));
  assert.equal(await log.text(), "a\n\nlong line\n");
  assert.equal(await log.text({ stdout: false }), "\n");
  assert.equal(
    await log.text({ tail: 3 }, "stdcopy"),
    "\x02\0\0\0\0\0\0\x01\n\x01\0\0\0\0\0\0\x04long\x01\0\0\0\0\0\0\x06 line\n",
  );
  const stamp = "2026-11-21T00:00:00.000000000Z ";
  assert.equal(await log.text({ timestamps: true, stderr: false }), `${stamp}a\n${stamp}long${stamp} line\n`);
  assert.equal(await log.text({ details: true, tail: 4, stderr: false }), " a\n long  line\n");
  await writeFile(log.path, Buffer.concat([entry("a"), Buffer.alloc(100)]));
  assert.equal(await log.text(), "a\n");
});

test("local log: tail, since and until over many blocks, with half an entry at the end", async () => {
  await using log = await localLog();
  await writeFile(
    log.path,
    Buffer.concat(Array.from({ length: 9000 }, (_, i) => entry(`line ${i}`, { at: BigInt(i) }))),
  );
  const lines = async (options: Partial<LogOptions>) => (await log.text(options)).split("\n").slice(0, -1);
  for (const whole of [true, false]) {
    if (!whole) await appendFile(log.path, entry("half").subarray(0, 9));
    assert.equal((await lines({})).length, 9000);
    assert.deepEqual(await lines({ tail: 0 }), []);
    assert.deepEqual(await lines({ tail: 2 }), ["line 8998", "line 8999"]);
    assert.equal((await lines({ tail: 8000 }))[0], "line 1000");
    assert.equal((await lines({ since: start + 8000n * second })).length, 1000);
    assert.deepEqual(await lines({ since: start + 10n * second, until: start + 11n * second }), ["line 10", "line 11"]);
    assert.deepEqual(await lines({ since: start + 9999n * second }), []);
  }
});
