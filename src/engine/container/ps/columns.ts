import { type Machine, type Process, pageKb, ticksPerSecond } from "./process.ts";

/** A column of ps(1): the title that procps gives it, and what it shows of a process. */
export interface Column {
  readonly title: string;
  readonly text: (process: Process, machine: Machine) => string;
  /** Names longer than this are cut with a plus sign. */
  readonly width?: number;
  /** Where threads stand below their process, the other of the two has a dash here. */
  readonly only?: "process" | "thread";
}

const columns = new Map<string, Column>();

export const findColumn = (name: string): Column | undefined => columns.get(name);

/** Several words of ps mean the same column; some of them under another title. */
function define(names: string, title: string, text: Column["text"], width?: number): void {
  const only = onlyOf.get(title);
  const column = { title, text, ...(width === undefined ? {} : { width }), ...(only === undefined ? {} : { only }) };
  for (const name of names.split(" ")) columns.set(name, column);
}

const ofProcesses =
  "PID TGID PPID PGID PGRP SID SESS TPGID COMMAND CMD TTY TT NLWP THCNT CGROUP VSZ RSS RSZ SZ TRS DRS %MEM";
const ofThreads = "LWP TID SPID S STAT PRI NI RTPRIO CLS PSR CPUID WCHAN BLOCKED IGNORED CAUGHT";
const onlyOf = new Map(
  [ofProcesses, ofThreads].flatMap((titles, index) =>
    titles.split(" ").map((title) => [title, index === 0 ? "process" : "thread"] as const),
  ),
);

define("pid tgid", "PID", (p) => String(p.pid));
define("tgid", "TGID", (p) => String(p.pid));
define("lwp", "LWP", (p) => String(p.tid));
define("tid", "TID", (p) => String(p.tid));
define("spid", "SPID", (p) => String(p.tid));
define("ppid", "PPID", (p) => String(p.ppid));
define("pgid pgrp", "PGID", (p) => String(p.pgid));
define("pgrp", "PGRP", (p) => String(p.pgid));
define("sid", "SID", (p) => String(p.sid));
define("sess session", "SESS", (p) => String(p.sid));
define("tpgid", "TPGID", (p) => String(p.tpgid));

const userName = (index: number) => (p: Process, m: Machine) => nameOf(m.users, p.uids[index]);
const groupName = (index: number) => (p: Process, m: Machine) => nameOf(m.groups, p.gids[index]);
define("user uname", "USER", userName(1), 8);
define("euser", "EUSER", userName(1), 8);
define("ruser", "RUSER", userName(0), 8);
define("suser svuser", "SUSER", userName(2), 8);
define("fuser fsuser", "FUSER", userName(3), 8);
define("uid_hack", "UID", userName(1), 8);
define("uid", "UID", (p) => String(p.uids[1] ?? 0));
define("euid", "EUID", (p) => String(p.uids[1] ?? 0));
define("ruid", "RUID", (p) => String(p.uids[0] ?? 0));
define("suid svuid", "SUID", (p) => String(p.uids[2] ?? 0));
define("group", "GROUP", groupName(1), 8);
define("egroup", "EGROUP", groupName(1), 8);
define("rgroup", "RGROUP", groupName(0), 8);
define("gid", "GID", (p) => String(p.gids[1] ?? 0));
define("egid", "EGID", (p) => String(p.gids[1] ?? 0));
define("rgid", "RGID", (p) => String(p.gids[0] ?? 0));

const comm = (p: Process) => (p.state === "Z" ? `${p.comm} <defunct>` : p.comm);
define("comm ucomm fname", "COMMAND", comm);
define("ucmd", "CMD", comm);
define("args command", "COMMAND", (p) => p.args);
define("cmd", "CMD", (p) => p.args);

define("tty tname longtname tty4 tty8", "TTY", (p) => ttyName(p.tty));
define("tt", "TT", (p) => ttyName(p.tty));
define("s state", "S", (p) => p.state);
define("stat", "STAT", stateFlags);
define("f flag flags", "F", (p) => ((p.flags >> 6) & 7).toString(8));
define("pri", "PRI", (p) => String(39 - p.priority));
define("opri intpri", "PRI", (p) => String(p.priority + 60));
define("priority", "PRI", (p) => String(p.priority));
define("ni nice", "NI", (p) => String(p.nice));
define("rtprio", "RTPRIO", (p) => (p.realtimePriority === 0 ? "-" : String(p.realtimePriority)));
define("cls class", "CLS", (p) => ["TS", "FF", "RR", "B", "ISO", "IDL", "DLN"][p.policy] ?? "?");
define("psr", "PSR", (p) => String(p.processor));
define("cpuid", "CPUID", (p) => String(p.processor));
define("nlwp", "NLWP", (p) => String(p.threads));
define("thcount", "THCNT", (p) => String(p.threads));
define("wchan wname", "WCHAN", (p) => p.waitChannel.slice(0, 6));
define("cgroup", "CGROUP", (p) => p.cgroup);
define("label context", "LABEL", () => "-");

define("vsz vsize", "VSZ", (p) => String(Math.floor(p.virtualBytes / 1024)));
define("rss rssize", "RSS", (p) => String(p.residentPages * pageKb));
define("rsz", "RSZ", (p) => String(p.residentPages * pageKb));
define("sz", "SZ", (p) => String(Math.floor(p.virtualBytes / 1024 / pageKb)));
define("min_flt minflt", "MINFL", (p) => String(p.minorFaults));
define("maj_flt majflt pagein", "MAJFL", (p) => String(p.majorFaults));
define("pcpu %cpu", "%CPU", (p, m) => tenths(cpuPerMille(p, m)));
define("pmem %mem", "%MEM", (p, m) =>
  tenths(Math.min(999, Math.floor((p.residentPages * pageKb * 1000) / m.memoryKb))),
);
define("c util", "C", (p, m) => String(Math.min(99, Math.floor(cpuPerMille(p, m) / 10))));

define("trs", "TRS", (p) => String(Math.floor(p.textBytes / 1024)));
define("drs", "DRS", (p) => String(Math.floor((p.virtualBytes - p.textBytes) / 1024)));
define("pending sig", "PENDING", (p) => p.signals.pending);
define("blocked sigmask sig_block", "BLOCKED", (p) => p.signals.blocked);
define("ignored sigignore sig_ignore", "IGNORED", (p) => p.signals.ignored);
define("caught sigcatch sig_catch", "CAUGHT", (p) => p.signals.caught);

const cpuSeconds = (p: Process) => Math.floor((p.userTicks + p.systemTicks) / ticksPerSecond);
const elapsed = (p: Process, m: Machine) => Math.max(0, Math.floor(m.uptimeSeconds - p.startTicks / ticksPerSecond));
const started = (p: Process, m: Machine) =>
  new Date(m.nowMs - (m.uptimeSeconds - p.startTicks / ticksPerSecond) * 1000);
define("time cputime atime", "TIME", (p) => clock(cpuSeconds(p), "hours"));
define("cputimes times", "TIME", (p) => String(cpuSeconds(p)));
define("bsdtime", "TIME", (p) => `${Math.floor(cpuSeconds(p) / 60)}:${two(cpuSeconds(p) % 60)}`);
define("etime", "ELAPSED", (p, m) => clock(elapsed(p, m), "minutes"));
define("etimes", "ELAPSED", (p, m) => String(elapsed(p, m)));
define("stime", "STIME", (p, m) => shortStart(started(p, m), new Date(m.nowMs)));
define("start_time", "START", (p, m) => shortStart(started(p, m), new Date(m.nowMs)));
define("bsdstart", "START", (p, m) => bsdStart(started(p, m), m.nowMs));
define("start", "STARTED", (p, m) => longStart(started(p, m), m.nowMs));
define("lstart", "STARTED", (p, m) => ctime(started(p, m)));

function nameOf(names: ReadonlyMap<number, string>, id = 0): string {
  return names.get(id) ?? String(id);
}

/** Linux' dev_t of a terminal: major in bits 8–19, minor in the rest (proc_pid_stat(5)). */
function ttyName(device: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (device === 0) return "?";
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  if (major === 4) return minor < 64 ? `tty${minor}` : `ttyS${minor - 64}`;
  return device === 0x501 ? "console" : "?";
}

function stateFlags(p: Process): string {
  const flags = [
    p.nice < 0 ? "<" : p.nice > 0 ? "N" : "",
    p.lockedKb > 0 ? "L" : "",
    p.sid === p.pid ? "s" : "",
    p.threads > 1 ? "l" : "",
    p.tpgid === p.pgid ? "+" : "",
  ];
  return p.state + flags.join("");
}

function cpuPerMille(p: Process, m: Machine): number {
  const seconds = elapsed(p, m);
  return seconds === 0 ? 0 : Math.floor(((p.userTicks + p.systemTicks) * 1000) / ticksPerSecond / seconds);
}

const tenths = (perMille: number): string =>
  perMille > 999 ? String(Math.floor(perMille / 10)) : `${Math.floor(perMille / 10)}.${perMille % 10}`;
const two = (value: number): string => String(value).padStart(2, "0");

/** `[DD-]hh:mm:ss`; an elapsed time leaves the hours out as well when there are none. */
function clock(seconds: number, least: "hours" | "minutes"): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor(seconds / 3600) % 24;
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  if (days > 0) return `${two(days)}-${two(hours)}:${rest}`;
  return hours > 0 || least === "hours" ? `${two(hours)}:${rest}` : rest;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const monthDay = (date: Date, gap = "") => `${months[date.getMonth()]}${gap}${two(date.getDate())}`;
const hourMinute = (date: Date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
const dayMs = 86_400_000;

function shortStart(start: Date, now: Date): string {
  if (start.getFullYear() !== now.getFullYear()) return String(start.getFullYear());
  return start.toDateString() === now.toDateString() ? hourMinute(start) : monthDay(start);
}

const bsdStart = (start: Date, nowMs: number): string =>
  nowMs - start.getTime() < dayMs ? hourMinute(start) : monthDay(start);

const longStart = (start: Date, nowMs: number): string =>
  nowMs - start.getTime() < dayMs ? `${hourMinute(start)}:${two(start.getSeconds())}` : monthDay(start, " ");

/** As ctime(3), for columns that say all. */
const ctime = (d: Date): string =>
  `${days[d.getDay()]} ${months[d.getMonth()]} ${String(d.getDate()).padStart(2)} ${hourMinute(d)}:${two(d.getSeconds())} ${d.getFullYear()}`;
