/*
 * Requests as clients and their mistakes make them: every endpoint that does not wait for a person, with parameters, filters
 * and bodies from small pools of right and wrong values. Names are few, so that requests meet what others have made.
 */
import type { Random } from "./random.ts";

export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

type Value = unknown;
type Pools = Readonly<Record<string, readonly Value[]>>;

const versions = [
  "",
  "",
  "",
  "/v1.51",
  "/v1.51",
  "/v1.47",
  "/v1.44",
  "/v1.43",
  "/v1.41",
  "/v1.30",
  "/v1.24",
  "/v1.99",
  "/v1.1",
];
const containers = ["c0", "c1", "c2", "c3", "c4", "nosuch", "c0%2F", "C0", "%20"];
const networks = ["n0", "n1", "n2", "bridge", "host", "none", "nosuch"];
const volumes = ["v0", "v1", "v2", "nosuch", "a", "%2e%2e"];
const images = [
  "busybox",
  "busybox:latest",
  "i0",
  "i1:t",
  "i2:latest",
  "nosuch",
  "nosuch:x",
  "UPPER",
  "a:b:c",
  "busybox@sha256:12",
];
const bools = ["0", "1", "true", "false", "True", "yes", "no", "none", "", "2"];
const integers = ["0", "1", "2", "-1", "", "abc", "1.5", "0x10", "99999999999999999999"];
const times = ["0", "1", "1700000000", "1700000000.5", "2024-01-01T00:00:00Z", "2024-01-01", "10m", "abc", "-1", ""];
const signals = ["KILL", "SIGTERM", "9", "15", "0", "SIGFOO", "", "999", "TERM", "sigusr1"];

const filters: Pools = {
  label: [["a"], ["a=b"], ["b"], { a: true }, []],
  "label!": [["a"]],
  name: [["c0"], ["^/c"], ["n"], ["["], ["v0", "v1"]],
  id: [["a"], ["nosuch"]],
  status: [["running"], ["exited", "created"], ["nope"]],
  ancestor: [["busybox"], ["nosuch"]],
  exited: [["0"], ["3"], ["x"]],
  health: [["none"], ["bad"]],
  "is-task": [["false"], ["maybe"]],
  network: [["bridge"], ["n0"], ["nosuch"]],
  volume: [["v0"], ["/v"]],
  expose: [["80/tcp"], ["x"]],
  publish: [["80"], ["x/y/z"]],
  before: [["c0"], ["busybox"], ["nosuch"]],
  since: [["c0"], ["busybox"], ["nosuch"]],
  dangling: [["true"], ["false"], ["x"], ["true", "false"]],
  reference: [["busybox"], ["busy*"], ["["]],
  until: [["10m"], ["2020-01-01"], ["x"], ["1", "2"]],
  driver: [["bridge"], ["local"]],
  scope: [["local"], ["global"]],
  type: [["custom"], ["builtin"], ["x"]],
  all: [["true"], ["1"], ["x"]],
  bogus: [["x"]],
};

const badFilters = ["{", "[]", '"x"', "{}", "null", '{"label":"a"}', '{"label":{"a":1}}', '{"label":{"a":false}}', "x"];

/** Their fields fit or nearly fit each kind of body; the last values of each pool are wrong. */
const hostConfig: Pools = {
  Binds: [["v0:/v"], ["/tmp:/t:ro"], ["v0:/v", "v1:/v"], ["x"], ["rel/path:/x"], ["v0:rel"], ["v0:/v:zz"]],
  Mounts: [
    [{ Type: "volume", Source: "v0", Target: "/m" }],
    [{ Type: "tmpfs", Target: "/m", TmpfsOptions: { SizeBytes: 1048576 } }],
    [{ Type: "bind", Source: "/nosuch", Target: "/m" }],
    [{ Type: "volume", Target: "" }],
    [{ Type: "nope", Target: "/m" }],
    [{ Type: "tmpfs", Source: "x", Target: "/m" }],
  ],
  NetworkMode: [
    "",
    "default",
    "bridge",
    "none",
    "host",
    "n0",
    "n1",
    "container:c0",
    "container:nosuch",
    "nosuch",
    "container:",
  ],
  PortBindings: [
    {},
    { "80/tcp": [{ HostPort: "" }] },
    { "80": [{}] },
    { "x/y": [{}] },
    { "80/tcp": [{ HostPort: "x" }] },
    { "80/tcp": [{ HostIp: "300.1.1.1" }] },
  ],
  PublishAllPorts: [true, false],
  RestartPolicy: [
    { Name: "no" },
    { Name: "" },
    { Name: "bogus" },
    { Name: "no", MaximumRetryCount: 3 },
    { Name: "on-failure", MaximumRetryCount: -1 },
  ],
  AutoRemove: [true, false],
  Privileged: [true, false],
  CapAdd: [["NET_ADMIN"], ["ALL"], ["cap_sys_time"], ["NOPE"]],
  CapDrop: [["ALL"], ["CHOWN"], ["NOPE"]],
  Dns: [["1.1.1.1"], ["x"]],
  DnsOptions: [["ndots:1"]],
  DnsSearch: [["example.org"], ["."], ["-bad-"]],
  ExtraHosts: [["a:1.2.3.4"], ["a:host-gateway"], ["a"], ["a:x"]],
  GroupAdd: [["0"], ["nosuchgroup"]],
  IpcMode: ["private", "host", "none", "shareable", "container:c0", "nope"],
  PidMode: ["", "host", "container:c0", "nope"],
  UTSMode: ["", "host", "nope"],
  UsernsMode: ["", "host", "nope"],
  CgroupnsMode: ["host", "private", "nope"],
  Memory: [0, 10_000_000, 6_291_456, 4096, -1, "x"],
  MemorySwap: [0, -1, 20_000_000, 5],
  MemoryReservation: [0, 6_291_456, 5],
  MemorySwappiness: [0, 60, 101, -2],
  NanoCpus: [0, 500_000_000, -1, 10_000_000_000_000],
  CpuShares: [0, 512, -1],
  CpuPeriod: [0, 100_000, 5],
  CpuQuota: [0, 50_000, 5],
  CpusetCpus: ["", "0", "0-1", "99", "x"],
  CpusetMems: ["", "0", "x"],
  BlkioWeight: [0, 500, 5, 5000],
  PidsLimit: [0, 100, -1],
  OomScoreAdj: [0, 500, 2000],
  ShmSize: [0, 1_048_576, -1],
  Sysctls: [{ "net.ipv4.ip_forward": "1" }, { "kernel.nope": "1" }, { x: "y" }],
  Tmpfs: [{ "/t": "" }, { "/t": "size=1m" }, { "/t": "nope=1" }, { rel: "" }],
  Ulimits: [
    [{ Name: "nofile", Soft: 10, Hard: 20 }],
    [{ Name: "nope", Soft: 1, Hard: 1 }],
    [{ Name: "nofile", Soft: 30, Hard: 20 }],
  ],
  VolumesFrom: [["c0"], ["c0:ro"], ["nosuch"], ["c0:bad"]],
  LogConfig: [
    { Type: "" },
    { Type: "json-file", Config: { "max-size": "1m" } },
    { Type: "none" },
    { Type: "local" },
    { Type: "nope" },
    { Type: "json-file", Config: { nope: "1" } },
  ],
  ReadonlyRootfs: [true, false],
  SecurityOpt: [["no-new-privileges"], ["seccomp=unconfined"], ["seccomp={"], ["nope"], ["label=disable"]],
  Runtime: ["", "runc", "nope"],
  Init: [true, false, null],
  Isolation: ["", "default", "hyperv"],
  Devices: [
    [{ PathOnHost: "/dev/null", PathInContainer: "/dev/n", CgroupPermissions: "rwm" }],
    [{ PathOnHost: "/dev/nosuch", PathInContainer: "/dev/n", CgroupPermissions: "rwm" }],
  ],
  StorageOpt: [{}, { size: "1G" }],
  Annotations: [{ a: "b" }, { "": "x" }],
};

const containerConfig: Pools = {
  Cmd: [
    ["true"],
    ["sleep", "1000"],
    ["sh", "-c", "echo out; echo err >&2; exit 3"],
    ["nosuchcommand"],
    [],
    null,
    "true",
    [1],
  ],
  Entrypoint: [null, [], [""], ["sh"], "sh"],
  Env: [["A=b"], ["A"], ["=x"], [""], "A=b"],
  ExposedPorts: [{ "80/tcp": {} }, { "80": {} }, { "x/tcp": {} }, { "80/foo": {} }],
  Hostname: ["h", "", "a.b", "bad_host!", "x".repeat(70)],
  Domainname: ["d", ""],
  Labels: [{ a: "b" }, { a: "" }, {}, null, ["a"]],
  OpenStdin: [true, false],
  StdinOnce: [true, false],
  Tty: [true, false],
  User: ["", "0", "nobody", "nosuchuser", "1:2", "0:nosuchgroup"],
  WorkingDir: ["", "/tmp", "rel", "/new/dir"],
  Volumes: [{ "/v": {} }, { rel: {} }, {}],
  StopSignal: ["", "SIGKILL", "KILL", "NOPE"],
  StopTimeout: [0, 1, 2],
  MacAddress: ["", "02:42:ac:11:00:09", "x"],
  NetworkDisabled: [true, false],
  Healthcheck: [null, { Test: ["NONE"] }, { Test: ["CMD", "true"], Interval: 1 }, { Test: ["CMD"], Retries: -1 }],
  Shell: [["sh", "-c"]],
  ArgsEscaped: [true],
  nope: [1],
};

const endpointSettings: Pools = {
  Aliases: [["alias"], []],
  IPAMConfig: [
    null,
    {},
    { IPv4Address: "10.77.0.9" },
    { IPv4Address: "10.99.99.99" },
    { IPv4Address: "x" },
    { IPv6Address: "fd00::9" },
  ],
  Links: [["c0:x"], ["nosuch:x"]],
  MacAddress: ["", "02:42:ac:11:00:0a", "x"],
  DriverOpts: [{ a: "b" }],
  GwPriority: [0, 5, -1, "x"],
};

const networkCreate: Pools = {
  Driver: ["", "bridge", "host", "null", "nope", "macvlan"],
  CheckDuplicate: [true],
  Internal: [true, false],
  Attachable: [true, false],
  Ingress: [false, true],
  EnableIPv4: [true, false],
  EnableIPv6: [false, true],
  Labels: [{ a: "b" }, {}],
  Options: [
    {},
    { "com.docker.network.bridge.enable_icc": "false" },
    { "com.docker.network.driver.mtu": "1400" },
    { "com.docker.network.driver.mtu": "x" },
    { nope: "1" },
  ],
  IPAM: [
    null,
    { Driver: "default" },
    { Config: [{ Subnet: "10.77.0.0/24" }] },
    { Config: [{ Subnet: "10.77.0.0/24", Gateway: "10.77.0.1", IPRange: "10.77.0.0/25" }] },
    { Config: [{ Subnet: "10.77.0.5/24" }] },
    { Config: [{ Subnet: "x" }] },
    { Config: [{ Subnet: "10.78.0.0/24", Gateway: "10.79.0.1" }] },
    { Config: [{ Gateway: "10.77.0.1" }] },
    { Driver: "nope" },
  ],
  Scope: ["", "local", "swarm"],
  ConfigOnly: [false, true],
  ConfigFrom: [{ Network: "n0" }, { Network: "nosuch" }],
};

const volumeCreate: Pools = {
  Driver: ["", "local", "nope"],
  DriverOpts: [{}, { type: "tmpfs", device: "tmpfs", o: "size=1m" }, { type: "tmpfs" }, { nope: "1" }, { size: "x" }],
  Labels: [{ a: "b" }, {}, null],
};

const update: Pools = {
  Memory: [0, 20_000_000, 5],
  MemorySwap: [-1, 40_000_000],
  CpuShares: [0, 256],
  CpusetCpus: ["0", "99"],
  PidsLimit: [50, -1, 0],
  NanoCpus: [100_000_000],
  RestartPolicy: [{ Name: "no" }, { Name: "bogus" }],
  BlkioWeight: [300, 5],
};

const execConfig: Pools = {
  Cmd: [["true"], ["nosuchcommand"], [], ["sh", "-c", "exit 4"], "true"],
  AttachStdout: [true, false],
  AttachStderr: [true, false],
  Tty: [true, false],
  Env: [["A=b"], ["x"]],
  User: ["", "nobody", "nosuchuser"],
  WorkingDir: ["", "/tmp", "/nosuch"],
  Privileged: [true, false],
  DetachKeys: ["", "ctrl-x", "bad-keys-here"],
  ConsoleSize: [[24, 80], [1], null],
};

type Make = (random: Random) => Omit<FuzzRequest, "headers"> & { readonly query?: Pools };

/** [how often, what] */
const endpoints: readonly (readonly [weight: number, make: Make])[] = [
  [
    14,
    (r) =>
      post(
        "/containers/create",
        { name: [...containers, "a/b", "-x"], platform: ["", "linux/amd64", "linux/arm64", "x", "a/b/c/d"] },
        create(r),
      ),
  ],
  [
    8,
    (r) =>
      post(`/containers/${r.pick(containers)}/start`, { detachKeys: ["", "ctrl-a", "nope-x"], checkpoint: ["", "x"] }),
  ],
  [3, (r) => post(`/containers/${r.pick(containers)}/stop`, { t: ["0", "1", "x", ""], signal: signals })],
  [2, (r) => post(`/containers/${r.pick(containers)}/restart`, { t: ["0", "x"], signal: signals })],
  [5, (r) => post(`/containers/${r.pick(containers)}/kill`, { signal: signals })],
  [2, (r) => post(`/containers/${r.pick(containers)}/pause`)],
  [2, (r) => post(`/containers/${r.pick(containers)}/unpause`)],
  [3, (r) => post(`/containers/${r.pick(containers)}/rename`, { name: [...containers, "a b", ""] })],
  [2, (r) => post(`/containers/${r.pick(containers)}/resize`, { h: integers, w: integers })],
  [3, (r) => post(`/containers/${r.pick(containers)}/update`, {}, object(r, update))],
  [3, (r) => post(`/containers/${r.pick(containers)}/exec`, {}, object(r, execConfig))],
  [1, (r) => post(`/exec/${r.pick(["nosuch", "0".repeat(64)])}/start`, {}, { Detach: true })],
  [6, (r) => remove(`/containers/${r.pick(containers)}`, { force: bools, v: bools, link: bools })],
  [1, (r) => post("/containers/prune", pruneQuery(r))],
  [
    6,
    (r) =>
      get("/containers/json", {
        all: bools,
        limit: integers,
        size: bools,
        filters: [filter(r)],
        since: ["c0", "nosuch"],
        before: ["c0"],
      }),
  ],
  [6, (r) => get(`/containers/${r.pick(containers)}/json`, { size: bools })],
  [
    3,
    (r) =>
      get(`/containers/${r.pick(containers)}/logs`, {
        stdout: bools,
        stderr: bools,
        tail: [...integers, "all"],
        timestamps: ["0"],
        since: times,
        until: times,
        details: bools,
      }),
  ],
  [2, (r) => get(`/containers/${r.pick(containers)}/top`, { ps_args: ["", "-o pid,comm", "aux", "-o nope", "x"] })],
  [2, (r) => get(`/containers/${r.pick(containers)}/changes`)],
  [1, (r) => get(`/containers/${r.pick(containers)}/stats?stream=0&one-shot=1`)],
  [
    2,
    (r) =>
      get(`/containers/${r.pick(containers)}/archive`, { path: ["", "/etc/hostname-no", "/etc", "rel", "/nosuch"] }),
  ],
  [1, (r) => ({ ...get(`/containers/${r.pick(containers)}/archive`, { path: ["/etc", "/nosuch"] }), method: "HEAD" })],
  [
    1,
    (r) => ({
      ...get(`/containers/${r.pick(containers)}/archive`, {
        path: ["/tmp", "/nosuch", ""],
        noOverwriteDirNonDir: bools,
      }),
      method: "PUT",
      body: r.pick(["", "not a tar"]),
    }),
  ],
  [
    5,
    (r) => post("/networks/create", {}, { Name: r.pick([...networks, "", "a b", "n0 "]), ...object(r, networkCreate) }),
  ],
  [4, (r) => get("/networks", { filters: [filter(r)] })],
  [4, (r) => get(`/networks/${r.pick(networks)}`, { verbose: bools, scope: ["", "local", "swarm", "x"] })],
  [
    5,
    (r) =>
      post(
        `/networks/${r.pick(networks)}/connect`,
        {},
        { Container: r.pick(containers), EndpointConfig: r.pick([null, object(r, endpointSettings)]) },
      ),
  ],
  [
    4,
    (r) =>
      post(
        `/networks/${r.pick(networks)}/disconnect`,
        {},
        { Container: r.pick(containers), Force: r.pick([true, false]) },
      ),
  ],
  [4, (r) => remove(`/networks/${r.pick(networks)}`)],
  [1, (r) => post("/networks/prune", pruneQuery(r))],
  [5, (r) => post("/volumes/create", {}, { Name: r.pick([...volumes, "", "a/b", "-x"]), ...object(r, volumeCreate) })],
  [3, (r) => get("/volumes", { filters: [filter(r)] })],
  [3, (r) => get(`/volumes/${r.pick(volumes)}`)],
  [4, (r) => remove(`/volumes/${r.pick(volumes)}`, { force: bools })],
  [1, (r) => post("/volumes/prune", pruneQuery(r))],
  [4, (r) => get("/images/json", { all: bools, digests: bools, "shared-size": bools, filters: [filter(r)] })],
  [3, (r) => get(`/images/${r.pick(images)}/json`, { manifests: bools, platform: ["", "{}", "x"] })],
  [2, (r) => get(`/images/${r.pick(images)}/history`)],
  [
    4,
    (r) =>
      post(`/images/${r.pick(images)}/tag`, { repo: ["i0", "i1", "i2", "UPPER", ""], tag: ["", "t", "a:b", "latest"] }),
  ],
  [
    4,
    (r) =>
      remove(`/images/${r.pick(images.filter((name) => !name.startsWith("busybox")))}`, {
        force: bools,
        noprune: bools,
      }),
  ],
  [
    2,
    (r) =>
      post(
        "/commit",
        {
          container: containers,
          repo: ["i2", "", "UPPER"],
          tag: ["", "t"],
          pause: bools,
          changes: ["", "CMD x", "NOPE x", "ENV a=b"],
        },
        r.pick([null, {}, { Labels: { z: "1" } }]),
      ),
  ],
  [
    2,
    () =>
      post("/images/create", { fromImage: ["", "127.0.0.1:1/x", "UPPER", "scratch"], tag: ["", "x"], repo: ["", "r"] }),
  ],
  [1, (r) => post(`/images/${r.pick(images)}/push`, { tag: ["", "x"] })],
  [1, (r) => get(`/events?since=1&until=${r.pick(["2", "x", "1"])}`, { filters: [filter(r)] })],
  [2, () => get("/info")],
  [2, () => get("/version")],
  [1, () => get("/_ping")],
  [1, () => get("/system/df", { type: ["container", "image", "volume", "build-cache", "x"] })],
  [1, () => post("/auth", {}, { username: "x", password: "y", serveraddress: "127.0.0.1:1" })],
  [
    1,
    (r) => ({
      method: r.pick(["GET", "POST", "DELETE", "PUT", "PATCH"]),
      path: r.pick([
        "/nosuch",
        "/containers",
        "/containers/",
        "/images/",
        "/swarm",
        "/nodes",
        "/services",
        "/tasks",
        "/secrets",
        "/configs",
        "/plugins",
        "/session",
        "/build/prune",
      ]),
    }),
  ],
];

const get = (path: string, query: Pools = {}) => ({ method: "GET", path, query });
const remove = (path: string, query: Pools = {}) => ({ method: "DELETE", path, query });
const post = (path: string, query: Pools = {}, body?: unknown) => ({ method: "POST", path, query, body });

/** A few fields, each with some value. */
function object(random: Random, pools: Pools): Record<string, unknown> {
  const keys = random.some(Object.keys(pools), 2.5 / Object.keys(pools).length);
  return Object.fromEntries(keys.map((key) => [key, random.pick(pools[key] ?? [])]));
}

/** Mostly one that can be created: what does not exist is refused in few ways. */
function create(random: Random): unknown {
  if (random.isLucky(0.04)) return random.pick([null, [], "x", {}, { Image: "" }, { Image: 5 }]);
  const command = random.pick([
    ["true"],
    ["sleep", "1000"],
    ["sleep", "1000"],
    ["sh", "-c", "echo out; echo err >&2; exit 3"],
  ]);
  const networkingConfig = random.isLucky(0.15)
    ? { NetworkingConfig: { EndpointsConfig: { [random.pick(networks)]: object(random, endpointSettings) } } }
    : {};
  return {
    Image: random.isLucky(0.9) ? "busybox" : random.pick(images),
    Cmd: command,
    ...(random.isLucky(0.4) ? object(random, containerConfig) : {}),
    ...(random.isLucky(0.6) ? { HostConfig: object(random, hostConfig) } : {}),
    ...networkingConfig,
  };
}

function filter(random: Random): string {
  return random.isLucky(0.15) ? random.pick(badFilters) : JSON.stringify(object(random, filters));
}

/** Nothing that others of the fuzz did not make. */
const pruneQuery = (random: Random): Pools => ({
  filters: [JSON.stringify({ label: ["nosuch"] }), filterOfUnknown(random)],
});
const filterOfUnknown = (random: Random) => random.pick(['{"bogus":["x"]}', "{", '{"until":["x"]}']);

const wheel = endpoints.flatMap(([weight, make]) => Array.from({ length: weight }, () => make));

export function nextRequest(random: Random): FuzzRequest {
  const { method, path, query = {}, body } = random.pick(wheel)(random);
  const words = random
    .some(Object.keys(query), 0.4)
    .map((key) => `${key}=${encodeURIComponent(String(random.pick(query[key] ?? [])))}`);
  const joint = path.includes("?") ? "&" : "?";
  const target = `${random.pick(versions)}${path}${words.map((word, index) => (index === 0 ? joint : "&") + word).join("")}`;
  const headers = random.isLucky(0.03)
    ? { "Content-Type": random.pick(["text/plain", "", "application/json; x"]) }
    : {};
  return { method, path: target, headers, ...(body === undefined ? {} : { body: mangled(random, body) }) };
}

/** Keys in other case, and nulls: Docker's JSON takes both. */
function mangled(random: Random, body: unknown): unknown {
  if (!random.isLucky(0.05) || typeof body !== "object" || body === null) return body;
  const change = random.pick([(key: string) => key.toLowerCase(), (key: string) => key.toUpperCase()]);
  return Object.fromEntries(Object.entries(body).map(([key, value]) => [change(key), value]));
}
