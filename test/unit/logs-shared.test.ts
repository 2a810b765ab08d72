import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { appendFile, mkdtemp, mkdtempDisposable, readdir, readlink, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { LogBlocks } from "../../src/engine/log/blocks.ts";
import { type Chunk, LogChunks } from "../../src/engine/log/chunks.ts";
import { compressRotated } from "../../src/engine/log/compressor.ts";
import { LogReaders } from "../../src/engine/log/reader.ts";

const text = Buffer.from("text");
const nothing: Chunk = { text: Buffer.alloc(0), next: 7, isOver: false };
const something: Chunk = { text, next: 11, isOver: false };

test("shared log: who wants the same chunk while another holds it gets that one, and nobody else does", async () => {
  const chunks = new LogChunks(new LogBlocks());
  let count = 0;
  const render = async () => ({ ...something, text: Buffer.from(`${++count}`) });
  const held = await Promise.all([chunks.take("log", 7, render), chunks.take("log", 7, render)]);
  assert.deepEqual(
    held.map((chunk) => chunk.text.toString()),
    ["1", "1"],
  );
  using other = await chunks.take("other", 7, render);
  assert.equal(other.text.toString(), "2");
  held[0][Symbol.dispose]();
  const again = await chunks.take("log", 7, render);
  assert.equal(again.text.toString(), "1");
  held[1][Symbol.dispose]();
  again[Symbol.dispose]();
  using late = await chunks.take("log", 7, render);
  assert.equal(late.text.toString(), "3");
});

test("shared log: that there was nothing for one who asked before is no answer for who asks now", async () => {
  const chunks = new LogChunks(new LogBlocks());
  const answers = [nothing, something];
  const render = async () => answers.shift() ?? assert.fail("asked too often");
  const [first, second] = await Promise.all([chunks.take("log", 7, render), chunks.take("log", 7, render)]);
  assert.equal(first.next, 7);
  assert.equal(second.text, text);
});

test("shared log: a failure is everybody's, and the next one tries anew", async () => {
  const chunks = new LogChunks(new LogBlocks());
  const fail = () => Promise.reject(new Error("no disk"));
  for (const taken of await Promise.allSettled([chunks.take("log", 7, fail), chunks.take("log", 7, fail)])) {
    assert.equal(taken.status, "rejected");
  }
  using chunk = await chunks.take("log", 7, async () => something);
  assert.equal(chunk.text, text);
});

test("shared log: followers of every pace get every byte over rotations and compressions, and leave nothing open", async () => {
  const folder = await mkdtemp("/var/tmp/tools-logs-");
  const path = join(folder, "c-json.log");
  const readers = new LogReaders();
  const end = new AbortController();
  const line = (n: number) => `{"log":"line ${n}\\n","stream":"stdout","time":"2026-11-21T03:19:01.5Z"}\n`;
  const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => line(from + i)).join("");
  const followed = async (pauses: number) => {
    const options = { stdout: true, stderr: true, follow: true, timestamps: false, details: false };
    const life = { ended: end.signal, signal: new AbortController().signal };
    const parts: string[] = [];
    for await (const chunk of readers.read({ driver: "json-file", path, framing: "raw" }, options, life)) {
      for (let i = 0; i < pauses; i++) await setImmediate();
      parts.push(chunk.toString());
    }
    return parts.join("");
  };
  await writeFile(path, lines(0, 1000));
  const all = Promise.all(Array.from({ length: 40 }, (_, n) => followed(n % 4 === 0 ? 50 * n : 0)));
  for (let n = 1; n <= 8; n++) {
    for (let k = n; k > 0; k--) await rename(`${path}.${k}.gz`, `${path}.${k + 1}.gz`).catch(() => undefined);
    await appendFile(path, lines(n * 1000, n * 1000 + 500));
    await rename(path, `${path}.1`);
    await writeFile(path, lines(n * 1000 + 500, n * 1000 + 1000));
    await compressRotated(path, new AbortController().signal);
  }
  end.abort();
  const expected = Array.from({ length: 9000 }, (_, i) => `line ${i}\n`).join("");
  assert.deepEqual(new Set(await all), new Set([expected]));
  assert.deepEqual(
    (await readdir(folder)).filter((name) => !/log(\.\d\.gz)?$/.test(name)),
    [],
  );
  const links = await Promise.all((await readdir("/proc/self/fd")).map((fd) => readlinkOf(`/proc/self/fd/${fd}`)));
  assert.deepEqual(
    links.filter((target) => target.startsWith(folder)),
    [],
  );
  await rm(folder, { recursive: true });
});

test("shared log: nothing of a follower that leaves stays with the run that it followed", async () => {
  await using folder = await mkdtempDisposable("/var/tmp/tools-logs-");
  const path = join(folder.path, "c-json.log");
  await writeFile(path, '{"log":"line\\n","stream":"stdout","time":"2026-11-21T03:19:01.5Z"}\n');
  const [run, client] = [new AbortController(), new AbortController()];
  const options = { stdout: true, stderr: true, follow: true, timestamps: false, details: false };
  const life = { ended: run.signal, signal: client.signal };
  for await (const chunk of new LogReaders().read({ driver: "json-file", path, framing: "raw" }, options, life)) {
    assert.equal(chunk.toString(), "line\n");
    assert.equal(getEventListeners(run.signal, "abort").length, 1);
    client.abort();
  }
  assert.deepEqual(getEventListeners(run.signal, "abort"), []);
});

const readlinkOf = (path: string) => readlink(path).catch(() => "");
