import type { Port } from "#api-schema/container-summary";
import type { PortMap } from "#api-schema/network-settings";
import { portNumber, portProtocol } from "../validate/network.ts";

/** "80/tcp" → its addresses on the host, as the list of containers shows them; one line for a port that is only exposed. */
export function portsOf(ports: PortMap): Port[] {
  return Object.entries(ports ?? {}).flatMap(([port, bindings]): Port[] => {
    const PrivatePort = Number(portNumber(port));
    const Type = portProtocol(port);
    if (bindings === null || bindings.length === 0) return [{ IP: "", PrivatePort, PublicPort: 0, Type }];
    return bindings.map(({ HostIp, HostPort }) => ({ IP: HostIp, PrivatePort, PublicPort: Number(HostPort), Type }));
  });
}
