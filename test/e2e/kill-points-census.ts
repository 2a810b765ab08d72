/** Everything that an engine has on a machine, as lines without what differs from one run to the next: names instead of ids. */
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import Sqlite from "better-sqlite3";
import { run } from "#test/command";
import type { Daemon } from "#test/daemon";

interface Inspected {
  readonly Id: string;
  readonly Name: string;
  readonly State: { readonly Status: string; readonly Pid: number; readonly [key: string]: unknown };
  readonly HostConfig: { readonly [key: string]: unknown };
  readonly Config: { readonly Hostname: string };
  readonly Mounts: readonly { readonly Name?: string }[];
  readonly NetworkSettings: {
    readonly SandboxID: string;
    readonly SandboxKey: string;
    readonly Ports: object;
    readonly Networks: Record<string, { readonly EndpointID: string }>;
  };
  readonly RestartCount: number;
}

interface Network {
  readonly Id: string;
  readonly Name: string;
}

/** Ids in a text give way to the names of what they belong to, in the order in which they are told. */
class Names {
  readonly #names: [id: string, name: string][] = [];

  tell(id: string, name: string): void {
    if (id === "") return;
    for (const length of [64, 24, 12, 7]) this.#names.push([id.slice(0, length), `<${name}>`]);
  }

  in(text: string): string {
    return this.#names.reduce((named, [id, name]) => named.replaceAll(id, name), text);
  }
}

/** The engine must be at rest. */
export async function census(daemon: Daemon): Promise<string[]> {
  const names = new Names();
  const json = async <T>(path: string): Promise<T> => (await daemon.http.get(path)).json() as T;
  const networks = await json<Network[]>("/networks");
  for (const { Id, Name } of networks) names.tell(Id, `network ${Name}`);
  const listed = await json<{ Id: string }[]>("/containers/json?all=1");
  const asked = await Promise.all(listed.map(({ Id }) => json<Inspected>(`/containers/${Id}/json`)));
  // One that goes by itself may have gone in the meantime.
  const containers = asked.filter(({ Id }) => Id !== undefined);
  for (const container of containers) tellNames(names, container);
  const images = await json<{ Id: string; RepoTags: string[] }[]>("/images/json");
  for (const { Id, RepoTags } of images) names.tell(Id, `image ${RepoTags[0]}`);
  const { Volumes } = await json<{ Volumes: { Name: string }[] | null }>("/volumes");
  const running = containers.filter(({ State }) => State.Pid !== 0);
  const details = await Promise.all(networks.map(({ Id }) => json<Network>(`/networks/${Id}`)));
  const lines = [
    // Of a container that joins another's network the name of the host is known when it runs.
    ...containers.flatMap(({ Config: { Hostname, ...config }, ...container }) =>
      leaves(`container ${container.Name}`, {
        ...container,
        Config: container.NetworkSettings.SandboxID === "" ? config : { ...config, Hostname },
      }),
    ),
    ...details.flatMap((network) => leaves(`network ${network.Name}`, network)),
    ...(Volumes ?? []).flatMap((volume) => leaves(`volume ${volume.Name}`, volume)),
    ...rows(daemon.dataRoot),
    ...files(daemon, containers),
    ...processes(daemon, containers),
    ...cgroups(daemon),
    ...mounts(daemon),
    ...(await relayed(daemon)),
    ...(await hostNetwork(daemon, running)),
    ...(await Promise.all(running.map((container) => sandbox(container)))).flat(),
  ];
  return lines.map((line) => plain(names.in(line).replaceAll(daemon.folder, ""))).sort();
}

/** Without numbers that are given out one after another, or by lot. */
const plain = (line: string): string =>
  line
    .replaceAll(/\b[0-9a-f]{64}\b/g, "<id>")
    .replaceAll(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, "<mac>")
    .replaceAll(/\/snapshots\/\d+\//g, "/snapshots/*/")
    .replaceAll(/127\.0\.0\.11:\d+|redirect to :\d+/g, "127.0.0.11:*");

function tellNames(names: Names, { Id, Name, NetworkSettings, Mounts }: Inspected): void {
  const { SandboxID, Networks } = NetworkSettings;
  names.tell(Id, `container ${Name}`);
  names.tell(SandboxID, `sandbox ${Name}`);
  for (const [network, { EndpointID }] of Object.entries(Networks))
    names.tell(EndpointID, `endpoint ${Name} ${network}`);
  Mounts.forEach((mount, i) => {
    if (mount.Name?.length === 64) names.tell(mount.Name, `volume ${Name} ${i}`);
  });
}

const times = new Set(["Created", "CreatedAt", "StartedAt", "FinishedAt"]);

/** A line for each value. Of a time only whether it is one, and of a pid: `processes` tells what it does. */
function leaves(path: string, value: unknown): string[] {
  const [, key = ""] = /\.(\w+)$/.exec(path) ?? [];
  if (times.has(key)) return [`${path}: ${!String(value).startsWith("0001-01-01")}`];
  if (key === "Pid") return [`${path}: ${value !== 0}`];
  if (typeof value !== "object" || value === null) return [`${path}: ${value}`];
  // A network that the container is not on may know more of it than before, and files that a start has made stay.
  const files = ["HostnamePath", "HostsPath", "ResolvConfPath", "LogPath"];
  const hidden = "EndpointID" in value && value.EndpointID === "" ? ["DNSNames", "NetworkID"] : files;
  const entries = Object.entries(value).filter(([name]) => !hidden.includes(name));
  return entries.length === 0 ? [`${path}: empty`] : entries.flatMap(([name, part]) => leaves(`${path}.${name}`, part));
}

/** Rows of every table, by the id that they are found by. */
function rows(dataRoot: string): string[] {
  const database = new Sqlite(join(dataRoot, "engine.db"), { readonly: true });
  try {
    const select = (sql: string) => database.prepare<[], Record<string, unknown>>(sql).all();
    const tables = select("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    const counts = tables.map(({ name }) => {
      const [{ count } = {}] = select(`SELECT count(*) AS count FROM ${name}`);
      return `rows of ${name}: ${count}`;
    });
    const kept = [
      ...select("SELECT container_id AS id, 'snapshot' AS kind FROM snapshots"),
      ...select("SELECT container_id || destination AS id, 'view' AS kind FROM views"),
      ...select("SELECT id, kind FROM documents"),
    ];
    return [...counts, ...kept.map(({ kind, id }) => `row of ${kind} ${id}`)];
  } finally {
    database.close();
  }
}

const list = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

const folders = (folder: string): string[] =>
  list(folder).filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isDirectory());

/** What a folder of a stopped container still has of a run does no harm: the next run makes it anew. */
function files({ dataRoot, execRoot }: Daemon, containers: readonly Inspected[]): string[] {
  const below = (root: string, folder: string) => list(join(root, folder)).map((name) => `file ${folder}/${name}`);
  const logs = list(join(dataRoot, "containers")).flatMap((id) => below(dataRoot, `containers/${id}`));
  const volumes = list(join(dataRoot, "volumes")).flatMap((name) =>
    list(join(dataRoot, "volumes", name, "_data")).map((file) => `file in volume ${name}: ${file}`),
  );
  const known = new Set(containers.map(({ Id }) => Id));
  return [
    ...list(join(execRoot, "containers"))
      .filter((id) => !known.has(id))
      .map((id) => `bundle of nobody: ${id}`),
    ...logs.filter((line) => !/-json\.log|\/mounts|hosts|hostname|resolv\.conf/.test(line)),
    ...below(dataRoot, "containers"),
    ...below(dataRoot, "volumes"),
    ...volumes,
    ...below(execRoot, "shims"),
    ...below(execRoot, "views"),
    ...below(execRoot, "subpaths"),
    `snapshots: ${list(join(dataRoot, "snapshots")).length}`,
    `trash: ${list(join(dataRoot, "tmp")).length}`,
  ];
}

/** Shims and runtimes by their command line, and what State.Pid says by the kernel's word. */
function processes({ folder, cgroupParent }: Daemon, containers: readonly Inspected[]): string[] {
  const ours = readdirSync("/proc").flatMap((pid) => {
    const command = /^\d+$/.test(pid) ? read(`/proc/${pid}/cmdline`).replaceAll("\0", " ") : "";
    const [program = ""] = command.split(" ");
    return command.includes(folder) && /mini(shim|run)/.test(program) ? [`process ${command}`] : [];
  });
  const firsts = containers.filter(({ State }) => State.Pid !== 0);
  const states = firsts.map(({ Name, State: { Pid } }) => {
    const isInCgroup = read(`/proc/${Pid}/cgroup`).includes(cgroupParent);
    return `first process of ${Name}: ${read(`/proc/${Pid}/comm`).trim()} ${isInCgroup}`;
  });
  return [...ours, ...states];
}

/** Who is in them, whether they are frozen, and the limits that can be changed. */
function cgroups({ cgroupParent }: Daemon): string[] {
  return ["", ...list("/sys/fs/cgroup")].flatMap((hierarchy) => {
    const parent = join("/sys/fs/cgroup", hierarchy, cgroupParent);
    return folders(parent).map((id) => {
      const count = (text: string) => text.split("\n").filter((line) => line !== "").length;
      const values = ["freezer.state", "memory.limit_in_bytes", "pids.max", "cpu.shares"].map((file) =>
        read(join(parent, id, file)).trim(),
      );
      return `cgroup ${hierarchy}/${id} ${count(read(join(parent, id, "cgroup.procs")))} ${values.join(" ").trim()}`;
    });
  });
}

/** `hostNetwork` counts the namespaces. */
function mounts({ folder }: Daemon): string[] {
  const lines = read("/proc/self/mountinfo")
    .split("\n")
    .filter((line) => line.includes(folder));
  return lines
    .filter((line) => !line.includes("/netns/"))
    .map((line) => `mount ${line.split(" ").slice(3, 5).join(" ")}`);
}

/** What the relay has been told. */
async function relayed({ execRoot }: Daemon): Promise<string[]> {
  const socket = connect(join(execRoot, "relay.sock"));
  try {
    await once(socket, "connect");
    socket.write('{"op":"list"}\n');
    for await (const line of createInterface(socket)) {
      const answer = JSON.parse(line) as Record<string, string[]>;
      return Object.entries(answer).flatMap(([kind, ids]) =>
        // A port's id is of its moment.
        kind === "ports" ? [`relay ports ${ids.length}`] : ids.map((id) => `relay ${kind} ${id}`),
      );
    }
    return ["relay hangs up"];
  } finally {
    socket.destroy();
  }
}

/** Bridges, plugged ports, addresses, rules and sockets of the host; of the pool of sandboxes only that it is whole. */
async function hostNetwork(daemon: Daemon, running: readonly Inspected[]): Promise<string[]> {
  const of = async (...argv: string[]) => (await daemon.inNetwork(...argv)).split("\n").filter((line) => line !== "");
  const links = (await of("ip", "-o", "link")).map((line) =>
    line.replace(/^\d+: /, "").replace(/ link-netnsid \d+| qlen \d+/g, ""),
  );
  const idle = links.filter((line) => line.startsWith("veth") && !line.includes("master"));
  const keys = new Set(running.map(({ NetworkSettings }) => basename(NetworkSettings.SandboxKey)));
  const ready = list(join(daemon.execRoot, "netns")).filter((name) => !keys.has(name));
  const nft = (await of("nft", "list", "ruleset")).flatMap((line) =>
    line
      .trim()
      .replace(/^elements = \{|\}$/g, "")
      .split(/, ?/),
  );
  return [
    ...links
      .filter((line) => !idle.includes(line))
      .map((line) => `link ${line.replace(/^(\S+)@\S+:/, "$1:").split("\\")[0]}`),
    ...(await of("ip", "-o", "addr"))
      .filter((line) => !/veth|fe80/.test(line))
      .map((line) => `address ${line.replace(/^\d+: /, "").split("\\")[0]}`),
    // Forwarding, once it was needed, stays.
    ...nft
      .filter((line) => !/^ipv[46]$/.test(line.trim()))
      .map((line) => `rule ${line.trim().replace(/minidock-\w+/, "")}`),
    ...(await of("ss", "-Hltnu")).map((line) => `socket ${line.trim().replace(/\s+/g, " ")}`),
    `sandboxes ready: ${ready.length}${ready.length === idle.length ? "" : `, interfaces ready: ${idle.length}`}`,
  ];
}

/** A running container's own view of its network. */
async function sandbox({ Name, State, NetworkSettings }: Inspected): Promise<string[]> {
  const etc = ["hosts", "resolv.conf"].flatMap((file) =>
    read(`/proc/${State.Pid}/root/etc/${file}`)
      .split(/\n+/)
      .map((line) => `${file} of ${Name}: ${line}`),
  );
  if (NetworkSettings.SandboxID === "") return etc;
  const script = "ip -o addr; ip route; ip -6 route; nft list ruleset; ss -Hltnu; ip -o link | grep -c NO-CARRIER";
  const { stdout } = await run(["nsenter", `--net=/proc/${State.Pid}/ns/net`, "--", "sh", "-c", script]);
  const kept = stdout.split("\n").filter((line) => !line.includes("fe80"));
  const text = (line: string) =>
    line
      .replace(/^\d+: /, "")
      .replace(/@if\d+/, "")
      .replace(/\\.*/, "")
      .replace(/\s+/g, " ");
  return [...etc, ...kept.map((line) => `inside ${Name}: ${text(line)}`)];
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
