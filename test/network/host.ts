/** A host of the test's own: this process in a network namespace of its own, a neighbour outside, and the service under test. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { HostConfig } from "#api-schema/container-config";
import type { EndpointSettings } from "#api-schema/network-settings";
import { systemClock } from "#base/clock";
import { EngineError } from "#base/errors";
import { newId, parseDigest } from "#base/ids";
import { Locks } from "#base/locks";
import { createLog } from "#base/log";
import { Events, Filters } from "#engine";
import { CLONE_NEWNET, unshare } from "#native";
import { Spawner } from "#runtime";
import { type ContainerRecord, openStorage } from "#storage";
import { nativeBinary } from "../../src/daemon/paths.ts";
import { relayProcess } from "../../src/daemon/relay-process.ts";
import { NetworkService, openNetworkService, type Sandbox } from "../../src/engine/network/service.ts";

const exec = promisify(execFile);

export const isRoot = process.getuid?.() === 0;

let isAway = false;
/** From here on this test file's thread has a network of its own: nothing of the machine's is touched. */
export async function leaveMachine(): Promise<void> {
  if (isAway) return;
  unshare(CLONE_NEWNET);
  isAway = true;
  await sh("ip link set lo up");
}

export async function sh(command: string): Promise<string> {
  const { stdout } = await exec("sh", ["-ec", command], { maxBuffer: 1 << 24 });
  return stdout.trimEnd();
}

/** Exit code and output, for what may fail. */
export async function attempt(command: string): Promise<{ readonly code: number; readonly output: string }> {
  try {
    return { code: 0, output: await sh(command) };
  } catch (error) {
    const code = error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : -1;
    return { code, output: "" };
  }
}

export interface TestContainer {
  readonly record: ContainerRecord;
  readonly sandbox: Sandbox;
  /** Runs a shell command in the container's network. */
  run(command: string): Promise<string>;
  attempt(command: string): ReturnType<typeof attempt>;
  /** Starts a server in the container's network and waits until it listens. */
  serve(command: string, listening: string): Promise<void>;
  stop(): Promise<void>;
}

export interface ContainerWish {
  readonly name?: string;
  readonly network?: string;
  readonly networks?: Record<string, Partial<EndpointSettings>>;
  readonly hostConfig?: Partial<HostConfig>;
  readonly exposed?: readonly string[];
}

export class TestHost implements AsyncDisposable {
  readonly directory: string;
  readonly events: Events;
  service: NetworkService;
  readonly #storage: Awaited<ReturnType<typeof openStorage>>;
  readonly #spawner: Spawner;
  readonly #open: () => Promise<NetworkService>;
  readonly #records = new Map<string, ContainerRecord>();
  readonly #children = new Set<ChildProcess>();

  private constructor(parts: {
    directory: string;
    storage: Awaited<ReturnType<typeof openStorage>>;
    spawner: Spawner;
    bridge: Partial<BridgeConfig>;
  }) {
    this.directory = parts.directory;
    this.#storage = parts.storage;
    this.#spawner = parts.spawner;
    this.events = new Events(systemClock);
    const locks = new Locks();
    const log = createLog("error");
    this.#open = () =>
      openNetworkService({
        storage: parts.storage,
        dataRoot: join(parts.directory, "data"),
        execRoot: join(parts.directory, "exec"),
        config: {
          bridge: { ...defaultBridge, ...parts.bridge },
          addressPools: [],
          defaultNetworkOptions: {},
          dns: { nameservers: [], search: [], options: [] },
          hostGateways: [],
        },
        containers: {
          find: (ref) => this.#find(ref),
          get: (ref) => {
            const record = this.#find(ref);
            if (record === undefined) throw new EngineError("notFound", `No such container: ${ref}`);
            return record;
          },
          save: () => undefined,
        },
        events: this.events,
        locks,
        clock: systemClock,
        log,
        // MINIRELAY: a build of its own to test, such as one with sanitizers.
        relay: relayProcess(parts.spawner, process.env.MINIRELAY),
        makeNamespaces: (request) => parts.spawner.makeNamespaces(request),
      });
    // Replaced at once by `start`: a host without its service is never handed out.
    this.service = Object.create(NetworkService.prototype);
  }

  /** `isThere`: the process is in a network of the test's already. */
  static async start(options: { readonly isThere?: boolean; readonly bridge?: Partial<BridgeConfig> } = {}) {
    if (options.isThere !== true) await leaveMachine();
    const directory = await mkdtemp("/var/tmp/network-");
    for (const name of ["data", "exec"]) await mkdir(join(directory, name));
    return TestHost.#on(directory, options.bridge ?? {}, []);
  }

  /** The next life of a daemon that was killed. */
  static adopt(directory: string, running: readonly ContainerRecord[]): Promise<TestHost> {
    return TestHost.#on(directory, {}, running);
  }

  static async #on(directory: string, bridge: Partial<BridgeConfig>, running: readonly ContainerRecord[]) {
    const log = createLog("error");
    const storage = await openStorage({ dataRoot: join(directory, "data"), execRoot: join(directory, "exec"), log });
    const spawner = await Spawner.start({ binary: nativeBinary("minispawn"), log });
    const host = new TestHost({ directory, storage, spawner, bridge });
    for (const record of running) host.#records.set(record.id, record);
    host.service = await host.#open();
    try {
      await host.service.restore(running);
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
    return host;
  }

  #find(ref: string): ContainerRecord | undefined {
    return [...this.#records.values()].find(({ id, name }) => id === ref || name === ref || id.startsWith(ref));
  }

  async container(wish: ContainerWish = {}): Promise<TestContainer> {
    const mode = wish.network ?? "bridge";
    const endpoints = Object.entries(wish.networks ?? {}).map(
      ([name, settings]) => [name, endpoint(settings)] as const,
    );
    const EndpointsConfig = endpoints.length === 0 ? null : Object.fromEntries(endpoints);
    this.service.validateCreate({ EndpointsConfig });
    const record = containerRecord(wish, mode);
    record.networks = this.service.initialNetworks(mode, { EndpointsConfig });
    this.#records.set(record.id, record);
    const directory = join(this.directory, "data", "containers", record.id);
    await mkdir(directory, { recursive: true });
    try {
      const sandbox = await this.service.attach(record, { directory });
      Object.assign(record, { networks: sandbox.networks, ports: await sandbox.ports, sandboxId: sandbox.id });
      record.sandboxKey = sandbox.key;
      record.state.status = "running";
      return this.#handle(record, sandbox);
    } catch (error) {
      await this.service.detach(record);
      this.#records.delete(record.id);
      throw error;
    }
  }

  #handle(record: ContainerRecord, sandbox: Sandbox): TestContainer {
    const inside = (command: string) => insideOf(sandbox.namespacePath, command);
    const mine: ChildProcess[] = [];
    return {
      record,
      sandbox,
      run: (command) => sh(inside(command)),
      attempt: (command) => attempt(inside(command)),
      serve: async (command, listening) => {
        const child = spawn("sh", ["-c", `exec ${inside(`exec ${command}`)}`], { stdio: "ignore" });
        mine.push(child);
        this.#children.add(child);
        await sh(
          `for i in $(seq 200); do ${inside(`ss -Hlntup`)} | grep -q '${listening}' && exit 0; busybox usleep 20000; done; exit 1`,
        );
      },
      stop: async () => {
        for (const child of mine) await end(child);
        await this.service.detach(record);
        record.state.status = "exited";
        this.#records.delete(record.id);
      },
    };
  }

  list() {
    return this.service.list(new Filters());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await end(child);
    for (const record of this.#records.values()) await this.service.detach(record);
    this.#records.clear();
    await this.service.shutdown();
    await this.#spawner[Symbol.asyncDispose]();
    await this.#storage[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A command for the shell, run in a container's network. */
export function insideOf(namespacePath: string | undefined, command: string): string {
  const place = namespacePath === undefined ? "" : `nsenter --net=${namespacePath} `;
  return `${place}sh -ec ${JSON.stringify(command).replaceAll("$", "\\$")}`;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

type BridgeConfig = Parameters<typeof openNetworkService>[0]["config"]["bridge"];

const defaultBridge: BridgeConfig = {
  name: "",
  bip: "",
  bip6: "",
  fixedCidr: "",
  fixedCidrV6: "",
  defaultGateway: "",
  defaultGatewayV6: "",
  isIccEnabled: true,
  defaultBindingAddress: "",
  mtu: 0,
  isIpv6Enabled: false,
  isMasqueraded: true,
  isForwardingEnabled: true,
  isForwardingOpen: false,
  isFirewallEnabled: true,
  isFirewall6Enabled: true,
  isUserlandProxyEnabled: true,
  isDirectRoutingAllowed: false,
};

const endpoint = (settings: Partial<EndpointSettings>): EndpointSettings => ({
  IPAMConfig: null,
  Links: null,
  Aliases: null,
  MacAddress: "",
  DriverOpts: null,
  GwPriority: 0,
  NetworkID: "",
  EndpointID: "",
  Gateway: "",
  IPAddress: "",
  IPPrefixLen: 0,
  IPv6Gateway: "",
  GlobalIPv6Address: "",
  GlobalIPv6PrefixLen: 0,
  DNSNames: null,
  ...settings,
});

/** As far as the network side reads it; the rest of a record is other areas' business. */
function containerRecord(wish: ContainerWish, mode: string): ContainerRecord {
  const id = newId();
  const ports = [...(wish.exposed ?? []), ...Object.keys(wish.hostConfig?.PortBindings ?? {})];
  const part = {
    id,
    name: wish.name ?? `c-${id.slice(0, 6)}`,
    created: "2026-01-01T00:00:00Z",
    imageId: parseDigest(`sha256:${"0".repeat(64)}`),
    config: {
      Hostname: mode === "host" ? "" : id.slice(0, 12),
      Domainname: "",
      ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])),
      NetworkDisabled: false,
    },
    hostConfig: {
      NetworkMode: mode,
      PortBindings: null,
      PublishAllPorts: false,
      Dns: null,
      DnsSearch: null,
      DnsOptions: null,
      ExtraHosts: null,
      Links: null,
      ...wish.hostConfig,
    },
    networks: {},
    ports: {},
    sandboxId: "",
    sandboxKey: "",
    state: { status: "created", pid: process.pid },
  };
  return Object.assign(Object.create(null), part);
}

/** Another machine on the host's network: 192.0.2.1 here, 192.0.2.2 there. */
export async function neighbour(): Promise<
  { run: (command: string) => Promise<string>; attempt: typeof attempt } & AsyncDisposable
> {
  const name = `md-${newId().slice(0, 8)}`;
  await sh(`ip netns add ${name}
    ip link add up0 type veth peer name up0 netns ${name}
    ip addr add 192.0.2.1/24 dev up0; ip addr add 2001:db8::1/64 dev up0 nodad; ip link set up0 up
    ip -n ${name} addr add 192.0.2.2/24 dev up0; ip -n ${name} addr add 2001:db8::2/64 dev up0 nodad
    ip -n ${name} link set up0 up; ip -n ${name} link set lo up`);
  const inside = (command: string) => `ip netns exec ${name} sh -ec ${JSON.stringify(command).replaceAll("$", "\\$")}`;
  return {
    run: (command) => sh(inside(command)),
    attempt: (command) => attempt(inside(command)),
    [Symbol.asyncDispose]: async () => {
      await sh(`ip netns pids ${name} | xargs -r kill -9; ip link del up0 || true; ip netns del ${name}`);
    },
  };
}
