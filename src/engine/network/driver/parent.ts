/** The host's side of a macvlan or ipvlan network: the parent link, and the links that stand in for one. */
import { EngineError } from "#base/errors";
import type { NetworkContext } from "../context.ts";
import type { Network } from "../network.ts";
import { parseVlan } from "./parent-options.ts";

type Parts = Pick<NetworkContext, "parents" | "networks">;

/** Makes the parent where it may be made: a VLAN of a link that is there, or a dummy where none was asked for. Idempotent. */
export function setUpParent({ parents }: Pick<Parts, "parents">, { record, link }: Network): void {
  if (link === undefined || parents.exists(link.parent)) return;
  if ((record.options.parent ?? "") === "") {
    parents.addDummy(link.parent);
    return;
  }
  const { parent, id } = parseVlan(link.parent);
  if (!parents.exists(parent)) {
    throw new EngineError("system", `-o parent interface was not found on the host: ${parent}`);
  }
  try {
    parents.addVlan(link.parent, parent, id);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineError("system", `failed to create ${link.parent} vlan link: ${reason}`, { cause: error });
  }
}

/** A link that we made goes with the last network on it. */
export async function tearDownParent({ parents, networks }: Parts, { link }: Network): Promise<void> {
  if (link === undefined) return;
  const isInUse = networks.list().some((other) => other.link?.parent === link.parent);
  if (!isInUse) await parents.removeOwn(link.parent);
}
