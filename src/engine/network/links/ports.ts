import type { PortLink } from "#network";
import type { ContainerSandbox } from "../network.ts";
import { parsePort } from "../sandbox/port-requests.ts";
import { parseLink } from "./legacy-links.ts";

/** What running containers on the default bridge reach of those that they are linked to, where containers are kept apart. */
export function linkedPorts(sandboxes: readonly ContainerSandbox[]): PortLink[] {
  const byContainer = new Map<string, ContainerSandbox>(sandboxes.map((sandbox) => [sandbox.container.id, sandbox]));
  return sandboxes.flatMap((parent) => {
    const from = bridgeAddress(parent);
    return (parent.container.hostConfig.Links ?? []).flatMap((link) => {
      const child = byContainer.get(parseLink(link).name);
      if (child === undefined) return [];
      const container = bridgeAddress(child);
      if (from === undefined || container === undefined) return [];
      return exposedPorts(child).map(({ port, protocol }) => ({ from, container, containerPort: port, protocol }));
    });
  });
}

const bridgeAddress = ({ endpoints }: ContainerSandbox) =>
  endpoints.find(({ network }) => network.name === "bridge")?.address4;

const exposedPorts = ({ container }: ContainerSandbox) =>
  Object.keys(container.config.ExposedPorts ?? {})
    .map(parsePort)
    .filter((port) => port !== undefined);
