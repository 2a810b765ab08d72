import { closeSync } from "node:fs";
import { join } from "node:path";
import { type Id, parseId } from "#base/ids";
import { AT_EMPTY_PATH, AT_FDCWD, fdPath, MOUNT_ATTR_RDONLY, mountSetattr, OPEN_TREE_CLONE, openTree } from "#native";
import type { Database } from "../database.ts";
import { type ChainId, parseChainId } from "../layers/chain.ts";
import type { OverlayLayerStore } from "../layers/store.ts";
import type { MountedSnapshot } from "../types.ts";
import { mountDetached } from "./overlay.ts";

export interface ViewParts {
  readonly database: Database;
  readonly layers: OverlayLayerStore;
  readonly execRoot: string;
  /** An empty folder below `snapshots/`: an overlay wants two layers at least. */
  readonly emptyLower: string;
}

type Row = { readonly container_id: string; readonly destination: string; readonly parent: string | null };

/** Other images that containers look into, read-only. While the row lives, so do the layers. */
export class Views {
  readonly #parts: ViewParts;
  readonly #insert;
  readonly #find;
  readonly #ofContainer;
  readonly #delete;
  readonly #orphans;

  constructor(parts: ViewParts) {
    const { database } = parts;
    this.#parts = parts;
    this.#insert = database.prepare("INSERT INTO views (container_id, destination, parent) VALUES (?, ?, ?)");
    this.#find = database.prepare<[string, string], Row>(
      "SELECT * FROM views WHERE container_id = ? AND destination = ?",
    );
    this.#ofContainer = database.prepare<[string], Row>("SELECT * FROM views WHERE container_id = ?");
    this.#delete = database.prepare("DELETE FROM views WHERE container_id = ?");
    this.#orphans = database.prepare<[], Row>(
      "SELECT * FROM views WHERE NOT EXISTS (SELECT 1 FROM containers WHERE containers.id = views.container_id)",
    );
  }

  /** Throws when there is no such layer, or a view at this destination already. */
  prepare(containerId: Id, destination: string, parent: ChainId | undefined): void {
    this.#insert.run(containerId, destination, parent ?? null);
  }

  /** `directory`: the snapshots' folder, as the container is to see their ids. */
  async mount(containerId: Id, destination: string, directory: string): Promise<MountedSnapshot> {
    const row = this.#find.get(containerId, destination);
    if (row === undefined) throw new Error(`no view of container ${containerId} at ${destination}`);
    const rootFd = this.#mount(row.parent === null ? undefined : parseChainId(row.parent), directory);
    return { rootFd, path: fdPath(rootFd), [Symbol.asyncDispose]: async () => closeSync(rootFd) };
  }

  remove(containerId: Id): void {
    const rows = this.#ofContainer.all(containerId);
    if (rows.length === 0) return;
    this.#delete.run(containerId);
    for (const { parent } of rows) if (parent !== null) this.#parts.layers.removeIfUnreferenced(parseChainId(parent));
  }

  removeOrphans(): void {
    for (const row of this.#orphans.all()) this.remove(parseId(row.container_id));
  }

  #mount(parent: ChainId | undefined, directory: string): number {
    const { layers, execRoot, emptyLower } = this.#parts;
    if (parent === undefined) return cloneReadOnly(join(directory, emptyLower));
    const lower = [...layers.stack(parent).map(({ snapshotNumber }) => `${snapshotNumber}/fs`), emptyLower];
    return mountDetached({ lower, upper: undefined }, directory, execRoot);
  }
}

function cloneReadOnly(folder: string): number {
  const fd = openTree(AT_FDCWD, folder, OPEN_TREE_CLONE);
  mountSetattr(fd, "", AT_EMPTY_PATH, { set: MOUNT_ATTR_RDONLY });
  return fd;
}
