/* What requests are made of: small pools of right and wrong values. Names are few, so that requests meet what others have made. */

export type Pools = Readonly<Record<string, readonly unknown[]>>;

/** `{container}` is the newest that was made, by its ID, and `{exec}` likewise. No name may pass for the beginning of an ID. */
export const containerNames = ["w0", "w1", "w2"];
export const containers = [...containerNames, "{container}", "{container}", "nosuch", "w0%2F", "W0", "%20"];
export const execs = ["{exec}", "{exec}", "{exec}", "nosuch", "0".repeat(64)];
export const networks = ["n0", "n1", "n2", "bridge", "host", "none", "nosuch"];
export const volumes = ["v0", "v1", "v2", "nosuch", "a", "%2e%2e"];
/** Each version in which something changed, its neighbours, and what is none. */
export const versions = [
  ...Array.from({ length: 28 }, (_, index) => `/v1.${24 + index}`),
  ...["/v1.23", "/v1.52", "/v1", "/v1.51.0", "/v01.51", "/v2.0", "/v1.5x"],
];
export const images = [
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
export const bools = ["0", "1", "true", "false", "True", "yes", "no", "none", "", "2"];
export const integers = ["0", "1", "2", "-1", "", "abc", "1.5", "0x10", "99999999999999999999"];
export const times = [
  "0",
  "1",
  "1700000000",
  "1700000000.5",
  "2024-01-01T00:00:00Z",
  "2024-01-01",
  "10m",
  "abc",
  "-1",
  "",
];
export const signals = ["KILL", "SIGTERM", "9", "15", "0", "SIGFOO", "", "999", "TERM", "sigusr1"];

export const filters: Pools = {
  label: [["a"], ["a=b"], ["b"], ["a", "a=b"], ["=b"], [""], { a: true }, { a: false }, [], [null]],
  "label!": [["a"], ["a=b", "b"], [""]],
  name: [["w0"], ["^/w"], ["n"], ["["], ["v0", "v1"], ["W"], ["^w0$"], [""], ["(?i)W0"], ["w{2"]],
  id: [["a"], ["nosuch"], [""], ["^a"], ["a", "b"]],
  status: [["running"], ["exited", "created"], ["nope"], ["paused"], ["dead"], [""], ["Running"], []],
  ancestor: [["busybox"], ["nosuch"], ["busybox:latest"], ["UPPER"], [""], ["sha256:12"]],
  exited: [["0"], ["3"], ["x"], ["-1"], ["0", "3"], ["99999999999999999999"], [""]],
  health: [["none"], ["bad"], ["starting", "healthy"], [""]],
  "is-task": [["false"], ["maybe"], ["true"], ["true", "false"], ["1"]],
  isolation: [["default"], ["x"]],
  network: [["bridge"], ["n0"], ["nosuch"], ["n"], [""]],
  volume: [["v0"], ["/v"], ["/"], [""]],
  expose: [["80/tcp"], ["x"], ["80"], ["80-81/udp"], ["81-80"]],
  publish: [["80"], ["x/y/z"], ["80/udp"], ["70000"], [""]],
  before: [["w0"], ["busybox"], ["nosuch"], ["w0", "w1"]],
  since: [["w0"], ["busybox"], ["nosuch"]],
  dangling: [["true"], ["false"], ["x"], ["true", "false"], ["1"], ["True"], [""]],
  reference: [["busybox"], ["busy*"], ["["], ["*"], ["busybox:lat*"], [""]],
  until: [["10m"], ["2020-01-01"], ["x"], ["1", "2"], ["1.5"], ["-1"], [""]],
  driver: [["bridge"], ["local"], ["nope"]],
  scope: [["local"], ["global"], ["swarm"]],
  type: [["custom"], ["builtin"], ["x"], ["container"]],
  event: [["start"], ["exec_create"], ["x"]],
  container: [["w0"], ["nosuch"]],
  image: [["busybox"], ["busybox:latest"]],
  all: [["true"], ["1"], ["x"], ["0", "1"]],
  bogus: [["x"]],
};

export const badFilters = [
  "{",
  "[]",
  '"x"',
  "{}",
  "null",
  '{"label":"a"}',
  '{"label":{"a":1}}',
  '{"label":{"a":false}}',
  "x",
];

/** Their fields fit or nearly fit each kind of body; the last values of each pool are wrong. */
export const hostConfig: Pools = {
  Binds: [["v0:/v"], ["/tmp:/t:ro"], ["x"], ["rel/path:/x"], ["v0:rel"], ["v0:/v:zz"]],
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
    "container:w0",
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
    { Name: 1 },
    { MaximumRetryCount: "x" },
    null,
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
  IpcMode: ["private", "host", "none", "shareable", "container:w0", "nope"],
  PidMode: ["", "host", "container:w0", "nope"],
  UTSMode: ["", "host", "nope"],
  UsernsMode: ["", "host", "nope"],
  CgroupnsMode: ["host", "private", "nope"],
  CgroupParent: [""],
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
  VolumesFrom: [["w0"], ["w0:ro"], ["nosuch"], ["w0:bad"]],
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

export const containerConfig: Pools = {
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
  StopTimeout: [0, 1, 2, null, "x"],
  MacAddress: ["", "02:42:ac:11:00:09", "x"],
  NetworkDisabled: [true, false],
  Healthcheck: [null, { Test: ["NONE"] }, { Test: ["CMD", "true"], Interval: 1 }, { Test: ["CMD"], Retries: -1 }],
  Shell: [["sh", "-c"]],
  ArgsEscaped: [true],
};

export const endpointSettings: Pools = {
  Aliases: [["alias"], []],
  IPAMConfig: [
    null,
    {},
    { IPv4Address: "10.77.0.9" },
    { IPv4Address: "10.99.99.99" },
    { IPv4Address: "x" },
    { IPv6Address: "fd00::9" },
  ],
  Links: [["w0:x"], ["nosuch:x"]],
  MacAddress: ["", "02:42:ac:11:00:0a", "x"],
  DriverOpts: [{ a: "b" }],
  GwPriority: [0, 5, -1, "x"],
};

export const networkCreate: Pools = {
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

export const networkConnect: Pools = { Container: containers };

export const volumeCreate: Pools = {
  Driver: ["", "local", "nope"],
  DriverOpts: [{}, { type: "tmpfs", device: "tmpfs", o: "size=1m" }, { type: "tmpfs" }, { nope: "1" }, { size: "x" }],
  Labels: [{ a: "b" }, {}, null],
};

export const update: Pools = {
  Memory: [0, 20_000_000, 5],
  MemorySwap: [-1, 40_000_000],
  CpuShares: [0, 256],
  CpusetCpus: ["0", "99"],
  PidsLimit: [50, -1, 0],
  NanoCpus: [100_000_000],
  RestartPolicy: [{ Name: "no" }, { Name: "bogus" }],
  BlkioWeight: [300, 5],
};

export const execConfig: Pools = {
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

const bodies = {
  "container.Config": containerConfig,
  "container.CreateRequest": containerConfig,
  "container.HostConfig": hostConfig,
  "container.UpdateConfig": update,
  "container.ExecOptions": execConfig,
  "network.EndpointSettings": endpointSettings,
  "network.CreateRequest": networkCreate,
  "network.ConnectOptions": networkConnect,
  "network.DisconnectOptions": networkConnect,
  "volume.CreateOptions": volumeCreate,
};

/** What the fields of a Go type are mostly given, since few strings mean anything. */
export const poolsOf = (goType: string): Pools =>
  Object.hasOwn(bodies, goType) ? bodies[goType as keyof typeof bodies] : {};
