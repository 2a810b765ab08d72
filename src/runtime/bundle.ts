import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import { stringifyExact } from "#base/exact-json";
import type { Spec } from "./oci-spec.ts";
import type { ShimConfig } from "./shim-config.ts";
import { refuseUnfitText } from "./unfit-text.ts";
import { type ExitRecord, parseExitRecord } from "./wire.ts";

/**
 * Makes the folder that a shim is started on, or makes it anew for another start: what the last task left is removed.
 * Only root may look into it. The caller removes it.
 */
export async function writeBundle(directory: string, files: { spec: Spec; shim: ShimConfig }): Promise<void> {
  const { process } = files.spec;
  if (process !== undefined) refuseUnfitText(process, "unable to start container process: error during container init");
  await mkdir(join(directory, "rootfs"), { recursive: true, mode: 0o700 });
  await Promise.all([
    writeFile(join(directory, "config.json"), stringifyExact(files.spec), { mode: 0o600 }),
    writeFile(join(directory, "shim.json"), stringifyExact(files.shim), { mode: 0o600 }),
    rm(join(directory, "exit.json"), { force: true }),
  ]);
}

/** How the bundle's task ended; undefined while it has not, or if its shim was killed before it could write. */
export async function readExitRecord(bundle: string): Promise<ExitRecord | undefined> {
  try {
    return parseExitRecord(JSON.parse(await readFile(join(bundle, "exit.json"), "utf8")));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
