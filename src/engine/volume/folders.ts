/**
 * Where volumes lie: `<data-root>/volumes/<name>/_data`. A folder is built aside and renamed into place, and renamed away
 * before it is removed; names that begin with a dot are no volume's.
 */
import { chown, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoText } from "#base/errno-text";
import { EngineError, errnoOf, messageOf } from "#base/errors";
import type { Owner } from "#base/id-mappings";
import { newId, shortId } from "#base/ids";

export class VolumeFolders {
  readonly #root: string;
  readonly #owner: Owner | undefined;
  readonly #removals = new Set<Promise<void>>();

  constructor(root: string, owner?: Owner) {
    this.#root = root;
    this.#owner = owner;
  }

  /** Makes the root, and drops what an earlier daemon left half made or half removed. Returns the names that are there. */
  async open(): Promise<string[]> {
    await mkdir(this.#root, { recursive: true, mode: 0o701 });
    const names = await readdir(this.#root);
    for (const name of names) if (name.startsWith(".")) this.#discard(join(this.#root, name));
    return names.filter((name) => !name.startsWith("."));
  }

  /** When the folder of a volume was made; undefined when that is none. */
  async createdNs(name: string): Promise<bigint | undefined> {
    const data = await stat(this.mountpoint(name), { bigint: true }).catch(() => undefined);
    return data?.isDirectory() === true ? data.birthtimeNs : undefined;
  }

  mountpoint(name: string): string {
    return join(this.#root, name, "_data");
  }

  /** False: there is a folder of that name already, and its data stays. */
  async make(name: string): Promise<boolean> {
    const path = join(this.#root, name);
    const aside = join(this.#root, `.new-${shortId(newId())}`);
    try {
      await mkdir(aside, { mode: 0o701 });
      await mkdir(join(aside, "_data"), { mode: 0o755 });
      if (this.#owner !== undefined) await chown(join(aside, "_data"), this.#owner.uid, this.#owner.gid);
      await rename(aside, path);
      return true;
    } catch (error) {
      this.#discard(aside);
      if (["EEXIST", "ENOTEMPTY"].includes(errnoOf(error) ?? "")) return false;
      const reason = errnoText(errnoOf(error) ?? messageOf(error));
      const message = `error while creating volume root path '${path}': mkdir ${path}: ${reason}`;
      throw new EngineError("system", message, { cause: error });
    }
  }

  /** Out of the way at once; the files go in the background. */
  async remove(name: string): Promise<void> {
    const aside = join(this.#root, `.gone-${shortId(newId())}`);
    try {
      await rename(join(this.#root, name), aside);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return;
      throw error;
    }
    this.#discard(aside);
  }

  /** What was made or removed stays so after a power cut. */
  async sync(): Promise<void> {
    await using root = await open(this.#root, "r");
    await root.sync();
  }

  /** All removals so far have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  #discard(path: string): void {
    // A failure leaves a dotted folder, which the next start removes.
    const removal = rm(path, { recursive: true, force: true })
      .catch(() => undefined)
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }
}
