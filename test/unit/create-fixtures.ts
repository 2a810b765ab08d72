/** What dockerd 28.5.2 answered to `test/fixtures/create/variants.ts`, and the same requests as our own edge reads them. */
import { readFileSync } from "node:fs";
import { ContainerConfig, CreateRequest, HostConfig } from "#api-schema/container-config";
import { decode, zero } from "../../src/api/decode.ts";
import { adaptCreate } from "../../src/api/routes/containers/create-compat.ts";
import { parseJson } from "../../src/base/json.ts";
import { knownCapabilities } from "../../src/engine/spec/capabilities.ts";
import type { HostInfo } from "../../src/engine/spec/host-info.ts";
import { refusals, variants } from "../fixtures/create/variants.ts";

export type Plain = Record<string, unknown>;

const read = (name: string): Plain =>
  JSON.parse(readFileSync(new URL(`../fixtures/create/${name}.json`, import.meta.url), "utf8"));

export interface RecordedVariant {
  readonly answer: { readonly status: number; readonly body: { readonly Id: string; readonly Warnings: string[] } };
  readonly created: Plain & { readonly Config: Plain; readonly HostConfig: Plain };
  readonly running: Plain & { readonly Config: Plain; readonly HostConfig: Plain; readonly Mounts: Plain[] };
  readonly started: { readonly status: number; readonly body: { readonly message: string } | null };
  readonly list: readonly Plain[];
  readonly spec: Plain | null;
}

export interface RecordedRefusal {
  readonly status: number;
  readonly body: { readonly message?: string; readonly Warnings?: string[] };
}

export const recordedVariants = read("variants") as Record<string, RecordedVariant>;
export const recordedRefusals = read("refusals") as Record<string, RecordedRefusal>;
export const recordedFilters = read("seccomp") as Record<string, Plain>;

export interface EdgeRequest {
  readonly request: CreateRequest;
  readonly warnings: string[];
}

/** Decodes and adapts as POST /v1.51/containers/create does. */
export function requestOf(body: unknown): EdgeRequest {
  const decoded = decode(CreateRequest, parseJson(JSON.stringify(body)).value);
  const request = { ...decoded, HostConfig: decoded.HostConfig ?? zero(HostConfig) };
  const warnings = adaptCreate("1.51", request);
  return { request, warnings };
}

const images = read("images") as Record<string, { readonly Id: string; readonly Config: unknown }>;

export function imageConfig(name: string): ContainerConfig {
  return decode(ContainerConfig, parseJson(JSON.stringify(images[name]?.Config ?? null)).value);
}

export const imageId = (name: string): string => images[name]?.Id ?? "";

/** The machine that the fixtures were recorded on. */
export const recordingHost: HostInfo = {
  hostname: "recorder",
  kernel: { major: 6, minor: 18 },
  architecture: "amd64",
  cpuCount: 2,
  knownCapabilities: knownCapabilities(40),
  capabilities: knownCapabilities(40).filter((name) => name !== "CAP_SYS_RESOURCE"),
  cgroup: {
    version: 1,
    memoryLimit: true,
    swapLimit: true,
    memoryReservation: true,
    oomKillDisable: true,
    memorySwappiness: true,
    kernelMemory: true,
    kernelMemoryTcp: true,
    cpuShares: true,
    cpuCfs: true,
    cpuRealtime: true,
    blkioWeight: false,
    blkioWeightDevice: false,
    blkioReadBps: true,
    blkioWriteBps: true,
    blkioReadIops: true,
    blkioWriteIops: true,
    cpuset: true,
    cpus: "0-1",
    mems: "0",
    pidsLimit: true,
    devices: true,
  },
  hasSeccomp: true,
  hasAppArmor: false,
  canConfine: false,
  hasCgroupNamespaces: true,
  isIpv4ForwardingDisabled: false,
  hasRecursiveReadOnly: true,
  defaultSysctls: {
    "net.ipv4.ping_group_range": "0 2147483647",
    "net.ipv4.ip_unprivileged_port_start": "0",
  },
  thermalThrottlePaths: [],
};

export const daemonDefaults = {
  runtimes: { runc: {} },
  defaultRuntime: "runc",
  logDriver: "json-file",
  logOptions: {},
} as const;

export { refusals, variants };
