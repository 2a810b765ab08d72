/** `--metrics-addr`: what dashboards for dockerd read most, by dockerd's names. Open to all who reach it, as there. */
import { createServer } from "node:http";
import type { Engine } from "#engine";

type Labels = Readonly<Record<string, string>>;
/** Go-shaped integers may be bigints. */
type Value = number | bigint;
type Sample = readonly [Labels, Value];

export async function serveMetrics(address: string, engine: Engine): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    if (request.url?.split("?")[0] !== "/metrics") return void response.writeHead(404).end("404 page not found\n");
    const type = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
    measure(engine).then(
      (text) => response.writeHead(200, type).end(text),
      (error) => response.destroy(error),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(parseAddress(address), resolve);
  });
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function parseAddress(address: string): { host?: string; port: number } {
  const [, ipv6, name, port] = /^(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(address) ?? [];
  if (port === undefined) throw new Error(`listen tcp: address ${address}: missing port in address`);
  const host = ipv6 ?? name;
  return { port: Number(port), ...(host ? { host } : {}) };
}

/** Prometheus' text format. */
async function measure({ system, events }: Engine): Promise<string> {
  const info = await system.info();
  const cpu = process.cpuUsage();
  const identity = {
    architecture: info.Architecture,
    commit: system.version().GitCommit,
    daemon_id: info.ID,
    graphdriver: info.Driver,
    kernel: info.KernelVersion,
    os: info.OperatingSystem,
    os_type: info.OSType,
    os_version: info.OSVersion,
    version: info.ServerVersion,
  };
  const states: Sample[] = [
    [{ state: "paused" }, info.ContainersPaused],
    [{ state: "running" }, info.ContainersRunning],
    [{ state: "stopped" }, info.ContainersStopped],
  ];
  const metrics = [
    gauge("engine_daemon_container_states_containers", "The count of containers in various states", ...states),
    gauge("engine_daemon_engine_cpus_cpus", "The number of cpus that the host system of the engine has", info.NCPU),
    gauge("engine_daemon_engine_info", "The engine and the OS it is running on", [identity, 1]),
    gauge("engine_daemon_engine_memory_bytes", "The memory that the host system of the engine has", info.MemTotal),
    gauge(
      "engine_daemon_events_subscribers_total",
      "The number of current subscribers to events",
      info.NEventsListener,
    ),
    counter("engine_daemon_events_total", "The number of events logged", events.count),
    counter("process_cpu_seconds_total", "Total user and system CPU time spent", (cpu.user + cpu.system) / 1e6),
    gauge("process_open_fds", "Number of open file descriptors", info.NFd),
    gauge("process_resident_memory_bytes", "Resident memory size", process.memoryUsage.rss()),
    gauge("process_start_time_seconds", "Start time of the process since unix epoch", performance.timeOrigin / 1000),
  ];
  return metrics.join("");
}

const gauge = (name: string, help: string, ...samples: readonly (Sample | Value)[]): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${samples.map((sample) => line(name, sample)).join("")}`;

const counter = (name: string, help: string, value: Value): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} counter\n${line(name, value)}`;

function line(name: string, sample: Sample | Value): string {
  if (!Array.isArray(sample)) return `${name} ${sample}\n`;
  const [labels, value] = sample;
  const pairs = Object.entries(labels).map(([key, text]) => `${key}=${JSON.stringify(text)}`);
  return `${name}{${pairs.join(",")}} ${value}\n`;
}
