/** Network settings that contradict each other (moby runconfig). Texts are part of the API. */

import { isIP } from "node:net";
import type { ContainerConfig, HostConfig } from "#api-schema/container-config";
import type { PortMap } from "#api-schema/network-settings";
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import { containerOf } from "../../spec/modes.ts";

const refuse = (message: string): never => {
  throw new EngineError("invalidParameter", message);
};

export function checkNetworkMode(config: ContainerConfig, hostConfig: HostConfig): void {
  const mode = hostConfig.NetworkMode;
  if (mode === "container" || containerOf(mode) !== undefined) checkSharedNetwork(config, hostConfig);
  if (hostConfig.UTSMode === "host" && config.Hostname !== "") {
    refuse("conflicting options: hostname and the UTS mode");
  }
  if (mode === "host" && isFilled(hostConfig.Links)) {
    refuse(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
  }
}

/** `--network container:x`: name, addresses, ports and resolver are the other container's. */
function checkSharedNetwork(config: ContainerConfig, hostConfig: HostConfig): void {
  if (!containerOf(hostConfig.NetworkMode)) {
    refuse("invalid network mode: invalid container format container:<name|id>");
  }
  const conflict = (what: string): never => refuse(`conflicting options: ${what}`);
  if (config.Hostname !== "") conflict("hostname and the network mode");
  if (isFilled(hostConfig.Links)) {
    conflict("container type network can't be used with links. This would result in undefined behavior");
  }
  if (isFilled(hostConfig.Dns)) conflict("dns and the network mode");
  if (isFilled(hostConfig.ExtraHosts)) conflict("custom host-to-IP mapping and the network mode");
  if (Object.keys(hostConfig.PortBindings ?? {}).length > 0 || hostConfig.PublishAllPorts) {
    conflict("port publishing and the container type network mode");
  }
  if (Object.keys(config.ExposedPorts ?? {}).length > 0) {
    conflict("port exposing and the container type network mode");
  }
}

const isFilled = (list: readonly unknown[] | null): boolean => list !== null && list.length > 0;

/** `--add-host name:address`. */
export function checkExtraHost(text: string): void {
  const cut = text.indexOf(":");
  const address = text.slice(cut + 1);
  if (cut <= 0) refuse(`bad format for add-host: ${goQuote(text)}`);
  if (address !== "host-gateway" && isIP(address.trim()) === 0) {
    refuse(`invalid IP address in add-host: ${goQuote(address)}`);
  }
}

const maxPort = 65_535;

export function checkPortBindings(ports: PortMap): void {
  for (const [port, bindings] of Object.entries(ports ?? {})) {
    const number = portNumber(port);
    if (number !== "" && !isPort(number)) refuse(`invalid port specification: ${goQuote(number)}`);
    for (const { HostPort } of bindings ?? []) {
      if (!isPortRange(portNumber(HostPort))) refuse(`invalid port specification: ${goQuote(HostPort)}`);
    }
  }
}

/** "80/tcp" → "80". */
export const portNumber = (port: string): string => port.split("/", 1)[0] ?? "";
/** "80/udp" → "udp"; tcp where nothing is said. */
export const portProtocol = (port: string): string => port.split("/")[1] || "tcp";

const isPort = (text: string): boolean => /^\d+$/.test(text) && Number(text) <= maxPort;

function isPortRange(text: string): boolean {
  if (text === "") return true;
  const [first = "", last = first] = text.split("-");
  return isPort(first) && isPort(last) && Number(first) <= Number(last);
}
