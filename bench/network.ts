import { must } from "#test/command";
import type { Cases } from "./case.ts";
import type { Engine } from "./engine.ts";

const crowd = 300;
const portsEach = 10;

/** Many published ports of many containers: what one more costs must not depend on them. */
async function withCrowd(engine: Engine): Promise<() => Promise<void>> {
  await engine.docker("network", "create", "--subnet", "10.200.0.0/20", "crowd");
  const names = Array.from({ length: crowd }, (_, i) => `crowd-${i}`);
  for (const [i, name] of names.entries()) {
    const first = 20_000 + i * portsEach;
    const ports = `${first}-${first + portsEach - 1}:1-${portsEach}`;
    await engine.docker("run", "-d", "--name", name, "--network", "crowd", "-p", ports, "busybox", "sleep", "10000");
  }
  return async () => {
    await engine.docker("rm", "-f", ...names);
    await engine.docker("network", "rm", "crowd");
  };
}

async function withTwoNetworks(engine: Engine): Promise<() => Promise<void>> {
  await engine.docker("network", "create", "bench");
  await engine.docker("run", "-d", "--name", "bench", "busybox", "sleep", "10000");
  await engine.connect("bench", "bench");
  return async () => {
    await engine.docker("rm", "-f", "bench");
    await engine.docker("network", "rm", "bench");
  };
}

async function withPort(engine: Engine): Promise<() => Promise<void>> {
  await engine.docker("run", "-d", "--name", "bench", "-p", "5201:5201", "busybox", "sleep", "10000");
  return async () => void (await engine.docker("rm", "-f", "bench"));
}

/** iperf3 of this machine, in the container's network: serves one client. */
const serve = `nsenter --net=/proc/$(docker inspect -f '{{.State.Pid}}' bench)/ns/net \\
  sh -c 'iperf3 -s -1 -D; until ss -Hltn | grep -q :5201; do sleep 0.05; done'`;

const transfer = (address: string) => ({
  ...{ runs: 3, prepare: withPort },
  reset: async (engine: Engine) => void (await engine.shell(serve)),
  work: async ({ prefix }: Engine) => void (await must([...prefix, "iperf3", "-c", address, "-n", "2G"])),
});

/** The start alone: of two numbers of ports in the same minute the difference counts. */
const starting = (portCount: number) => ({
  ...{ runs: 60, isOursAlone: true },
  prepare: async (engine: Engine) => {
    await engine.create({ name: "bench" });
    return () => engine.remove("bench");
  },
  reset: async (engine: Engine) => {
    await engine.remove("bench");
    await engine.create({ name: "bench", portCount });
  },
  work: (engine: Engine) => engine.start("bench"),
});

export const networkCases: Cases = {
  "api start": starting(0),
  "api start with 100 ports": starting(100),
  "api life with 100 ports": { runs: 10, work: (engine) => engine.lifeByApi({ portCount: 100 }) },
  "api network connect": {
    ...{ runs: 50, prepare: withTwoNetworks },
    reset: (engine) => engine.disconnect("bench", "bench"),
    work: (engine) => engine.connect("bench", "bench"),
  },
  "2 GB through a port of 127.0.0.1": transfer("127.0.0.1"),
  "2 GB through a port of ::1": transfer("::1"),
  // dockerd has 6,000 processes then.
  "api life beside 3000 ports": {
    ...{ runs: 100, isOursAlone: true, prepare: withCrowd },
    work: (engine) => engine.lifeByApi(),
  },
};
