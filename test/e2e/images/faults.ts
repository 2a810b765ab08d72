import { readdirSync } from "node:fs";
import { join } from "node:path";
import { subjectOf, verifyStore } from "#storage";

/** What `minidock store verify` finds, and files on their way that nobody brings to an end any more. */
export async function faultsOf(dataRoot: string): Promise<string[]> {
  const faults: string[] = [];
  for await (const fault of verifyStore(dataRoot)) faults.push(`${subjectOf(fault)}: ${fault.problem}`);
  const ingest = readdirSync(join(dataRoot, "content/ingest"));
  return [...faults, ...ingest.filter((name) => !name.endsWith(".partial")).map((name) => `left over: ${name}`)];
}
