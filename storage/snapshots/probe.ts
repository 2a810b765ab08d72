import { closeSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#base/errors";
import { setxattr } from "#native";
import { mountDetached, type OverlayParts } from "./overlay.ts";

const parts: OverlayParts = { lower: ["lower"], upper: "upper" };

/** Throws when containers could not live in `directory`: overlayfs wants much of the file system below it. */
export function requireOverlay(directory: string, execRoot: string): void {
  const probe = join(directory, "probe");
  rmSync(probe, { recursive: true, force: true });
  for (const folder of ["lower", "upper/fs", "upper/work"])
    mkdirSync(join(probe, folder), { recursive: true, mode: 0o700 });
  try {
    // What says in an image's layer that a folder hides those below it.
    setxattr(join(probe, "lower"), "trusted.overlay.opaque", Buffer.from("y"));
    closeSync(mountDetached(parts, probe, execRoot));
  } catch (error) {
    throw new Error(
      `the file system of ${directory} cannot hold containers: no overlayfs on it (${messageOf(error)})`,
      {
        cause: error,
      },
    );
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
