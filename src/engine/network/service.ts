import type { NetworkCreateRequest, NetworkInspect } from "#api-schema/network";
import type { EndpointSettings, NetworkingConfig, PortMap } from "#api-schema/network-settings";
import type { ContainerRecord } from "#storage";
import type { Filters } from "../filters.ts";

/** The files that a container sees in /etc, on the host. They are bind-mounted read-write. */
export interface NetworkFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

/** The network side of a container that is about to run. */
export interface Sandbox {
  readonly id: string;
  /** What `NetworkSettings.SandboxKey` shows: the path of the namespace. */
  readonly key: string;
  /** The path for the OCI spec's network namespace; undefined when the container shares the host's. */
  readonly namespacePath: string | undefined;
  /** `container:x` takes the other's names; otherwise what the record says (the host's name with `--network host`). */
  readonly hostname: string;
  readonly domainname: string;
  readonly networks: Record<string, EndpointSettings>;
  readonly ports: PortMap;
  readonly files: NetworkFiles;
}

export interface NetworkService {
  create(request: NetworkCreateRequest): Promise<{ Id: string; Warning: string }>;
  inspect(ref: string, options?: { scope?: string }): NetworkInspect;
  list(filters: Filters, options?: { isDetailed?: boolean }): NetworkInspect[];
  remove(ref: string): Promise<void>;
  prune(filters: Filters): Promise<{ NetworksDeleted: string[] | null }>;
  connect(ref: string, container: string, settings: EndpointSettings | null): Promise<void>;
  disconnect(ref: string, container: string, options: { force: boolean }): Promise<void>;
  /** `docker create`: what dockerd refuses about networks before anything exists. */
  validateCreate(request: { networkMode: string; networkingConfig: NetworkingConfig | null }): void;
  /** The `networks` of a new container's record. */
  initialNetworks(networkMode: string, config: NetworkingConfig | null): Record<string, EndpointSettings>;
  /** Under the container's lock, before its task is created. Undoes itself when it throws. */
  attach(container: ContainerRecord, files: { readonly directory: string }): Promise<Sandbox>;
  /** After the exit, or to undo an attach. Idempotent; clears what is operational in the record. */
  detach(container: ContainerRecord): Promise<void>;
  /** After a rename of a running container: the resolver answers to the new name. */
  rename(container: ContainerRecord): void;
  restore(running: readonly ContainerRecord[]): Promise<void>;
  shutdown(): Promise<void>;
}
