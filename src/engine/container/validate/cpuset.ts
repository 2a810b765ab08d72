/** `--cpuset-cpus` and `--cpuset-mems`: lists like "0-2,5" (moby pkg/sysinfo, parseUintList). */
import { EngineError } from "#base/errors";
import { parseCpuList } from "../../spec/host-info.ts";

/** Larger numbers would only serve to fill the daemon's memory (CVE-2018-20699). */
const maxNumber = 8192;

export interface CpusetNames {
  readonly short: string;
  readonly long: string;
}

/** `available` is the kernel's list. */
export function checkCpuset(wanted: string, available: string, names: CpusetNames): void {
  if (wanted === "") return;
  const has = new Set(parseCpuList(available));
  const numbers = parseList(wanted, Math.max(maxNumber, ...has), names.short);
  if (numbers.every((number) => has.has(number))) return;
  throw new EngineError(
    "invalidParameter",
    `Requested ${names.long} are not available - requested ${wanted}, available: ${available}`,
  );
}

function parseList(text: string, max: number, name: string): number[] {
  const invalid = (reason: string): EngineError =>
    new EngineError("invalidParameter", `Invalid value ${text} for cpuset ${name}: ${reason}`);
  return text.split(",").flatMap((part) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) throw invalid(`invalid format: ${text}`);
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) throw invalid(`invalid format: ${text}`);
    if (last > max) throw invalid(`value of out range, maximum is ${max}`);
    return Array.from({ length: last - first + 1 }, (_, n) => first + n);
  });
}
