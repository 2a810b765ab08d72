import { statfsSync } from "node:fs";

/**
 * Fails with ENOSPC while there is still room for the database, which must be able to record that something was removed.
 * Of a small file system the reserve is a small part.
 */
export function checkSpace(directory: string, reserveBytes: number): void {
  const { bavail, blocks, bsize } = statfsSync(directory);
  if (bavail * bsize >= Math.min(reserveBytes, (blocks * bsize) / 50)) return;
  throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
}
