import type { DiskUsage, SystemInfo, SystemVersion } from "#api-schema/system";
import { EngineError } from "#base/errors";
import type { RuntimeFeatures } from "#runtime";
import type { ContainerIndex } from "../container/container-index.ts";
import type { ContainerService } from "../container/service.ts";
import type { Events } from "../events.ts";
import type { ImageService } from "../image/service.ts";
import type { HostInfo } from "../spec/host-info.ts";
import type { VolumeService } from "../volume/service.ts";
import { systemInfo } from "./info.ts";
import { systemVersion } from "./version.ts";

/** What the daemon's configuration and build say about themselves. */
export interface SystemFacts {
  /** Made once per data root: `docker info` shows it. */
  readonly id: string;
  readonly version: string;
  readonly gitCommit: string;
  readonly buildTime: string;
  readonly minApiVersion: string;
  readonly dataRoot: string;
  readonly backingFilesystem: string;
  readonly labels: readonly string[];
  readonly isDebug: boolean;
  readonly isExperimental: boolean;
  readonly isLiveRestoreEnabled: boolean;
  readonly loggingDriver: string;
  readonly defaultRuntime: string;
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly args: readonly string[] }>>;
  readonly proxies: { readonly http: string; readonly https: string; readonly no: string };
  readonly defaultAddressPools: readonly { readonly base: string; readonly size: number }[];
  readonly cdiSpecDirs: readonly string[] | undefined;
  /** Containers have user namespaces. */
  readonly isRemapped: boolean;
  readonly seccompProfile: string;
  readonly hasNoNewPrivileges: boolean;
  /** TCP addresses at which anybody who reaches them is served: without TLS, or with TLS but no client certificate. */
  readonly openAddresses: readonly { readonly address: string; readonly isEncrypted: boolean }[];
}

/** What `docker info` shows of the registries, as it is now. */
export interface RegistryTrust {
  readonly mirrors: readonly string[];
  readonly insecureCidrs: readonly string[];
  readonly insecureHosts: readonly string[];
}

export interface SystemParts {
  readonly index: ContainerIndex;
  readonly containers: ContainerService;
  readonly images: ImageService;
  readonly volumes: VolumeService;
  readonly events: Events;
  readonly host: HostInfo;
  readonly registry: { readonly config: RegistryTrust };
  readonly features: RuntimeFeatures;
  /** A reload of the configuration puts others in their place. */
  facts: SystemFacts;
}

export type DiskUsageType = "container" | "image" | "volume" | "build-cache";

/** `docker info`, `docker version` and `docker system df`. */
export class SystemService {
  readonly #parts: SystemParts;

  constructor(parts: SystemParts) {
    this.#parts = parts;
  }

  configure(facts: SystemFacts): void {
    this.#parts.facts = facts;
  }

  version(): SystemVersion {
    return systemVersion(this.#parts.facts, this.#parts.host);
  }

  info(): Promise<SystemInfo> {
    return systemInfo(this.#parts);
  }

  /** What was not asked for is null, as in moby. No types: all of them. */
  async diskUsage(types: readonly string[], signal: AbortSignal): Promise<DiskUsage> {
    const unknown = types.find((type) => !["container", "image", "volume", "build-cache"].includes(type));
    if (unknown !== undefined) throw new EngineError("invalidParameter", `unknown object type: ${unknown}`);
    const wants = (type: DiskUsageType) => types.length === 0 || types.includes(type);
    const { containers, images, volumes } = this.#parts;
    const [imageUsage, containerUsage, volumeUsage] = await Promise.all([
      wants("image") ? images.diskUsage() : undefined,
      wants("container") ? containers.diskUsage() : undefined,
      wants("volume") ? volumes.diskUsage(signal) : undefined,
    ]);
    return {
      LayersSize: imageUsage?.layersSize ?? 0,
      Images: imageUsage?.images ?? null,
      Containers: containerUsage ?? null,
      Volumes: volumeUsage ?? null,
      BuildCache: wants("build-cache") ? [] : null,
    };
  }
}
