/** What happens while no daemon is there, or to the last one; then the next one is killed while it starts. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { must } from "#test/command";
import type { Daemon } from "#test/daemon";
import { create, network, post, type Step, type Story, start } from "./kill-points-steps.ts";

type Act = (daemon: Daemon) => Promise<unknown>;

const startAfter = (name: string, act: Act): Step => ({
  name: `start after ${name}`,
  before: async (daemon) => {
    await act(daemon);
    daemon.launch();
  },
  run: async (daemon) => {
    await daemon.ready();
    return daemon.http.get("/_ping");
  },
});

const away = (name: string, pidsOf: (daemon: Daemon) => Promise<number[]>): Step =>
  startAfter(name, async (daemon) => {
    const pids = await pidsOf(daemon);
    await daemon.kill();
    for (const pid of pids) process.kill(pid, "SIGKILL");
  });

const firstOf = async ({ http }: Daemon, name: string): Promise<number> =>
  ((await http.get(`/containers/${name}/json`)).json() as { State: { Pid: number } }).State.Pid;
const shimOf = async (daemon: Daemon, name: string): Promise<number> =>
  Number((await readFile(`/proc/${await firstOf(daemon, name)}/stat`, "utf8")).split(" ")[3]);
const relayOf = async ({ execRoot }: Daemon): Promise<number> =>
  Number(await must(["pgrep", "-f", `^[^ ]*minirelay ${execRoot}`]));

/** As `systemctl restart docker` with `live-restore` in daemon.json. */
const leave: Act = async (daemon) => {
  const file = join(daemon.folder, "daemon.json");
  await writeFile(file, '{"live-restore":true}');
  process.kill(daemon.pid, "SIGHUP");
  while (!(await daemon.http.get("/info")).text.includes('"LiveRestoreEnabled":true')) await delay(20);
  await daemon.stop();
  await writeFile(file, "{}");
};

const onNetwork = { NetworkMode: "n8" };
const healthy = { Healthcheck: { Test: ["CMD", "true"], Interval: 3600e9 } };
const published = { ...onNetwork, PortBindings: { "80/tcp": [{ HostPort: "8088" }] }, Binds: ["kept:/kept"] };

export const starts: readonly Story[] = [
  {
    name: "the daemon's start",
    setup: [
      network("n8", "10.91.8.0/24"),
      create("still", { HostConfig: { Binds: ["/anonymous"] } }),
      create("open", { ExposedPorts: { "80/tcp": {} }, HostConfig: published }),
      create("ended", { HostConfig: onNetwork }),
      create("back", { HostConfig: { ...onNetwork, RestartPolicy: { Name: "always" } } }),
      create("gone", { HostConfig: { AutoRemove: true, Binds: ["/anonymous"] } }),
      create("lost", { ...healthy, HostConfig: { IpcMode: "shareable" } }),
      create("left", { HostConfig: { ...onNetwork, RestartPolicy: { Name: "unless-stopped" } } }),
      ...["still", "open", "ended", "back", "gone", "lost", "left"].map(start),
      post("/containers/still/pause"),
    ],
    steps: [
      away("a kill", async () => []),
      away("the relay's death", async (daemon) => [await relayOf(daemon)]),
      startAfter("a stop with live-restore", leave),
      away("ends of containers", (daemon) =>
        Promise.all(["ended", "back", "gone"].map((name) => firstOf(daemon, name))),
      ),
      away("deaths of shims", (daemon) => Promise.all(["lost", "left"].map((name) => shimOf(daemon, name)))),
      startAfter("a stop", (daemon) => daemon.stop()),
    ],
  },
];
