/** minirelay outlives the daemon that started it: the next one knows it by its command line. */
import { readdir, readFile } from "node:fs/promises";
import { sleep } from "#base/clock";
import { EngineError } from "#base/errors";
import type { Spawner } from "#runtime";
import { nativeBinary } from "./paths.ts";
import { isAlive } from "./pidfile.ts";

const patienceMs = 10_000;

export const relayProcess = (spawner: Spawner, binary = nativeBinary("minirelay")) => ({
  launch: (socket: string) => spawner.help(binary, socket),
  kill: async (socket: string): Promise<void> => {
    const pids = await pidsOf(socket);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    for (const deadline = performance.now() + patienceMs; pids.some(isAlive); await sleep(10)) {
      if (performance.now() > deadline) throw new EngineError("system", `minirelay (${pids}) cannot be killed`);
    }
  },
});

async function pidsOf(socket: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const isRelay = async (pid: string) => {
    const [program = "", ...rest] = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    return program.endsWith("/minirelay") && rest.join() === `${socket},`;
  };
  const found = await Promise.all(pids.map(async (pid) => ((await isRelay(pid)) ? [Number(pid)] : [])));
  return found.flat();
}
