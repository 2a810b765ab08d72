/** What the devices that a container asks for change in its spec (moby daemon/devices.go, daemon/cdi.go). */
import { lstat } from "node:fs/promises";
import type { DeviceRequest } from "#api-schema/container-config";
import { errnoText } from "#base/errno-text";
import { errnoOf, messageOf } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { Device, DeviceRule, Hooks, IntelRdt, Mount } from "#runtime";
import { deviceOf } from "../spec/host-devices.ts";
import { type CdiListing, findDevices } from "./devices.ts";
import type { ContainerEdits, DeviceNode } from "./spec-file.ts";
import { deviceTypes, hookNames } from "./validate.ts";

export interface Injection {
  readonly env: readonly string[];
  readonly devices: readonly Device[];
  readonly rules: readonly DeviceRule[];
  readonly mounts: readonly (Mount & { options: string[] })[];
  readonly hooks: Hooks;
  readonly intelRdt: IntelRdt | undefined;
  readonly additionalGids: readonly number[];
}

/** No driver but CDI's is built in; without directories (the feature is off) not even that. */
export async function injectionOf(
  requests: readonly DeviceRequest[],
  specDirs: readonly string[] | undefined,
): Promise<Injection> {
  const edits: ContainerEdits[] = [];
  for (const request of requests) {
    const { Driver, Capabilities, Count, Options, DeviceIDs } = request;
    if (Driver !== "cdi" || specDirs === undefined) {
      const capabilities = (Capabilities ?? []).map((all) => `[${(all ?? []).join(" ")}]`).join(" ");
      throw new Error(`could not select device driver ${goQuote(Driver)} with capabilities: [${capabilities}]`);
    }
    if (specDirs.length === 0) throw failed(noDirectories);
    if (Count !== 0) throw new Error("unexpected count in CDI device request");
    if (Object.keys(Options ?? {}).length > 0) throw new Error("unexpected options in CDI device request");
    edits.push(...editsOf(DeviceIDs ?? [], await findDevices(specDirs)));
  }
  return inject(edits);
}

export const noDirectories = "no CDI specification directories specified";

const failed = (reason: string): Error => new Error(`CDI device injection failed: ${reason}`);

/** Those of each specification before those of its first device. */
function editsOf(names: readonly string[], { devices }: CdiListing): ContainerEdits[] {
  const unresolved = names.filter((name) => !devices.has(name));
  if (unresolved.length > 0) throw failed(`unresolvable CDI devices ${unresolved.join(", ")}`);
  const found = names.flatMap((name) => devices.get(name) ?? []);
  return [...new Set(found.flatMap(({ spec, device }) => [spec, device]))].map(({ edits }) => edits);
}

async function inject(edits: readonly ContainerEdits[]): Promise<Injection> {
  const nodes = edits.flatMap(({ deviceNodes }) => deviceNodes);
  const devices = await Promise.all(nodes.map(hostDevice)).catch((error: unknown) => {
    throw failed(`failed to inject devices: ${messageOf(error)}`);
  });
  const rules = devices.flatMap(({ type, major = 0, minor = 0 }, at): DeviceRule[] =>
    type === "b" || type === "c" ? [{ allow: true, type, major, minor, access: nodes[at]?.permissions || "rwm" }] : [],
  );
  return {
    env: edits.flatMap(({ env }) => env),
    devices: lastByKey(devices, ({ path }) => path),
    rules,
    mounts: lastByKey(edits.flatMap(({ mounts }) => mounts).map(ociMount), ({ destination }) => destination),
    hooks: hooksOf(edits),
    intelRdt: edits.findLast(({ intelRdt }) => intelRdt !== undefined)?.intelRdt,
    additionalGids: [...new Set(edits.flatMap(({ additionalGids }) => additionalGids))].filter((gid) => gid !== 0),
  };
}

function lastByKey<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  const byKey = new Map<string, T>();
  for (const item of items) {
    byKey.delete(keyOf(item));
    byKey.set(keyOf(item), item);
  }
  return [...byKey.values()];
}

/** What the specification leaves out is the host's. */
async function hostDevice(node: DeviceNode): Promise<Device> {
  const { path, major, minor, fileMode, uid, gid } = node;
  const given = {
    path,
    ...(fileMode === undefined ? {} : { fileMode }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
  const type = deviceTypes.find((known) => known === node.type);
  if (type !== undefined && (major !== 0 || type === "p")) return { ...given, type, major, minor };
  const host = await lookUp(node.hostPath || path);
  if (type !== undefined && type !== host.type) {
    const names = `(${goQuote(path)}, ${goQuote(host.path)})`;
    throw new Error(`CDI device ${names}, host type mismatch (${type}, ${host.type})`);
  }
  const number =
    major === 0 && host.type !== "p" ? { major: host.major ?? 0, minor: host.minor ?? 0 } : { major, minor };
  return { ...given, type: host.type, ...number };
}

async function lookUp(path: string): Promise<Device> {
  const refused = (reason: string) => new Error(`failed to stat CDI host device ${goQuote(path)}: ${reason}`);
  const stats = await lstat(path, { bigint: true }).catch((error: unknown) => {
    throw refused(errnoText(errnoOf(error) ?? ""));
  });
  const device = deviceOf(path, stats);
  if (device === undefined) throw refused("not a device node");
  return device;
}

const ociMount = ({ hostPath, containerPath, type, options }: ContainerEdits["mounts"][number]) => ({
  destination: containerPath,
  source: hostPath,
  ...(type === "" ? {} : { type }),
  options: [...options],
});

function hooksOf(edits: readonly ContainerEdits[]): Hooks {
  const all = edits.flatMap(({ hooks }) => hooks);
  return Object.fromEntries(
    hookNames.flatMap((name) => {
      const own = all.filter(({ hookName }) => hookName === name);
      return own.length === 0 ? [] : [[name, own.map(({ hookName: _, ...hook }) => hook)]];
    }),
  );
}
