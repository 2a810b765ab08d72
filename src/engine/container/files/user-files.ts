import { closeSync } from "node:fs";
import { AT_FDCWD, O_DIRECTORY, O_PATH, openat2 } from "#native";
import type { ReadFile } from "../../spec/index.ts";
import type { Container } from "../container.ts";
import type { ContainerContext } from "../context.ts";

const databases = ["/etc/passwd", "/etc/group"];

/** /etc/passwd and /etc/group as the container has them: through its own root when it runs, from its snapshot when not. */
export async function readUserFiles(context: ContainerContext, container: Container): Promise<ReadFile> {
  const { foreign, snapshots } = context.storage;
  const { pid } = container.record.state;
  await using root = pid > 0 ? openRunningRoot(pid) : await snapshots.mount(container.id);
  const files = new Map<string, Buffer | undefined>();
  for (const path of databases) files.set(path, await foreign.read({ rootFd: root.rootFd, key: container.id }, path));
  return (path) => files.get(path);
}

/** The path ends in the process's own root: what it has mounted since its start is there too. */
export function openRunningRoot(pid: number): AsyncDisposable & { readonly rootFd: number } {
  const rootFd = openat2(AT_FDCWD, `/proc/${pid}/root`, { flags: O_PATH | O_DIRECTORY });
  return { rootFd, [Symbol.asyncDispose]: async () => closeSync(rootFd) };
}
