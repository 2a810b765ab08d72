import { readdir, readFile } from "node:fs/promises";
import { errnoOf } from "#base/errors";

/** A process, or a thread of one, as /proc shows it (proc(5)). Times are clock ticks of 10 ms, sizes as named. */
export interface Process {
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly state: string;
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  readonly tty: number;
  readonly tpgid: number;
  readonly flags: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  readonly userTicks: number;
  readonly systemTicks: number;
  readonly priority: number;
  readonly nice: number;
  readonly threads: number;
  /** Since the machine was started. */
  readonly startTicks: number;
  readonly virtualBytes: number;
  readonly residentPages: number;
  readonly textBytes: number;
  readonly processor: number;
  readonly realtimePriority: number;
  readonly policy: number;
  /** Real, effective, saved, file system. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly lockedKb: number;
  readonly args: string;
  readonly waitChannel: string;
  readonly cgroup: string;
  /** Sets of signals, in hexadecimal. */
  readonly signals: Readonly<Record<"pending" | "blocked" | "ignored" | "caught", string>>;
}

/** What columns need to know of the machine. */
export interface Machine {
  readonly nowMs: number;
  readonly uptimeSeconds: number;
  readonly memoryKb: number;
  readonly users: ReadonlyMap<number, string>;
  readonly groups: ReadonlyMap<number, string>;
}

export const ticksPerSecond = 100;
export const pageKb = 4;

/** undefined: it has ended. Everything is read on the host's side; no file of the container is looked at (podman CVE-2022-1227). */
export const readProcess = (pid: number): Promise<Process | undefined> => read(pid, pid, `/proc/${pid}`);

export async function readThreads(pid: number): Promise<Process[]> {
  const folder = `/proc/${pid}/task`;
  const tids = (await unlessEnded(readdir(folder))) ?? [];
  const threads = await Promise.all(tids.map((tid) => read(pid, Number(tid), `${folder}/${tid}`)));
  return threads.filter((thread) => thread !== undefined);
}

function read(pid: number, tid: number, folder: string): Promise<Process | undefined> {
  const text = (file: string) => readFile(`${folder}/${file}`, "utf8");
  const files = ["stat", "status", "cmdline", "cgroup"].map(text);
  return unlessEnded(
    Promise.all([...files, text("wchan").catch(() => "0")]).then(
      ([stat = "", status = "", cmdline = "", cgroup = "", waitChannel = ""]) =>
        parseProcess(pid, { stat, status, cmdline, waitChannel, cgroup }, tid),
    ),
  );
}

async function unlessEnded<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}

interface ProcFiles {
  readonly stat: string;
  readonly status: string;
  readonly cmdline: string;
  readonly waitChannel: string;
  readonly cgroup: string;
}

export function parseProcess(pid: number, files: ProcFiles, tid = pid): Process {
  // The name is whatever the process calls itself, with blanks and brackets: the last bracket is the kernel's.
  const close = files.stat.lastIndexOf(")");
  const comm = printable(files.stat.slice(files.stat.indexOf("(") + 1, close));
  const fields = files.stat.slice(close + 2).split(" ");
  const field = (n: number) => Number(fields[n - 3] ?? 0);
  const statusText = (key: string) => new RegExp(`^${key}:\\s+(.*)$`, "m").exec(files.status)?.[1] ?? "";
  const status = (key: string) =>
    statusText(key)
      .split(/\s+/)
      .map((text) => Number(text) || 0);
  const state = fields[0] ?? "?";
  const args = printable(files.cmdline.replace(/\0+$/, "").replaceAll("\0", " "));
  return {
    pid,
    tid,
    comm,
    state,
    ppid: field(4),
    pgid: field(5),
    sid: field(6),
    tty: field(7),
    tpgid: field(8),
    flags: field(9),
    minorFaults: field(10),
    majorFaults: field(12),
    userTicks: field(14),
    systemTicks: field(15),
    priority: field(18),
    nice: field(19),
    threads: field(20),
    startTicks: field(22),
    virtualBytes: field(23),
    residentPages: field(24),
    textBytes: field(27) - field(26),
    processor: field(39),
    realtimePriority: field(40),
    policy: field(41),
    uids: status("Uid"),
    gids: status("Gid"),
    lockedKb: status("VmLck")[0] ?? 0,
    args: args !== "" ? args : state === "Z" ? `[${comm}] <defunct>` : `[${comm}]`,
    waitChannel: files.waitChannel === "0" || files.waitChannel === "" ? "-" : files.waitChannel,
    cgroup: files.cgroup.trim().replaceAll("\n", ","),
    signals: {
      pending: statusText("ShdPnd"),
      blocked: statusText("SigBlk"),
      ignored: statusText("SigIgn"),
      caught: statusText("SigCgt"),
    },
  };
}

/** Control characters must not reach the terminal of whoever looks: ps shows a question mark. */
const printable = (text: string): string => text.replace(/[\x00-\x1f\x7f]/g, "?");

export async function readMachine(nowMs: number): Promise<Machine> {
  const [uptime, memory, passwd, group] = await Promise.all([
    readFile("/proc/uptime", "utf8"),
    readFile("/proc/meminfo", "utf8"),
    readFile("/etc/passwd", "utf8").catch(() => ""),
    readFile("/etc/group", "utf8").catch(() => ""),
  ]);
  return {
    nowMs,
    uptimeSeconds: Number.parseFloat(uptime),
    memoryKb: Number(/^MemTotal:\s+(\d+)/m.exec(memory)?.[1] ?? 1),
    users: namesById(passwd),
    groups: namesById(group),
  };
}

function namesById(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , id] = line.split(":");
    if (name && id && !names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}
