import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Engine } from "./engine.ts";
import { round } from "./measure.ts";

const count = 25;

/**
 * kB for each running container: its shim, and what the daemons have grown by since they had as many before. A page that several
 * processes share counts by its part (PSS).
 */
export async function kbPerContainer(engine: Engine): Promise<number> {
  await engine.docker("rm", "-f", ...(await startAll(engine)));
  const before = engineKb(engine, []);
  const ids = await startAll(engine);
  const after = engineKb(engine, ids);
  await engine.docker("rm", "-f", ...ids);
  return round((after - before) / count);
}

async function startAll(engine: Engine): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await engine.docker("run", "-d", "busybox", "sleep", "10000"));
  return ids;
}

/** The daemon, what it has started, and the shims of these containers, wherever they hang; not what runs in containers. */
function engineKb({ host }: Engine, containers: readonly string[]): number {
  const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? processOf(name) : []));
  const own = new Set<string>();
  for (const process of all) {
    if (containers.some((id) => process.command.includes(id)) || isServing(process, host)) own.add(process.pid);
  }
  // A parent may come after its child, so go on until nothing is added.
  for (let before = 0; before < own.size; ) {
    before = own.size;
    for (const { pid, parent } of all) if (own.has(parent)) own.add(pid);
  }
  return [...own].reduce((sum, pid) => sum + pssKb(pid), 0);
}

interface Process {
  readonly pid: string;
  readonly parent: string;
  readonly name: string;
  readonly command: string;
}

/** Processes of others come and go while these are looked at. */
function unlessGone<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

/** Of this machine's own pid namespace, which those in containers are not. */
const processOf = (pid: string): Process[] =>
  unlessGone(() => {
    if (readlinkSync(`/proc/${pid}/ns/pid`) !== readlinkSync("/proc/self/ns/pid")) return [];
    const [, name = "", parent = ""] = /\((.*)\) \w (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return [{ pid, parent, name, command: readFileSync(`/proc/${pid}/cmdline`, "utf8") }];
  }, []);

/** Whether it listens on the engine's socket, which another mount namespace may see in another folder. */
const isServing = ({ pid, name }: Process, host: string): boolean =>
  unlessGone(() => {
    if (name !== "dockerd" && name !== "minidockd") return false;
    const end = host.split("/").slice(-2).join("/");
    const sockets = readFileSync(`/proc/${pid}/net/unix`, "utf8").split("\n");
    const socket = `socket:[${sockets.find((line) => line.endsWith(`/${end}`))?.split(/\s+/)[6]}]`;
    const descriptors = readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`);
    return descriptors.some((path) => unlessGone(() => readlinkSync(path), "") === socket);
  }, false);

const pssKb = (pid: string): number =>
  unlessGone(() => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]), 0);
