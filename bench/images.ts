import { rmSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { must } from "#test/command";
import { type Registry, startRegistry } from "#test/registry";
import { bigImage, type Compression } from "./big-image.ts";
import type { Case, Cases } from "./case.ts";
import type { Engine } from "./engine.ts";

const registryPort = 5999;
const small = `127.0.0.1:${registryPort}/bench:1`;
const big = `127.0.0.1:${registryPort}/big:1`;
const long = { timeoutMs: 900_000 };

/** A registry where the engine is, with an image that it has not. */
async function withSmall(engine: Engine): Promise<() => Promise<void>> {
  const registry = await startRegistry(engine, { port: registryPort });
  await engine.docker("tag", "busybox", small);
  await engine.docker("push", small);
  await engine.docker("rmi", small);
  return () => registry[Symbol.asyncDispose]();
}

async function registryWithBig(engine: Engine, compression: Compression): Promise<Registry> {
  const registry = await startRegistry(engine, { port: registryPort });
  const source = `oci:${await bigImage(compression)}:bench`;
  const copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", source, `docker://${big}`];
  await must([...engine.prefix, ...copy], long);
  return registry;
}

const pullOf = (compression: Compression): Case => ({
  runs: 3,
  prepare: async (engine) => {
    const registry = await registryWithBig(engine, compression);
    return async () => {
      await engine.docker("rmi", big).catch(() => undefined);
      await registry[Symbol.asyncDispose]();
    };
  },
  reset: async (engine) => void (await engine.docker("rmi", big).catch(() => undefined)),
  work: async (engine) => void (await engine.docker("pull", "-q", big)),
});

/** With the big image in the store; its registry is gone. */
async function withBig(engine: Engine): Promise<() => Promise<void>> {
  await using _ = await registryWithBig(engine, "gzip");
  await engine.docker("pull", "-q", big);
  return async () => {
    await engine.docker("rmi", big);
    rmSync(archive, { force: true });
  };
}

const archive = "/var/tmp/minidock-bench.tar";

/** For each push an empty registry: one that has the layers takes them without asking for a byte. */
let target: Registry | undefined;
const push: Case = {
  runs: 3,
  prepare: async (engine) => {
    const undo = await withBig(engine);
    return async () => {
      await target?.[Symbol.asyncDispose]();
      target = undefined;
      await undo();
    };
  },
  reset: async (engine) => {
    await target?.[Symbol.asyncDispose]();
    target = await startRegistry(engine, { port: registryPort });
  },
  work: async (engine) => void (await engine.docker("push", "-q", big)),
};

const load: Case = {
  runs: 3,
  prepare: async (engine) => {
    const undo = await withBig(engine);
    await engine.docker("save", "-o", archive, big);
    return undo;
  },
  reset: async (engine) => void (await engine.docker("rmi", big)),
  work: async (engine) => void (await engine.docker("load", "-q", "-i", archive)),
};

/** How the API feels while a big image comes in. */
const listWhilePulling: Case = {
  runs: 300,
  prepare: async (engine) => {
    const registry = await registryWithBig(engine, "gzip");
    const pulling = { isOver: false };
    const done = (async () => {
      while (!pulling.isOver) {
        await engine.docker("pull", "-q", big);
        await engine.docker("rmi", big);
      }
    })();
    return async () => {
      pulling.isOver = true;
      await done;
      await registry[Symbol.asyncDispose]();
    };
  },
  reset: () => setTimeout(20),
  work: (engine) => engine.list(),
};

const imageCount = 1000;

/** A thousand images of one small layer. */
async function withManyImages(engine: Engine): Promise<() => Promise<void>> {
  const names = Array.from({ length: imageCount }, (_, n) => `many:${n}`);
  for (const name of names) await engine.commitOf("bench", name);
  return async () => {
    for (let n = 0; n < imageCount; n += 100) await engine.docker("rmi", ...names.slice(n, n + 100));
  };
}

export const imageCases: Cases = {
  "pull busybox": {
    runs: 5,
    prepare: withSmall,
    work: async (engine) => {
      await engine.docker("pull", "-q", small);
      await engine.docker("rmi", small);
    },
  },
  "pull 1 GB gzip": pullOf("gzip"),
  "pull 1 GB zstd": pullOf("zstd"),
  "push 1 GB": push,
  "save 1 GB": {
    runs: 3,
    prepare: withBig,
    work: async (engine) => void (await engine.shell(`docker save ${big} > /dev/null`)),
  },
  "load 1 GB": load,
  "api list while pulling": listWhilePulling,
  "api images of 1000": {
    runs: 30,
    prepare: async (engine) => {
      await engine.docker("create", "--name", "bench", "busybox");
      const undo = await withManyImages(engine);
      return async () => {
        await undo();
        await engine.docker("rm", "bench");
      };
    },
    work: (engine) => engine.images(),
  },
};
