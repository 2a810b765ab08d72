/** Building specs: reads what a spec depends on (devices, mountinfo, shared memory), then computes it in `build.ts`. */
import { readFile as readHostFile } from "node:fs/promises";
import type { Spec } from "#runtime";
import type { ContainerRecord } from "#storage";
import { injectionOf } from "../cdi/injection.ts";
import { linkEnvironment } from "../network/links/legacy-links.ts";
import type { Sandbox } from "../network/service.ts";
import type { UserRemap } from "../user-remap.ts";
import type { ReadFile } from "./accounts.ts";
import { ensureProfile } from "./apparmor.ts";
import { type SpecDefaults, specOf } from "./build.ts";
import { giveFiles, withEngineMounts } from "./engine-mounts.ts";
import { readHostDevices } from "./host-devices.ts";
import type { HostInfo } from "./host-info.ts";
import type { ResolvedMount } from "./mounts.ts";
import type { FindContainer } from "./namespaces.ts";
import { prepareSharedMemory } from "./shared-memory.ts";

export type { ReadFile } from "./accounts.ts";
export { ensureProfile } from "./apparmor.ts";
export type { SpecDefaults } from "./build.ts";
export { type ExecRequest, type ExecTarget, execProcess } from "./exec.ts";
export { readHostDevices } from "./host-devices.ts";
export { detectHost, type HostInfo } from "./host-info.ts";
export type { ResolvedMount } from "./mounts.ts";
export { linuxResources } from "./resources.ts";
export { unmountSharedMemory } from "./shared-memory.ts";

export interface BuildOptions extends SpecDefaults {
  readonly container: ContainerRecord;
  readonly sandbox: Sandbox;
  /** Of the container's root; undefined for what is not there or is no plain file of a sane size. */
  readonly readFile: ReadFile;
  readonly host: HostInfo;
  readonly findContainer: FindContainer;
  /** The user's mounts, as `VolumeService.resolve` gives them. */
  readonly mounts: readonly ResolvedMount[];
  /** Where the bundle of a container lies: a shareable /dev/shm is mounted there. */
  readonly bundleOf: (containerId: string) => string;
  /** Undefined for a container in the host's user namespace. */
  readonly userRemap: UserRemap | undefined;
}

/** Called under the container's lock while it starts. Every failure is the daemon's (500), whatever its cause. */
export async function buildSpec(options: BuildOptions): Promise<Spec> {
  const { container, sandbox } = options;
  const memory = await prepareSharedMemory(container, options);
  await giveFiles(sandbox.files, options.userRemap);
  const mounts = [...memory, ...withEngineMounts(container, sandbox.files, options.mounts)];
  const propagates = mounts.some((mount) => mount.type === "bind" && /shared|slave/.test(mount.propagation));
  // `--network container:x` takes the other's names, so they are the sandbox's and not the record's.
  const config = { ...container.config, Hostname: sandbox.hostname, Domainname: sandbox.domainname };
  const spec = specOf({
    ...options,
    container: { ...container, config },
    linkEnvironment: linkEnvironment(container, options.findContainer),
    networkNamespace: sandbox.namespacePath,
    userNamespace: sandbox.userNamespacePath,
    mounts,
    devices: await readHostDevices(container.hostConfig),
    injection: await injectionOf(container.hostConfig.DeviceRequests ?? [], options.cdiSpecDirs),
    mountinfo: propagates ? await readHostFile("/proc/self/mountinfo", "utf8") : "",
  });
  await ensureProfile(spec.process);
  return spec;
}
