import { newId, shortId } from "#base/ids";
import type { NetworkSandbox } from "#network";
import type { ContainerRecord } from "#storage";
import { containerOf } from "../../spec/modes.ts";
import type { UserRemap } from "../../user-remap.ts";
import type { NetworkContext } from "../context.ts";

/**
 * The network namespace of a container with a user namespace belongs to that: or its root had no say about its own network, and
 * could not even mount /sys. Both are made here, since the network is there before the container.
 */
export async function openRemappedSandbox(
  { sandboxes, containers, makeNamespaces }: NetworkContext,
  container: ContainerRecord,
  { mappings }: UserRemap,
): Promise<NetworkSandbox> {
  const id = newId();
  const joins = joinedUserNamespace(container, (reference) => containers.find(reference));
  const network = sandboxes.keyOf(id);
  const user = sandboxes.namespaces.userPathOf(shortId(id));
  try {
    await makeNamespaces(joins === undefined ? { network, user, mappings } : { network, joins });
    return { ...sandboxes.adoptEmpty(id), userNamespace: joins ?? user };
  } catch (error) {
    sandboxes.remove(id, []);
    throw error;
  }
}

/** Who joins the processes or the memory of another container can do so only as one of its user namespace. */
function joinedUserNamespace(
  { hostConfig: { PidMode, IpcMode } }: ContainerRecord,
  find: (reference: string) => ContainerRecord | undefined,
): string | undefined {
  const donor = containerOf(PidMode) ?? containerOf(IpcMode);
  const pid = donor === undefined ? 0 : (find(donor)?.state.pid ?? 0);
  // One that does not run is refused, in other words, when the spec is made.
  return pid === 0 ? undefined : `/proc/${pid}/ns/user`;
}
