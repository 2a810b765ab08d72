import type { EndpointSettings, PortMap } from "#api-schema/network-settings";
import type { ContainerRecord } from "#storage";
import type { NetworkFiles } from "../etc/files.ts";

/** The network side of a container that is about to run. */
export interface Sandbox {
  readonly id: string;
  /** What `NetworkSettings.SandboxKey` shows: the path of the namespace. */
  readonly key: string;
  /** The path for the OCI spec's network namespace; undefined when there is none of ours to join. */
  readonly namespacePath: string | undefined;
  /** That of the user namespace which the network's belongs to; undefined for the host's. */
  readonly userNamespacePath: string | undefined;
  /** `container:x` takes the other's names; otherwise what the record says (the host's name with `--network host`). */
  readonly hostname: string;
  readonly domainname: string;
  readonly networks: Record<string, EndpointSettings>;
  /** Being published: rejects when one cannot be had. To be waited for before anything runs, and before `detach`. */
  readonly ports: Promise<PortMap>;
  /** Its links carry packets, and neighbours know its addresses; to be waited for before anything runs. */
  readonly connected: Promise<unknown>;
  readonly files: NetworkFiles;
}

/** `NetworkDisabled`: the runtime makes a namespace with a loopback, and /etc is the image's. */
export const noSandbox = ({ config }: ContainerRecord): Sandbox => ({
  id: "",
  key: "",
  namespacePath: undefined,
  userNamespacePath: undefined,
  hostname: config.Hostname,
  domainname: config.Domainname,
  networks: {},
  ports: Promise.resolve({}),
  connected: Promise.resolve(),
  files: { hosts: "", hostname: "", resolvConf: "" },
});
