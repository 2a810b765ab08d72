import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ShimConfig } from "#runtime";
import { Rig, waitFor } from "./shim-rig.ts";

/** Runs `command` to its end and returns the rig's container with its log. */
async function logOf(rig: Rig, command: string, log: Partial<ShimConfig["log"]> = {}): Promise<string> {
  const container = await rig.prepare({ args: ["sh", "-c", command], log });
  const task = await container.create();
  await task.start();
  await task.exited;
  await task.closed;
  return await container.logText();
}

const withoutTimes = (log: string): string[] =>
  log
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/"time":"[^"]*"/, '"time":"T"'));

test("log: every byte is written as dockerd writes it", async () => {
  await using rig = await Rig.start();
  const bytes = String.raw`a"b\\c/<&>\t\r\001\010\014\033[0m\177 \303\244 \342\200\250\342\200\251 \377\300\200 \355\240\200 \360\237\230\200 \360\237`;
  const log = await logOf(rig, `printf '${bytes}\\n'`);
  assert.deepEqual(withoutTimes(log), [
    String.raw`{"log":"a\"b\\c/\u003c\u0026\u003e\u0009\r\u0001\u0008\u000c\u001b[0m` +
      "\u007f ä " +
      String.raw`\u2028\u2029 \ufffd\ufffd\ufffd \ufffd\ufffd\ufffd ` +
      "😀 " +
      String.raw`\ufffd\ufffd\n","stream":"stdout","time":"T"}`,
  ]);
  assert.match(log, /"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,8}[1-9]|\.[1-9])?Z"\}\n$/);
});

test("log: attributes stand between stream and time, sorted, as Go's encoder has them", async () => {
  await using rig = await Rig.start();
  const log = await logOf(rig, "echo x", { attrs: { "b.c": "<1>", a: 'q"\t\b', "10": "ä", "9": "" } });
  assert.deepEqual(withoutTimes(log), [
    String.raw`{"log":"x\n","stream":"stdout","attrs":{"10":"ä","9":"","a":"q\"\t\b","b.c":"\u003c1\u003e"},"time":"T"}`,
  ]);
});

test("log: long lines come in parts of 16 KiB that share a time, and a last line without its end is kept so", async () => {
  await using rig = await Rig.start();
  const log = await logOf(
    rig,
    "head -c 40000 /dev/zero; echo; head -c 16384 /dev/zero; echo; head -c 16383 /dev/zero; echo; printf end",
  );
  const entries = log
    .trimEnd()
    .split("\n")
    .map((line): { log: string; time: string } => JSON.parse(line));
  assert.deepEqual(
    entries.map((entry) => [entry.log.length, entry.log.endsWith("\n")]),
    [
      [16384, false],
      [16384, false],
      [7233, true],
      [16384, false],
      [1, true],
      [16384, true],
      [3, false],
    ],
  );
  assert.equal(entries[0]?.time, entries[2]?.time);
  assert.notEqual(entries[2]?.time, entries[3]?.time);
});

test("log: it rotates like dockerd's, losing the oldest", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({
    args: ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done"],
    log: { maxSizeBytes: 100, maxFiles: 3 },
  });
  const task = await container.create();
  await task.start();
  await task.exited;
  // Each entry has about 80 bytes: the second crosses the limit and stays, the third begins a new file.
  const files = await Promise.all(
    [".2", ".1", ""].map(async (suffix) =>
      (await readFile(container.logPath + suffix, "utf8"))
        .trimEnd()
        .split("\n")
        .map((line) => String(JSON.parse(line).log)),
    ),
  );
  assert.deepEqual(files, [["line 5\n", "line 6\n"], ["line 7\n", "line 8\n"], ["line 9\n"]]);
  await assert.rejects(stat(`${container.logPath}.3`), { code: "ENOENT" });
  assert.equal((await stat(container.logPath)).mode & 0o777, 0o640);
});

test("log: one file of limited size begins anew", async () => {
  await using rig = await Rig.start();
  const log = await logOf(rig, "echo 1; echo 2; echo 3", { maxSizeBytes: 100 });
  assert.deepEqual(withoutTimes(log), ['{"log":"3\\n","stream":"stdout","time":"T"}']);
});

test("log: a second start appends", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["echo", "again"] });
  for (let round = 0; round < 2; round++) {
    const task = await container.create();
    await task.start();
    await task.closed;
  }
  assert.equal(await container.logged(), "again\nagain\n");
});

test("log: a symbolic link in its place is not followed", async () => {
  await using rig = await Rig.start();
  const target = join(rig.directory, "target");
  await writeFile(target, "untouched");
  const container = await rig.prepare({ args: ["echo", "x"] });
  execFileSync("ln", ["-s", target, container.logPath]);
  await assert.rejects(container.create(), { stage: "io", errno: 40 });
  assert.equal(await readFile(target, "utf8"), "untouched");
});

test("log: a full disk costs output, not the container, and no half line is left", async () => {
  await using rig = await Rig.start();
  const disk = join(rig.directory, "disk");
  await mkdir(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
  try {
    const container = await rig.prepare({
      args: ["sh", "-c", "seq 1 20000; exit 4"],
      log: { path: join(disk, "log") },
    });
    const task = await container.create();
    await task.start();
    assert.equal((await task.exited).exitCode, 4);
    const lines = (await readFile(join(disk, "log"), "utf8")).split("\n");
    assert.equal(lines.pop(), "");
    for (const line of lines) JSON.parse(line);
    await task.closed;
    assert.match(
      await readFile(join(container.bundle, "shim.log"), "utf8"),
      /No space left on device: output is dropped/,
    );
  } finally {
    execFileSync("umount", [disk]);
  }
});

test("log: the local driver's entries stand between their lengths", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["echo", "hello"], log: { driver: "local" } });
  const task = await container.create();
  await task.start();
  await task.exited;
  const bytes = await readFile(container.logPath);
  const size = bytes.readUInt32BE(0);
  assert.equal(bytes.length, size + 8);
  assert.equal(bytes.readUInt32BE(size + 4), size);
  assert.equal(bytes.subarray(4, 12).toString("latin1"), "\n\u0006stdout");
  assert.equal(bytes.subarray(-11, -4).toString("latin1"), "\u001a\u0005hello");
});

test("log: a non-blocking one has everything that fits, and keeps its order", async () => {
  await using rig = await Rig.start();
  const log = { mode: "non-blocking", maxBufferBytes: 16 << 20, maxSizeBytes: 1_000_000, maxFiles: 100 } as const;
  const container = await rig.prepare({ args: ["seq", "1", "50000"], log });
  const task = await container.create();
  await task.start();
  await task.exited;
  let text = "";
  for (const name of (await readdir(rig.directory)).filter((file) => file.includes(".log")).sort(byAge))
    text += await readFile(join(rig.directory, name), "utf8");
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => String(JSON.parse(line).log));
  assert.deepEqual(
    lines,
    Array.from({ length: 50000 }, (_, i) => `${i + 1}\n`),
  );
});

/** The file without a number is the newest, the highest number the oldest. */
const byAge = (a: string, b: string): number => Number(/\d+$/.exec(b)?.[0] ?? 0) - Number(/\d+$/.exec(a)?.[0] ?? 0);

test("log: a non-blocking one never makes the container wait", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({
    args: ["sh", "-c", "seq 1 300000; echo done >&2; exec sleep 1000"],
    log: { mode: "non-blocking", maxBufferBytes: 1000 },
  });
  const task = await container.create();
  const socket = await task.attach({ stdin: false, stdout: false, stderr: true });
  await task.start();
  const children = await readFile(
    `/proc/${await parentOf(task.pid)}/task/${await parentOf(task.pid)}/children`,
    "utf8",
  );
  const writer = Number(children.split(" ").find((pid) => Number(pid) !== task.pid));
  process.kill(writer, "SIGSTOP"); // a disk that hangs
  await waitFor(socket, "done");
  process.kill(writer, "SIGCONT");
  socket.destroy();
});

async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}

test("log: none writes none", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["echo", "x"], log: { driver: "none" } });
  const task = await container.create();
  await task.start();
  assert.equal((await task.exited).exitCode, 0);
  await assert.rejects(stat(container.logPath), { code: "ENOENT" });
});
