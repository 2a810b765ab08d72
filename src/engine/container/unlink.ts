import { EngineError } from "#base/errors";
import { breakLinks, parseLink } from "../network/links/legacy-links.ts";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";

/** `docker rm --link parent/alias`: both containers stay (moby's rmLink). */
export async function removeLink(context: ContainerContext, child: Container, reference: string): Promise<void> {
  const [, name = "", alias = ""] = /^\/?([^/]+)\/([^/]+)$/.exec(reference) ?? [];
  if (name === "") {
    throw new EngineError("system", "Conflict, cannot remove the default link name of the container");
  }
  const parent = context.index.get(name);
  const { hostConfig } = parent.record;
  const Links = (hostConfig.Links ?? []).filter((link) => parseLink(link).alias !== alias);
  parent.record.hostConfig = { ...hostConfig, Links };
  context.index.save(parent);
  await context.networks.unlink(parent.record, { child: child.record, alias });
}

/** Those that are linked to a container which is removed remember its name: they do not start without it. */
export function breakLinksTo({ index }: ContainerContext, { record }: Container): void {
  for (const parent of index.list()) {
    const { hostConfig } = parent.record;
    const Links = breakLinks(hostConfig, record);
    if (Links === undefined) continue;
    parent.record.hostConfig = { ...hostConfig, Links };
    index.note(parent);
  }
}
