import { EngineError } from "#base/errors";
import type { ContainerRecord } from "#storage";
import type { ContainerLookup } from "./context.ts";
import type { HostEntry } from "./etc-hosts.ts";

/** `--link name:alias` on the default bridge: lines in /etc/hosts (moby's addLegacyLinks). User networks have the resolver. */
export function legacyLinks(container: ContainerRecord, containers: ContainerLookup): HostEntry[] {
  if (container.networks.bridge === undefined) return [];
  return (container.hostConfig.Links ?? []).flatMap((link) => {
    const { name, alias } = parseLink(link);
    const target = containers.get(name);
    const settings = target.networks.bridge;
    const isRunning = target.state.status === "running" || target.state.status === "paused";
    if (!isRunning) {
      throw new EngineError("system", `Cannot link to a non running container: /${target.name} AS ${alias}`);
    }
    if (settings === undefined) {
      throw new EngineError("system", `Cannot link to ${target.name}, as it does not belong to the default network`);
    }
    const names = [...new Set([alias, target.config.Hostname, target.name])].join(" ");
    return [settings.IPAddress, settings.GlobalIPv6Address]
      .filter((address) => address !== "")
      .map((address) => ({ address, names }));
  });
}

/** "name:alias", "name", or as inspect shows it: "/name:/container/alias". */
export function parseLink(link: string): { readonly name: string; readonly alias: string } {
  const [name = "", alias = name] = link.split(":");
  return { name: name.replace(/^\//, ""), alias: alias.slice(alias.lastIndexOf("/") + 1) };
}
