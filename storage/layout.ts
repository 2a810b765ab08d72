import { closeSync, openSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import { FS_TOPDIR_FL, getInodeFlags, O_DIRECTORY, O_RDONLY, SystemError, setInodeFlags } from "#native";

/** Where things are below the data root (DESIGN §5). */
export class Layout {
  readonly dataRoot: string;
  readonly content: string;
  readonly snapshots: string;
  /** What is to be removed is renamed into here first; emptied at start. */
  readonly tmp: string;

  constructor(dataRoot: string) {
    this.dataRoot = dataRoot;
    this.content = join(dataRoot, "content");
    this.snapshots = join(dataRoot, "snapshots");
    this.tmp = join(dataRoot, "tmp");
  }

  snapshot(number: number): string {
    return join(this.snapshots, `${number}`);
  }

  /** Host users must not reach the setuid files of images: nothing of ours is open to others. */
  async create(): Promise<void> {
    await mkdir(this.dataRoot, { recursive: true, mode: 0o710 });
    for (const directory of [this.content, this.snapshots, this.tmp]) {
      // Not recursively: node would say ENOENT where the disk is read-only.
      await mkdir(directory, { mode: 0o700 }).catch((error) => {
        if (errnoOf(error) !== "EEXIST") throw error;
      });
    }
    scatter(this.snapshots);
  }
}

/**
 * Gives each snapshot a block group of its own. An ext4 without a journal does not reuse an inode for minutes after its removal,
 * and looks at every such inode of the group for each new one: a pull after an rmi takes three times as long (the kernel's
 * fs/ext4/ialloc.c, find_inode_bit). Others lose nothing: layers and containers are not read together.
 */
function scatter(directory: string): void {
  const fd = openSync(directory, O_RDONLY | O_DIRECTORY);
  try {
    setInodeFlags(fd, getInodeFlags(fd) | FS_TOPDIR_FL);
  } catch (error) {
    // Other file systems know no such flag, and need none.
    if (!(error instanceof SystemError)) throw error;
  } finally {
    closeSync(fd);
  }
}
