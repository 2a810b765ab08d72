/** Reads the host's device nodes that a spec needs, so that building the spec itself reads nothing. */

import type { BigIntStats } from "node:fs";
import { lstat, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { HostConfig } from "#api-schema/container-config";
import { errnoText } from "#base/errno-text";
import { errnoOf } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { Device } from "#runtime";
import type { DeviceNumber } from "./devices.ts";
import { blkioPaths } from "./resources.ts";

export interface HostDevices {
  /** PathOnHost of each mapping → the node, or all nodes below a directory, with their paths on the host. */
  readonly mapped: ReadonlyMap<string, readonly Device[]>;
  /** Where links lead: the prefix that the paths in `mapped` begin with. */
  resolved(pathOnHost: string): string;
  /** All of /dev, for privileged containers. */
  readonly all: readonly Device[];
  readonly block: ReadonlyMap<string, DeviceNumber>;
}

const noNode = "not a device node";

export async function readHostDevices(hostConfig: HostConfig): Promise<HostDevices> {
  const mapped = new Map<string, readonly Device[]>();
  const links = new Map<string, string>();
  for (const { PathOnHost: path } of hostConfig.Devices ?? []) {
    const target = await resolveLink(path);
    links.set(path, target);
    mapped.set(path, await devicesAt(path, target));
  }
  const block = new Map<string, DeviceNumber>();
  for (const path of blkioPaths(hostConfig)) block.set(path, await blockDevice(path));
  return {
    mapped,
    resolved: (path) => links.get(path) ?? path,
    all: hostConfig.Privileged ? await nodesOfDev("/dev") : [],
    block,
  };
}

async function resolveLink(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return path;
  }
}

async function devicesAt(path: string, target: string): Promise<Device[]> {
  const failed = (reason: string): Error =>
    new Error(`error gathering device information while adding custom device ${goQuote(path)}: ${reason}`);
  let stats: BigIntStats;
  try {
    stats = await lstat(target, { bigint: true });
  } catch (error) {
    throw failed(reasonOf(error));
  }
  const device = deviceOf(target, stats);
  if (device !== undefined) return [device];
  const below = stats.isDirectory() ? await nodesBelow(target, () => true) : [];
  if (below.length === 0) throw failed(noNode);
  return below;
}

async function blockDevice(path: string): Promise<DeviceNumber> {
  try {
    return numberOf((await lstat(await realpath(path), { bigint: true })).rdev);
  } catch (error) {
    throw new Error(`stat ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

const privateFolders = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"]);

/** Every node but the console and fifos; containers get their own of what is left out here. */
async function nodesOfDev(root: string): Promise<Device[]> {
  const nodes = await nodesBelow(root, (name) => !privateFolders.has(name));
  return nodes.filter((device) => device.type !== "p" && !device.path.endsWith("/console"));
}

async function nodesBelow(folder: string, enters: (name: string) => boolean): Promise<Device[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const found: Device[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (enters(entry.name)) found.push(...(await nodesBelow(path, enters)));
      continue;
    }
    if (!entry.isCharacterDevice() && !entry.isBlockDevice() && !entry.isFIFO()) continue;
    const device = deviceOf(path, await lstat(path, { bigint: true }));
    if (device !== undefined) found.push(device);
  }
  return found;
}

export function deviceOf(path: string, stats: BigIntStats): Device | undefined {
  const type = stats.isCharacterDevice() ? "c" : stats.isBlockDevice() ? "b" : stats.isFIFO() ? "p" : undefined;
  if (type === undefined) return undefined;
  const fileMode = Number(stats.mode & 0o7777n);
  return { type, path, ...numberOf(stats.rdev), fileMode, uid: Number(stats.uid), gid: Number(stats.gid) };
}

/** makedev(3), the other way round. */
function numberOf(rdev: bigint): DeviceNumber {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
  return { major: Number(major), minor: Number(minor) };
}

const reasonOf = (error: unknown): string => errnoText(errnoOf(error) ?? "");
