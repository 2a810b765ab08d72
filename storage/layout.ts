import { mkdir } from "node:fs/promises";
import { join } from "node:path";

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
      await mkdir(directory, { recursive: true, mode: 0o700 });
    }
  }
}
