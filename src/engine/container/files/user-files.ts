import { closeSync } from "node:fs";
import { errnoOf } from "#base/errors";
import { AT_FDCWD, O_DIRECTORY, O_PATH, openat2 } from "#native";
import type { ReadFile } from "../../spec/index.ts";
import type { Container } from "../container.ts";
import type { ContainerContext } from "../context.ts";

const databases = ["/etc/passwd", "/etc/group"];

/** /etc/passwd and /etc/group as the container has them: through its own root when it runs, from its snapshot when not. */
export async function readUserFiles(context: ContainerContext, container: Container): Promise<ReadFile> {
  const { foreign, snapshots } = context.storage;
  await using root = openRunningRoot(container) ?? (await snapshots.mount(container.id));
  const files = new Map<string, Buffer | undefined>();
  for (const path of databases) files.set(path, await foreign.read({ rootFd: root.rootFd, key: container.id }, path));
  return (path) => files.get(path);
}

type OpenRoot = AsyncDisposable & { readonly rootFd: number };

/** The first process's own root: what it has mounted since its start is there too. Undefined: it has ended. */
export function openRunningRoot({ task, record: { state } }: Container): OpenRoot | undefined {
  if (state.pid === 0) return undefined;
  try {
    const rootFd = openat2(AT_FDCWD, `/proc/${state.pid}/root`, { flags: O_PATH | O_DIRECTORY });
    const root = { rootFd, [Symbol.asyncDispose]: async () => closeSync(rootFd) };
    // Asked afterwards: then it is not another's. A shim that is silent since this daemon started has told nothing.
    if (task === undefined || task.hasPid) return root;
    closeSync(rootFd);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "ESRCH") throw error;
  }
  return undefined;
}
