import { readFileSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { EngineError } from "#base/errors";

/** Refuses to start beside a living process that wrote the same file; removed with the daemon. */
export async function holdPidfile(path: string): Promise<AsyncDisposable> {
  const pid = Number(await readFile(path, "utf8").catch(() => ""));
  if (pid > 0 && pid !== process.pid && isAlive(pid)) {
    throw new EngineError("conflict", `process with PID ${pid} is still running`);
  }
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${process.pid}`);
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}

/** A killed daemon that nobody has waited for yet still has its number: state Z of proc_pid_stat(5). */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}
