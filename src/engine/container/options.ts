import type { Duplex } from "node:stream";
import type { CreateRequest, Resources, RestartPolicy } from "#api-schema/container-config";
import type { Filters } from "../filters.ts";

/** What callers of the container service pass and get; all names follow the query words of the Engine API. */
export interface CreateOptions {
  /** As given, "" for one of our own. */
  readonly name: string;
  /** "os/arch[/variant]", "" for whatever the image is. */
  readonly platform: string;
  /** What clients before 1.44 mean by read-only binds: without what is mounted below their sources. */
  readonly isReadOnlyNonRecursive?: boolean;
  readonly request: CreateRequest;
}

/** Where checkpoints are kept: "" for the container's own folder. */
export interface CheckpointPlace {
  readonly directory: string;
}

export interface CheckpointOptions extends CheckpointPlace {
  readonly name: string;
}

export interface CheckpointCreateOptions extends CheckpointOptions {
  /** The container ends when it is written. */
  readonly exit: boolean;
}

export interface StopOptions {
  /** Seconds; negative waits for ever; undefined: the container's StopTimeout. */
  readonly timeout?: number | undefined;
  /** "" for the container's StopSignal. */
  readonly signal: string;
}

export interface RemoveOptions {
  readonly force: boolean;
  readonly removeVolumes: boolean;
  readonly link: boolean;
}

export type WaitCondition = "" | "not-running" | "next-exit" | "removed";

export interface WaitResult {
  readonly statusCode: number;
  /** Set when the container could not be waited for to the end. */
  readonly error: string | undefined;
}

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly stream: boolean;
  readonly logs: boolean;
  /** "" for the default, ctrl-p ctrl-q. */
  readonly detachKeys: string;
  /** "raw" for websockets, which carry no stdcopy headers even without a terminal. */
  readonly framing: "stdcopy" | "raw";
}

/** An attach or exec whose process, container and options were found good: the edge may now send 101. */
export interface AttachSession {
  readonly isTty: boolean;
  /**
   * Pumps both ways until the process has ended and everything was delivered, or the client has gone. `io` allows half-open:
   * its end means "no more stdin". Never rejects for a client that hangs up.
   */
  connect(io: Duplex): Promise<void>;
}

export interface LogOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly details: boolean;
  /** Nanoseconds since 1970. */
  readonly since?: bigint | undefined;
  readonly until?: bigint | undefined;
  /** Number of lines; undefined for all. */
  readonly tail?: number | undefined;
}

export interface LogStream {
  readonly isTty: boolean;
  /** Each chunk is valid until the next one is asked for. */
  readonly chunks: AsyncIterable<Buffer>;
}

export interface ListOptions {
  readonly all: boolean;
  /** 0 for no limit. */
  readonly limit: number;
  readonly size: boolean;
  readonly filters: Filters;
}

/** The body of POST /containers/{id}/update: resources, and the restart policy beside them. */
export type UpdateRequest = Resources & { readonly RestartPolicy: RestartPolicy };

export interface PutArchiveOptions {
  readonly noOverwriteDirNonDir: boolean;
  readonly copyUidGid: boolean;
}

/** `X-Docker-Container-Path-Stat`. `mode` is Go's os.FileMode; `mtime` is RFC 3339 with nanoseconds. */
export interface PathStat {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  readonly mtime: string;
  readonly linkTarget: string;
}

export interface StatsOptions {
  readonly stream: boolean;
  readonly oneShot: boolean;
}
