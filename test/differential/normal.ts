/** What of an answer must be the same on every engine: all but ids, times, addresses, sizes and the like. */
import type { Reply } from "#test/http";

export interface Normal {
  readonly status: number;
  readonly type: string;
  readonly body: unknown;
}

/** Their values say something of this engine and this moment; whether they are there, and of which type, counts. */
const volatileKeys = new Set([
  ...["Created", "CreatedAt", "StartedAt", "FinishedAt", "Pid", "SystemTime", "NFd", "NGoroutines", "NEventsListener"],
  ...["MacAddress", "EndpointID", "NetworkID", "SandboxID", "SandboxKey", "IPAddress", "Gateway", "GlobalIPv6Address"],
  ...[
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "LogPath",
    "Mountpoint",
    "Source",
    "LowerDir",
    "UpperDir",
    "WorkDir",
  ],
  ...[
    "MergedDir",
    "SizeRw",
    "SizeRootFs",
    "Size",
    "SharedSize",
    "SpaceReclaimed",
    "LayersSize",
    "UsageData",
    "HostPort",
  ],
  ...["ServerVersion", "Version", "GitCommit", "GoVersion", "BuildTime", "KernelVersion", "DockerRootDir", "ID"],
  ...[
    "cpu_stats",
    "precpu_stats",
    "memory_stats",
    "pids_stats",
    "blkio_stats",
    "networks",
    "preread",
    "read",
    "Subnet",
    "Processes",
    "IPRange",
  ],
  ...[
    "IPPrefixLen",
    "CgroupParent",
    "DNSNames",
    "Hostname",
    "IPv4Address",
    "IPv6Address",
    "Status",
    "com.docker.network.bridge.name",
  ],
]);

export function normalOf({ status, headers, text }: Reply): Normal {
  const type = String(headers["content-type"] ?? "").replace(/;.*/, "");
  if (type === "application/x-tar") return { status, type, body: "<archive>" };
  return { status, type, body: type === "application/json" ? jsonOf(text) : textOf(text) };
}

function jsonOf(text: string): unknown {
  try {
    return normalValue(JSON.parse(text));
  } catch {
    // A stream of objects.
    return textOf(text);
  }
}

function normalValue(value: unknown): unknown {
  if (typeof value === "string") return textOf(value);
  if (Array.isArray(value)) return sorted(value.map(normalValue));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [textOf(key), valueAt(key, item)]);
  return Object.fromEntries(entries.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
}

/** What a prune removed comes in the order of Go's maps. */
const unorderedKeys = new Set(["NetworksDeleted", "VolumesDeleted", "ContainersDeleted", "ImagesDeleted"]);

function valueAt(key: string, item: unknown): unknown {
  if (volatileKeys.has(key)) return kindOf(item);
  const value = normalValue(item);
  return unorderedKeys.has(key) && Array.isArray(value) ? value.sort() : value;
}

/** Words of Docker's own that look like one. */
const knownNames = new Set(["health_status", "exec_create", "exec_start", "exec_die", "build_cache"]);

/** Lists of objects are compared as sets: their order is by time, and in one second two may be made. */
const sorted = (items: unknown[]): unknown[] =>
  items.every((item) => typeof item === "object" && item !== null)
    ? items.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    : items;

function kindOf(value: unknown): string {
  if (value === null) return "<null>";
  if (Array.isArray(value)) return value.length === 0 ? "<empty list>" : "<list>";
  if (value === "") return "<empty>";
  return `<${typeof value}>`;
}

/** A name that the engine chose. */
const chosenName = /\b[a-z]{3,}_[a-z]{2,}\d?\b/g;

export const textOf = (text: string): string =>
  text
    .replaceAll(chosenName, (name) => (knownNames.has(name) ? name : "<chosen name>"))
    .replaceAll(/\b[0-9a-f]{64}\b/g, "<id>")
    .replaceAll(/\b[0-9a-f]{12}\b/g, "<id>")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)/g, "<time>")
    .replaceAll(/(\/sys\/fs\/cgroup\/[^/]+)\/[^/]+\//g, "$1/<parent>/")
    .replaceAll(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, "<mac>")
    .replaceAll(/\b\d+\.\d+\.\d+\.\d+\b/g, "<ip>")
    .replaceAll(/\/[^\s:"]*\/(volumes|containers)\//g, "<root>/$1/")
    .replaceAll(/"(id|time|timeNano)":[^,}]+/g, '"$1":<n>');
