/** Device nodes and their cgroup rules: --device, --device-cgroup-rule, --privileged (moby oci/devices_linux.go). */

import type { HostConfig } from "#api-schema/container-config";
import type { Device, DeviceRule } from "#runtime";
import type { HostDevices } from "./host-devices.ts";

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

export interface DeviceAccess {
  readonly devices: Device[];
  readonly rules: DeviceRule[];
}

const character = (major: number, minor: number, allow = true): DeviceRule => ({
  allow,
  type: "c",
  major,
  minor,
  access: "rwm",
});

/** zero, null, urandom, random, tty and console; fuse is named so that nothing else lets it in by accident. */
const defaultRules: readonly DeviceRule[] = [
  { allow: false, access: "rwm" },
  character(1, 5),
  character(1, 3),
  character(1, 9),
  character(1, 8),
  character(5, 0),
  character(5, 1),
  character(10, 229, false),
];

/** `host` holds what `readHostDevices` found for this very `hostConfig`. */
export function deviceAccess(hostConfig: HostConfig, host: HostDevices): DeviceAccess {
  const mapped = (hostConfig.Devices ?? []).flatMap((mapping) =>
    // A privileged container has the host's nodes already, under their own names.
    hostConfig.Privileged && mapping.PathOnHost === mapping.PathInContainer
      ? []
      : (host.mapped.get(mapping.PathOnHost) ?? []).map((found) => ({
          device: { ...found, path: found.path.replace(host.resolved(mapping.PathOnHost), mapping.PathInContainer) },
          access: mapping.CgroupPermissions,
        })),
  );
  const devices = mapped.map(({ device }) => device);
  if (hostConfig.Privileged) {
    return { devices: [...host.all, ...devices], rules: [...defaultRules, { allow: true, access: "rwm" }] };
  }
  const rules = mapped.map(({ device, access }) => ruleFor(device, access));
  return { devices, rules: [...defaultRules, ...rules, ...(hostConfig.DeviceCgroupRules ?? []).map(parseRule)] };
}

function ruleFor(device: Device, access: string): DeviceRule {
  const { type, major = 0, minor = 0 } = device;
  return { allow: true, ...(type === "b" || type === "c" ? { type } : {}), major, minor, access };
}

const rulePattern = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/;

/** "c 1:3 mr", with * for any number. */
export function parseRule(text: string): DeviceRule {
  const match = rulePattern.exec(text);
  if (match === null) throw new Error(`invalid device cgroup rule format: '${text}'`);
  const [, type = "a", major = "*", minor = "*", access = ""] = match;
  const number = (part: string): number => (part === "*" ? -1 : Number(part));
  return { allow: true, type: type as "a" | "b" | "c", major: number(major), minor: number(minor), access };
}
