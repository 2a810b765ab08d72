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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
