import { randomUUID } from "node:crypto";
import { readFile, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** moby's names of file systems, by statfs(2)'s f_type. */
const filesystems: Readonly<Record<number, string>> = {
  61267: "extfs",
  1481003842: "xfs",
  2435016766: "btrfs",
  16914836: "tmpfs",
  801189825: "zfs",
  2035054128: "overlayfs",
};

/** What belongs to a data root: an id that is made once, and the file system below it. */
export interface EngineIdentity {
  readonly id: string;
  readonly backingFilesystem: string;
}

export async function engineIdentity(dataRoot: string): Promise<EngineIdentity> {
  const { type } = await statfs(dataRoot);
  return { id: await engineId(join(dataRoot, "engine-id")), backingFilesystem: filesystems[type] ?? "<unknown>" };
}

async function engineId(path: string): Promise<string> {
  const known = await readFile(path, "utf8").catch(() => "");
  if (known !== "") return known;
  const id = randomUUID();
  await writeFile(path, id, { mode: 0o600 });
  return id;
}
