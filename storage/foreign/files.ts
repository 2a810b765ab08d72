import { closeSync, readFileSync } from "node:fs";
import { errnoOf } from "#base/errors";
import type { Owner } from "#base/id-mappings";
import { mountOf } from "#base/mountinfo";
import { within } from "#base/within";
import { dup, type FileStat, type MountCall } from "#native";
import type { Job, JobOf, JobResults } from "../workers/jobs.ts";
import type { WorkerPool } from "../workers/pool.ts";
import type { Assembled } from "./assemble.ts";
import { cloneCached, openCached, type Tree } from "./clone.ts";
import { readRegularFile } from "./read-file.ts";
import type { Found } from "./root-path.ts";

/** A container's root. */
export interface ForeignRoot {
  readonly rootFd: number;
  /** What may be slow together: the container's id. */
  readonly key: string;
}

/** Somebody wants to look. */
const lookMs = 10_000;
/** Somebody wants to start: a disk may have to spin up, and a server to be found. */
const startMs = 120_000;

interface CloneOptions {
  readonly subpath?: string | undefined;
  readonly isRecursive: boolean;
}

interface RunOptions<Kind extends Job["kind"]> {
  readonly key: string;
  readonly patienceMs?: number;
  /** Closed when the job has ended. */
  readonly fds?: readonly number[];
  /** For a job that ends after its caller has gone. */
  readonly undo?: (result: JobResults[Kind]) => unknown;
}

/**
 * Files that are not the engine's: the host's, volumes', containers'. What holds them may not answer. Then a thread waits and its
 * caller is told ETIMEDOUT, and who has to do with other disks and containers does not notice.
 */
export class ForeignFiles {
  readonly #pool: WorkerPool;

  constructor(pool: WorkerPool) {
    this.#pool = pool;
  }

  /** lstat(2) below a root. */
  lstat({ rootFd, key }: ForeignRoot, path: string): Promise<FileStat> {
    const fd = dup(rootFd);
    return this.#run<"lstat">({ kind: "lstat", rootFd: fd, path }, { key, fds: [fd] });
  }

  /** See `followLinks`. */
  follow({ rootFd, key }: ForeignRoot, path: string, options: { readonly allowsMissing: boolean }): Promise<Found> {
    const fd = dup(rootFd);
    return this.#run<"follow">({ kind: "follow", rootFd: fd, path, ...options }, { key, fds: [fd] });
  }

  /** See `readRegularFile`. What the engine has mounted as the root itself needs no thread. */
  async read({ rootFd, key }: ForeignRoot, path: string): Promise<Buffer | undefined> {
    try {
      return readRegularFile(rootFd, path, { isHere: true });
    } catch (error) {
      if (errnoOf(error) !== "EXDEV") throw error;
    }
    const fd = dup(rootFd);
    const bytes = await this.#run<"read">({ kind: "read", rootFd: fd, path }, { key, fds: [fd] });
    return bytes && Buffer.from(bytes);
  }

  /** The tree is the caller's. `subpath`: inside of a volume, "" for all of it. */
  async clone(source: string, { subpath, isRecursive }: CloneOptions): Promise<Tree> {
    const cached = subpath ? undefined : cloneCached(source, isRecursive);
    if (cached !== undefined) return cached;
    const job = { kind: "clone", source, subpath, isRecursive } as const;
    return this.#run<"clone">(job, { key: diskOf(source), patienceMs: startMs, undo: ({ fd }) => closeSync(fd) });
  }

  /** See `assemble`: the root is the caller's. */
  assemble(key: string, { snapshotFd, trees, ...rest }: Omit<JobOf<"assemble">, "kind">): Promise<Assembled> {
    const own = { snapshotFd: dup(snapshotFd), trees: trees.map((tree) => ({ ...tree, fd: dup(tree.fd) })) };
    const fds = [own.snapshotFd, ...own.trees.map(({ fd }) => fd)];
    const undo = ({ rootFd }: Assembled) => closeSync(rootFd);
    return this.#run<"assemble">({ kind: "assemble", ...own, ...rest }, { key, fds, undo });
  }

  /** Rejects if there is nothing at `path`. */
  async access(path: string): Promise<void> {
    if (isCached(path)) return;
    await this.#run<"access">({ kind: "access", path }, { key: diskOf(path), patienceMs: startMs });
  }

  /** Where nothing is; with the folders above it. */
  async makeFolder(path: string, owner: Owner | undefined): Promise<void> {
    if (isCached(path)) return;
    await this.#run<"makeFolder">({ kind: "makeFolder", path, owner }, { key: diskOf(path), patienceMs: startMs });
  }

  async mount(call: MountCall & { readonly source: string; readonly target: string }): Promise<void> {
    const { source, target } = call;
    const key = source.startsWith("/") ? diskOf(source) : source.replace(/:.*/, "");
    await this.#run<"mount">({ kind: "mount", call }, { key, patienceMs: startMs, undo: () => this.unmount(target) });
  }

  /** All that is mounted there. */
  async unmount(target: string): Promise<void> {
    await this.#run<"unmount">({ kind: "unmount", target }, { key: target, patienceMs: startMs });
  }

  #run<Kind extends Job["kind"]>(job: JobOf<Kind>, options: RunOptions<Kind>): Promise<JobResults[Kind]> {
    const { key, patienceMs = lookMs, fds = [], undo } = options;
    const late = new AbortController();
    const work = this.#pool.run<Kind>(job, { key, signal: late.signal }).finally(() => {
      for (const fd of fds) closeSync(fd);
    });
    work.then((result) => (late.signal.aborted ? undo?.(result) : undefined)).catch(() => undefined);
    return within(patienceMs, work, () => {
      late.abort();
      const message = `the file system has not answered within ${patienceMs / 1000} s`;
      return Object.assign(new Error(message), { code: "ETIMEDOUT" });
    });
  }
}

/** No thread is needed to see that it is there. */
function isCached(path: string): boolean {
  const fd = openCached(path);
  if (fd !== undefined) closeSync(fd);
  return fd !== undefined;
}

/** Told by the path's text: the file system itself might not answer. */
const diskOf = (path: string): string => mountOf(readFileSync("/proc/self/mountinfo", "utf8"), path).mountPoint;
