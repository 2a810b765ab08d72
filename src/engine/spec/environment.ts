/** The environment of a container's process (moby container/env.go). */
import type { ContainerConfig } from "#api-schema/container-config";

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** `links`: what linked containers offer. */
export function containerEnvironment(config: ContainerConfig, isTty: boolean, links: readonly string[]): string[] {
  const base = [`PATH=${defaultPath}`, `HOSTNAME=${config.Hostname}`, ...(isTty ? ["TERM=xterm"] : []), ...links];
  return overrideEnvironment(base, config.Env ?? []);
}

/** `NAME=value` replaces or is added; a bare `NAME` takes it away. */
export function overrideEnvironment(base: readonly string[], overrides: readonly string[]): string[] {
  const result = [...base];
  const positions = new Map(base.map((entry, position) => [nameOf(entry), position]));
  const removed = new Set<number>();
  for (const override of overrides) {
    const position = positions.get(nameOf(override));
    if (!override.includes("=")) {
      if (position !== undefined) removed.add(position);
      continue;
    }
    if (position === undefined) result.push(override);
    else {
      removed.delete(position);
      result[position] = override;
    }
  }
  return result.filter((_, position) => !removed.has(position));
}

/** The runtime's part of the work: runc looks HOME up in passwd, ours does not know passwd files. */
export function withHome(environment: readonly string[], home: () => string): string[] {
  const isSet = environment.some((entry) => entry.startsWith("HOME=") && entry !== "HOME=");
  return isSet ? [...environment] : [...environment.filter((entry) => entry !== "HOME="), `HOME=${home()}`];
}

function nameOf(entry: string): string {
  const cut = entry.indexOf("=");
  return cut < 0 ? entry : entry.slice(0, cut);
}
