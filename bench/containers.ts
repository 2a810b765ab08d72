import type { Cases } from "./case.ts";
import type { Engine } from "./engine.ts";

/** A container that stays, for what is done to a running one. */
async function withSleeper(engine: Engine): Promise<() => Promise<void>> {
  await engine.docker("run", "-d", "--name", "bench", "busybox", "sleep", "10000");
  return async () => void (await engine.docker("rm", "-f", "bench"));
}

const withMany = (count: number) => async (engine: Engine) => {
  const names = Array.from({ length: count }, (_, n) => `many-${n}`);
  for (const name of names) await engine.create({ name });
  return async () => void (await engine.docker("rm", ...names));
};

/** 200 MB in lines of 100 bytes. */
const logScript = "yes $(head -c 99 /dev/zero | tr '\\0' x) | head -c 200000000";
/** Not lines, and enough of it: neither who makes it nor the container's start is to be what is measured. */
const attachLine = "docker run --rm --log-driver none busybox dd if=/dev/zero bs=1M count=1000 2>/dev/null > /dev/null";
const attachLogged =
  "f=/dev/shm/f; docker run --rm --log-opt max-size=1g busybox sh -c " +
  `"yes $(yes x | head -n 99 | tr -d '\\n') | head -c 20000000 > $f; cat $f $f $f $f $f $f $f $f $f $f" > /dev/null`;
async function withLog(engine: Engine): Promise<() => Promise<void>> {
  await engine.docker("run", "--name", "bench", "--log-opt", "max-size=1g", "-d", "busybox", "sh", "-c", logScript);
  await engine.docker("wait", "bench");
  return async () => void (await engine.docker("rm", "bench"));
}

export const containerCases: Cases = {
  "docker run --rm": { runs: 30, work: async (engine) => void (await engine.docker("run", "--rm", "busybox", "true")) },
  "docker run --rm --network none": {
    runs: 30,
    work: async (engine) => void (await engine.docker("run", "--rm", "--network", "none", "busybox", "true")),
  },
  "api create start wait remove": { runs: 50, work: (engine) => engine.lifeByApi() },
  "api exec": { runs: 50, prepare: withSleeper, work: (engine) => engine.execByApi("bench") },
  "docker exec": {
    runs: 30,
    prepare: withSleeper,
    work: async (engine) => void (await engine.docker("exec", "bench", "true")),
  },
  "api list of 100": { runs: 100, prepare: withMany(100), work: (engine) => engine.list() },
  "api list of 500": { runs: 100, prepare: withMany(500), work: (engine) => engine.list() },
  "attach to 1 GB": { runs: 3, work: async (engine) => void (await engine.shell(attachLine)) },
  "attach to 200 MB that are logged": { runs: 3, work: async (engine) => void (await engine.shell(attachLogged)) },
  "write 200 MB of log": { runs: 2, work: async (engine) => await (await withLog(engine))() },
  "read 200 MB of log": {
    runs: 3,
    prepare: withLog,
    work: async (engine) => void (await engine.shell("docker logs bench > /dev/null")),
  },
};
