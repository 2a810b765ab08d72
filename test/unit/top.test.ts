import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { parseArguments } from "../../src/engine/container/ps/arguments.ts";
import { format } from "../../src/engine/container/ps/format.ts";
import {
  type Machine,
  type Process,
  parseProcess,
  readMachine,
  readProcess,
  readThreads,
} from "../../src/engine/container/ps/process.ts";

const machine: Machine = {
  nowMs: new Date(2026, 10, 21, 12, 0, 0).getTime(),
  uptimeSeconds: 100_000,
  memoryKb: 1_000_000,
  users: new Map([
    [0, "root"],
    [101, "a-rather-long-name"],
  ]),
  groups: new Map(),
};
const stat = (pid: number, ppid: number, comm: string, startTicks = 9_999_000) =>
  `${pid} (${comm}) S ${ppid} 7 7 34817 7 4194560 10 0 2 0 250 50 0 0 20 0 1 0 ${startTicks} 4096000 500 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0\n`;
const process = (pid: number, ppid: number, args: string, comm = "sh", uid = 0): Process =>
  parseProcess(pid, {
    stat: stat(pid, ppid, comm),
    status: `Uid:\t${uid}\t${uid}\t${uid}\t${uid}\nGid:\t0\t0\t0\t0\n`,
    cmdline: args.replaceAll(" ", "\0"),
    waitChannel: "0",
    cgroup: "0::/docker/x\n",
  });
const top = (psArguments: string, ...processes: Process[]) =>
  format(parseArguments(psArguments.split(" ")), processes, machine);

test("top: -ef shows the columns that dockerd shows", () => {
  const { Titles, Processes } = top("-ef", process(7, 1, "sh -c sleep 9"), process(8, 7, "sleep 9", "sleep", 101));
  assert.deepEqual(Titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
  assert.deepEqual(Processes, [
    ["root", "7", "1", "30", "11:59", "pts/1", "00:00:03", "sh -c sleep 9"],
    ["a-rathe+", "8", "7", "30", "11:59", "pts/1", "00:00:03", "sleep 9"],
  ]);
});

test("top: aux and -aux are the same", () => {
  const expected = ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"];
  assert.deepEqual(top("aux", process(7, 1, "sh")).Titles, expected);
  assert.deepEqual(top("-aux", process(7, 1, "sh")), top("aux", process(7, 1, "sh")));
  assert.deepEqual(top("aux", process(7, 1, "sh")).Processes, [
    ["root", "7", "30.0", "0.2", "4000", "2000", "pts/1", "Ss+", "11:59", "0:03", "sh"],
  ]);
});

test("top: columns of the client's choice, with titles and widths of its own", () => {
  const result = top("-eo pid,user:20,comm=NAME", process(7, 1, "sh", "sh", 101));
  assert.deepEqual(result, { Titles: ["PID", "USER", "NAME"], Processes: [["7", "a-rather-long-name", "sh"]] });
});

test("top: a forest puts children below their parents", () => {
  const rows = top("f -o pid,args", process(9, 7, "leaf"), process(7, 1, "root x"), process(8, 9, "twig"));
  assert.deepEqual(rows.Processes, [
    ["7", "root x"],
    ["9", "\\_ leaf"],
    ["8", "\\_ twig"],
  ]);
});

test("top: a process without arguments shows its name, with nothing in it that a terminal obeys", () => {
  assert.equal(top("-o pid,cmd", process(7, 1, "", "a) (b\x1b")).Processes[0]?.[1], "[a) (b?]");
});

test("top: no PID column is refused in moby's words", () => {
  for (const text of ["-eo cmd", "--no-headers -o pid", "-o pid=ID,comm"]) {
    assert.throws(() => top(text, process(7, 1, "sh")), {
      kind: "system",
      message: "Couldn't find PID field in ps output",
    });
  }
});

test("top: a blank before the PID column confuses us as it confuses dockerd", () => {
  assert.throws(() => top("-o args,pid", process(7, 1, "sh -c x")), {
    message: `Unexpected pid '-c': strconv.Atoi: parsing "-c": invalid syntax`,
  });
});

test("top: what procps refuses is refused in its words", () => {
  const messages = {
    "--bogus": "error: unknown gnu long option",
    "-o foo": 'error: unknown user-defined format specifier "foo"',
    "-k": "error: unsupported SysV option",
    "-y": "error: modifier -y without format -l makes no sense",
  };
  for (const [text, message] of Object.entries(messages)) assert.throws(() => top(text), { message });
});

const clockPattern = /^(\d\d):(\d\d)(?::(\d\d))?$/;
const withoutClock = (field: string): string => field.replace(clockPattern, "clock");
function secondsOf(field: string): number {
  const [, hours = 0, minutes = 0, seconds = 0] = clockPattern.exec(field) ?? [];
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

const hasPs = spawnSync("ps", ["--version"]).stdout?.includes("procps") ?? false;
for (const text of [
  "-ef",
  "aux",
  "-F",
  "-l",
  "-ly",
  "l",
  "j",
  "-j",
  "-jLfPM",
  "-Tj l",
  "-Lj u",
  "-cLfl",
  "a -F",
  "-v",
  "s",
  "-Lm v",
  "mu",
  "-o pid,ppid,etime,time,args",
  "-o pid,lstart,bsdstart",
]) {
  test(`top: ${text} says what ps says of a process`, { skip: !hasPs && "needs procps" }, async () => {
    using sleeper = spawn("sleep", ["1000"]);
    await once(sleeper, "spawn");
    const pid = Number(sleeper.pid);
    const [self, tasks] = await Promise.all([readProcess(pid), readThreads(pid)]);
    assert.ok(self);
    const { Titles, Processes } = format(
      parseArguments(text.split(" ")),
      [{ ...self, tasks }],
      await readMachine(Date.now()),
    );
    const { stdout } = spawnSync("ps", [...text.split(" "), "-ww", `-q${pid}`], { encoding: "utf8" });
    const [titles = "", ...rows] = stdout.trim().split("\n");
    assert.deepEqual(Titles, titles.trim().split(/\s+/));
    // What moves between two looks: times, sizes, states.
    const moving = new Set([
      "C",
      "%CPU",
      "%MEM",
      "MAJFL",
      "DRS",
      "RSS",
      "SZ",
      "VSZ",
      "PSR",
      "S",
      "STAT",
      "WCHAN",
      "TIME",
      "ELAPSED",
    ]);
    const steady = (fields: readonly string[]) => fields.filter((_, i) => !moving.has(Titles[i] ?? ""));
    const ours = Processes.flatMap((fields) => steady(fields.join(" ").split(" ")));
    const theirs = rows.flatMap((row) => steady(row.trim().split(/\s+/)));
    assert.deepEqual(ours.map(withoutClock), theirs.map(withoutClock));
    // Both add the process's age to a boot time that each measures for itself: a second apart is the same.
    for (const [i, clock] of ours.entries()) assert.ok(Math.abs(secondsOf(clock) - secondsOf(theirs[i] ?? "")) <= 60);
  });
}
