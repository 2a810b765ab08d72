import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, errnoOf, messageOf } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { CdiDevice, CdiSpec } from "./spec-file.ts";
import { validateSpec } from "./validate.ts";

/** A device with the specification that brings it. */
export interface FoundDevice {
  readonly device: CdiDevice;
  readonly spec: CdiSpec;
  readonly path: string;
}

export interface CdiListing {
  /** By qualified name: "vendor.com/class=name". */
  readonly devices: ReadonlyMap<string, FoundDevice>;
  /** What is wrong with which file. */
  readonly problems: readonly (readonly [path: string, problem: string])[];
}

/** All that the directories have now; what a later directory defines counts. */
export async function findDevices(directories: readonly string[]): Promise<CdiListing> {
  const devices = new Map<string, FoundDevice>();
  const problems: [string, string][] = [];
  const conflicts = new Set<string>();
  for (const directory of directories) {
    const own = new Map<string, FoundDevice>();
    for (const path of await specFilesIn(directory)) {
      const spec = await loadSpec(path).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") problems.push([path, `failed to load CDI Spec ${messageOf(error)}`]);
        return undefined;
      });
      if (spec === undefined) continue;
      for (const device of spec.devices) {
        const name = `${spec.kind}=${device.name}`;
        const other = own.get(name);
        if (other === undefined) own.set(name, { device, spec, path });
        else {
          const problem = `conflicting device ${goQuote(name)} (specs ${goQuote(path)}, ${goQuote(other.path)})`;
          problems.push([path, problem], [other.path, problem]);
          conflicts.add(name);
        }
      }
    }
    for (const [name, found] of own) devices.set(name, found);
  }
  for (const name of conflicts) devices.delete(name);
  return { devices, problems };
}

async function specFilesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => !entry.isDirectory() && /\.(json|yaml)$/.test(entry.name));
  return files.map(({ name }) => join(directory, name)).sort();
}

async function loadSpec(path: string): Promise<CdiSpec> {
  const text = await readFile(path, "utf8");
  // The YAML parser is loaded only where there is something to parse.
  const { parseSpec } = await import("./spec-file.ts");
  const spec = attempt(`failed to parse CDI Spec ${goQuote(path)}: failed to unmarshal CDI Spec`, () =>
    parseSpec(text),
  );
  if (spec === undefined) throw new Error(`failed to parse CDI Spec ${goQuote(path)}, no Spec data`);
  attempt("invalid CDI Spec", () => validateSpec(spec));
  return spec;
}
