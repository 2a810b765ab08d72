/** What is done to an engine while it is killed: each step is one request, and the engine is as it was before or as it is after. */

import { setTimeout as delay } from "node:timers/promises";
import type { Daemon } from "#test/daemon";
import type { Reply } from "#test/http";

export interface Step {
  readonly name: string;
  readonly run: (daemon: Daemon) => Promise<Reply>;
  /** Goes before it, without a kill; there is no way back from it. */
  readonly before?: ((daemon: Daemon) => Promise<unknown>) | undefined;
  /** A request that stands for several: each of these leaves what it may leave half-way. */
  readonly halfway?: readonly Step[];
}

export interface Story {
  readonly name: string;
  /** What must be there before the first step; nobody is killed meanwhile. */
  readonly setup: readonly Step[];
  readonly steps: readonly Step[];
}

const request = (method: string, path: string, body?: object): Step => ({
  name: `${method} ${path}`,
  run: ({ http }) => http.send(method, path, body === undefined ? {} : { body }),
});
export const post = (path: string, body?: object): Step => request("POST", path, body);
const del = (path: string): Step => request("DELETE", path);
const withHalfway = (step: Step, ...halfway: Step[]): Step => ({ ...step, halfway });

/** It ends with 3 when it is asked to. */
const obedient = ["sh", "-c", 'trap "exit 3" TERM; while :; do sleep 1000 & wait $!; done'];

interface Wish {
  readonly HostConfig?: object;
  readonly EndpointsConfig?: Record<string, object>;
  readonly [field: string]: unknown;
}

export const create = (name: string, { EndpointsConfig = {}, ...wish }: Wish = {}): Step =>
  post(`/containers/create?name=${name}`, {
    Image: "busybox",
    Cmd: obedient,
    StopTimeout: 5,
    NetworkingConfig: { EndpointsConfig },
    ...wish,
  });

export const start = (name: string) => post(`/containers/${name}/start`);
const stop = (name: string) => post(`/containers/${name}/stop`);
const kill = (name: string) => post(`/containers/${name}/kill`);
const remove = (name: string, query = "") => del(`/containers/${name}${query}`);
const removeRunning = (name: string, query = "?force=1") => withHalfway(remove(name, query), kill(name));

export const network = (Name: string, Subnet: string, rest: object = {}): Step =>
  post("/networks/create", { Name, IPAM: { Config: [{ Subnet }] }, ...rest });
const connect = (name: string, Container: string, EndpointConfig: object = {}) =>
  post(`/networks/${name}/connect`, { Container, EndpointConfig });
const disconnect = (name: string, Container: string) => post(`/networks/${name}/disconnect`, { Container });

const twoPorts = { ExposedPorts: { "80/tcp": {}, "53/udp": {} } };
const published = {
  "80/tcp": [{ HostPort: "8080" }, { HostIp: "127.0.0.1", HostPort: "8081" }],
  "53/udp": [{ HostPort: "5353" }],
};

const exec = (name: string, Detach: boolean, Cmd: readonly string[]): Step => ({
  name: `exec ${Detach ? "detached" : "attached"} in ${name}`,
  run: async ({ http }) => {
    const made = await http.post(`/containers/${name}/exec`, { Cmd, AttachStdout: true });
    if (made.status !== 201) return made;
    return http.post(`/exec/${(made.json() as { Id: string }).Id}/start`, { Detach });
  },
});

/** Its first process ends, and its policy starts it again. */
const comeBack = (name: string): Step => ({
  name: `end of ${name}`,
  run: async (daemon) => {
    await exec(name, false, ["kill", "-TERM", "1"]).run(daemon);
    for (;;) {
      const reply = await daemon.http.get(`/containers/${name}/json`);
      const { RestartCount, State } = reply.json() as { RestartCount: number; State: { Status: string } };
      if (RestartCount > 0 && State.Status === "running") return reply;
      await delay(20);
    }
  },
});

export const stories: readonly Story[] = [
  {
    name: "a container's life",
    setup: [],
    steps: [
      create("c1", { ...twoPorts, HostConfig: { PortBindings: published, Binds: ["named:/named", "/anonymous"] } }),
      start("c1"),
      exec("c1", false, ["true"]),
      exec("c1", true, ["sleep", "1000"]),
      post("/containers/c1/pause"),
      post("/containers/c1/unpause"),
      post("/containers/c1/update", { Memory: 64 << 20, MemorySwap: -1, PidsLimit: 50 }),
      post("/containers/c1/rename?name=d1"),
      withHalfway(post("/containers/d1/restart"), stop("d1")),
      stop("d1"),
      start("d1"),
      kill("d1"),
      remove("d1", "?v=1"),
    ],
  },
  {
    name: "networks",
    setup: [network("n1", "10.91.1.0/24")],
    steps: [
      create("a1", { HostConfig: { NetworkMode: "n1" }, EndpointsConfig: { n1: { Aliases: ["other"] } } }),
      network("n2", "10.91.2.0/24", { EnableIPv6: true, Labels: { a: "b" } }),
      connect("n2", "a1"),
      start("a1"),
      post("/containers/a1/rename?name=b1"),
      disconnect("n2", "b1"),
      connect("n2", "b1", { GwPriority: 10, Aliases: ["third"] }),
      disconnect("n1", "b1"),
      connect("n1", "b1"),
      kill("b1"),
      start("b1"),
      removeRunning("b1"),
      del("/networks/n2"),
    ],
  },
  {
    name: "from the default bridge",
    setup: [
      network("n3", "10.91.7.0/24"),
      create("e1", { ...twoPorts, HostConfig: { PortBindings: published } }),
      start("e1"),
    ],
    steps: [
      connect("n3", "e1", { GwPriority: 10 }),
      disconnect("n3", "e1"),
      connect("n3", "e1"),
      disconnect("bridge", "e1"),
    ],
  },
  {
    name: "macvlan and internal networks",
    setup: [network("inside", "10.91.3.0/24", { Internal: true })],
    steps: [
      network("vlan", "10.91.4.0/24", { Driver: "macvlan", Options: { parent: "parent" } }),
      create("m1", { HostConfig: { NetworkMode: "inside" } }),
      start("m1"),
      connect("vlan", "m1"),
      disconnect("inside", "m1"),
      disconnect("vlan", "m1"),
      connect("vlan", "m1"),
      removeRunning("m1"),
      del("/networks/vlan"),
    ],
  },
  {
    name: "volumes",
    setup: [create("filler", { HostConfig: { Binds: ["parts:/etc"] } })],
    steps: [
      post("/volumes/create", { Name: "plain", Labels: { a: "b" } }),
      post("/volumes/create", { Name: "ram", DriverOpts: { type: "tmpfs", device: "tmpfs", o: "size=1m" } }),
      create("v1", {
        HostConfig: {
          Binds: ["ram:/ram", "plain:/plain", "fresh:/etc"],
          Mounts: [
            { Type: "volume", Target: "/anonymous" },
            { Type: "volume", Source: "parts", Target: "/part", VolumeOptions: { Subpath: "passwd" } },
            { Type: "image", Source: "busybox", Target: "/image" },
          ],
        },
      }),
      start("v1"),
      removeRunning("v1", "?force=1&v=1"),
      del("/volumes/ram"),
      del("/volumes/plain"),
    ],
  },
  {
    name: "what goes by itself",
    setup: [
      network("used", "10.91.5.0/24"),
      create("r1", { HostConfig: { AutoRemove: true, NetworkMode: "used", Binds: ["/anonymous"] } }),
      start("r1"),
    ],
    steps: [stop("r1")],
  },
  {
    name: "what comes back",
    setup: [create("u1", { HostConfig: { RestartPolicy: { Name: "unless-stopped" }, IpcMode: "shareable" } })],
    steps: [
      start("u1"),
      comeBack("u1"),
      create("j1", { HostConfig: { NetworkMode: "container:u1", IpcMode: "container:u1" } }),
      start("j1"),
      kill("j1"),
      stop("u1"),
      start("u1"),
      removeRunning("u1"),
    ],
  },
  {
    name: "prune",
    setup: [create("p1", { HostConfig: { Binds: ["kept:/v", "/anonymous"] } }), network("pn", "10.91.6.0/24")],
    steps: [
      post("/containers/prune"),
      withHalfway(post('/volumes/prune?filters={"all":["1"]}'), post("/volumes/prune"), del("/volumes/kept")),
      post("/networks/prune"),
    ],
  },
];
