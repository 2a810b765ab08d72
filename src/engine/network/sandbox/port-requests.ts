import type { ContainerConfig, HostConfig } from "#api-schema/container-config";
import type { PortMap } from "#api-schema/network-settings";
import {
  formatAddress,
  type PortRange,
  type PortRequest,
  type Protocol,
  type PublishedPort,
  parseHostAddress,
} from "#network";

/** "80/tcp". Without a protocol it is TCP, in any case of letters; what is no number is port 0, as in moby. */
export function parsePort(text: string): { readonly port: number; readonly protocol: Protocol } | undefined {
  const [number, name = "tcp"] = text.toLowerCase().split("/");
  const protocol = protocols.find((candidate) => candidate === (name === "" ? "tcp" : name));
  return number === "" || protocol === undefined ? undefined : { port: portNumber(text), protocol };
}

function portNumber(text: string): number {
  const [number = ""] = text.split("/");
  return /^\d+$/.test(number) && Number(number) <= maxPort ? Number(number) : 0;
}

const maxPort = 65_535;

const protocols: readonly Protocol[] = ["tcp", "udp", "sctp"];

/** What a container wants published: as in moby, only ports that it exposes. */
export function portRequests(config: ContainerConfig, hostConfig: HostConfig): PortRequest[] {
  return Object.keys(config.ExposedPorts ?? {}).flatMap((name) => {
    const exposed = parsePort(name);
    if (exposed === undefined) return [];
    const wanted = { protocol: exposed.protocol, containerPort: exposed.port };
    const bindings = hostConfig.PortBindings?.[name] ?? [];
    if (bindings.length === 0) {
      return hostConfig.PublishAllPorts ? [{ ...wanted, hostAddress: undefined, hostPorts: undefined }] : [];
    }
    return bindings.map(({ HostIp, HostPort }) => ({
      ...wanted,
      hostAddress: parseHostAddress(HostIp),
      hostPorts: parseRange(HostPort),
    }));
  });
}

/** "8080", "8000-8010" or nothing. */
function parseRange(text: string): PortRange | undefined {
  const [first = 0, last = first] = (text.split("/")[0] ?? "").split("-").map(Number);
  return first === 0 ? undefined : { first, last };
}

/** `NetworkSettings.Ports` of a running container: null for a port that is exposed and not published, 0 for no protocol. */
export function portMap(config: ContainerConfig, published: readonly PublishedPort[]): NonNullable<PortMap> {
  const map: NonNullable<PortMap> = {};
  for (const name of Object.keys(config.ExposedPorts ?? {}).sort()) {
    const { port, protocol } = parsePort(name) ?? { port: portNumber(name), protocol: "0" };
    map[`${port}/${protocol}`] = null;
  }
  for (const { protocol, containerPort, host, hostPort } of published) {
    const name = `${containerPort}/${protocol}`;
    const bindings = map[name] ?? [];
    bindings.push({ HostIp: formatAddress(host), HostPort: hostPort === 0 ? "" : String(hostPort) });
    map[name] = bindings;
  }
  return map;
}

/** What a running container had published when the daemon last looked: the same ports on the same addresses again. */
export function recordedRequests(ports: PortMap): PortRequest[] {
  return Object.entries(ports ?? {}).flatMap(([name, bindings]) => {
    const exposed = parsePort(name);
    if (exposed === undefined) return [];
    return (bindings ?? []).map(({ HostIp, HostPort }) => ({
      protocol: exposed.protocol,
      containerPort: exposed.port,
      hostAddress: parseHostAddress(HostIp),
      hostPorts: parseRange(HostPort),
    }));
  });
}
