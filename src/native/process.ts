import { bind } from "./call.ts";

const sysExit = bind("_exit", "void", ["int"]);
/** Ends the process at once: no handler runs, and no thread is waited for. */
export function exitNow(status: number): never {
  sysExit(status);
  throw new Error("_exit returned");
}
