import { chownSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Owner } from "#base/id-mappings";

/** And the ones above it; what it makes is the owner's. */
export function makeFolder(path: string, owner: Owner | undefined): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o755 });
  if (owner === undefined || first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) chownSync(made, owner.uid, owner.gid);
}
