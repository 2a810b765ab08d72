import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { type Digest, sha256Digest } from "#base/ids";
import { AT_FDCWD, O_DIRECTORY, O_PATH, openat2 } from "#native";
import { packTree } from "./packer.ts";

const chunkBytes = 1 << 20;

/** A digest of all that a layer's tree says: names, kinds, owners, modes, xattrs, whiteouts and bytes. Not of times. */
export function fingerprintTree(directory: string): Digest {
  const fd = openat2(AT_FDCWD, directory, { flags: O_PATH | O_DIRECTORY });
  try {
    const hash = createHash("sha256");
    const options = { name: "", whiteouts: "overlay", xattrs: "all", times: "none" } as const;
    packTree(fd, ".", options, (bytes) => hash.update(bytes));
    return sha256Digest(hash.digest("hex"));
  } finally {
    closeSync(fd);
  }
}

export function hashFile(path: string): Digest {
  const fd = openSync(path, "r");
  try {
    const hash = createHash("sha256");
    const chunk = Buffer.allocUnsafe(chunkBytes);
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk))
      hash.update(chunk.subarray(0, length));
    return sha256Digest(hash.digest("hex"));
  } finally {
    closeSync(fd);
  }
}
