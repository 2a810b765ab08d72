import type { ContainerRecord } from "#storage";
import type { ContainerLookup } from "../context.ts";
import { replaceHosts } from "../etc/files.ts";
import type { ContainerSandbox } from "../network.ts";
import { hostNames, hostsOf, type LegacyLink, linksOf } from "./legacy-links.ts";

/** Running containers that are linked to this one find it where it is now. */
export async function tellParents(
  sandboxes: readonly ContainerSandbox[],
  child: ContainerRecord,
  { find }: Pick<ContainerLookup, "find">,
): Promise<void> {
  for (const { container, files } of sandboxes) {
    const links = linksOf(container, find).filter((link) => link.child.id === child.id);
    for (const { alias } of links) await replaceHosts(files, hostNames({ child, alias }), hostsOf({ child, alias }));
  }
}

/** A running container loses the names of one that it was linked to. */
export const dropLink = ({ files }: ContainerSandbox, link: LegacyLink): Promise<void> =>
  replaceHosts(files, hostNames(link), []);
