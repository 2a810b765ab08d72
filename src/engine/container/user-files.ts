import { errnoOf } from "#base/errors";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";

/** An image may bring anything as its passwd file: a FIFO, a device, a gigabyte (podman CVE-2024-9676). */
const maxSizeBytes = 1 << 20;

export interface UserFiles extends AsyncDisposable {
  /** The bytes of a regular file in the container's root, or undefined when there is none that can be trusted. */
  read(path: string): Buffer | undefined;
}

/** Reads /etc/passwd and /etc/group as the container has them: through its own root when it runs, from its snapshot when not. */
export async function openUserFiles(context: ContainerContext, container: Container): Promise<UserFiles> {
  const root = await context.storage.openRoot(container.id, container.record.state.pid);
  return {
    read: (path) => {
      try {
        return root.readFile(path, maxSizeBytes);
      } catch (error) {
        if (errnoOf(error) !== undefined) return undefined;
        throw error;
      }
    },
    [Symbol.asyncDispose]: () => root[Symbol.asyncDispose](),
  };
}
