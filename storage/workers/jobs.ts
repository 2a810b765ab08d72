import type { ErrorKind } from "#base/errors";
import type { IdMappings } from "#base/id-mappings";
import type { Digest } from "#base/ids";
import type { FileStat, MountCall, Owner } from "#native";
import type { Assembled, MountTree } from "../foreign/assemble.ts";
import type { Tree } from "../foreign/clone.ts";
import type { Found } from "../foreign/root-path.ts";
import type { Change, PackOptions } from "../types.ts";

/** Everything that walks trees or reads tars happens in worker threads. Descriptors are the process's: they pass by number. */
export type Job =
  | {
      readonly kind: "apply";
      readonly blobPath: string;
      readonly directory: string;
      readonly diffId: Digest | undefined;
    }
  | {
      readonly kind: "pack";
      readonly rootFd: number;
      readonly path: Uint8Array;
      readonly options: PackOptions;
      readonly outFd: number;
    }
  | {
      readonly kind: "unpack";
      readonly rootFd: number;
      readonly path: Uint8Array;
      readonly options: {
        readonly noOverwriteDirNonDir?: boolean;
        readonly owner?: Owner;
        readonly idMappings?: IdMappings;
      };
      readonly inFd: number;
    }
  | { readonly kind: "populate"; readonly targetFd: number; readonly sourceFd: number }
  | { readonly kind: "lstat"; readonly rootFd: number; readonly path: string }
  | { readonly kind: "follow"; readonly rootFd: number; readonly path: string; readonly allowsMissing: boolean }
  | { readonly kind: "read"; readonly rootFd: number; readonly path: string }
  | {
      readonly kind: "clone";
      readonly source: string;
      /** "" for the whole volume at `source`; undefined: that is no volume. */
      readonly subpath: string | undefined;
      readonly isRecursive: boolean;
    }
  | {
      readonly kind: "assemble";
      readonly snapshotFd: number;
      readonly trees: readonly MountTree[];
      /** Where nothing is yet. */
      readonly folder: string;
      readonly isReadOnly: boolean;
    }
  | { readonly kind: "access"; readonly path: string }
  | { readonly kind: "makeFolder"; readonly path: string; readonly owner: Owner | undefined }
  | { readonly kind: "mount"; readonly call: MountCall }
  | { readonly kind: "unmount"; readonly target: string }
  | { readonly kind: "changes"; readonly upper: string; readonly lowerFd: number | undefined }
  | { readonly kind: "measure"; readonly directory: string }
  | { readonly kind: "fingerprint"; readonly directory: string }
  | { readonly kind: "hash"; readonly path: string }
  | { readonly kind: "remove"; readonly directory: string }
  /** The whole file system that holds it. */
  | { readonly kind: "sync"; readonly directory: string };

export interface JobResults {
  readonly apply: { readonly diffId: Digest; readonly sizeBytes: number; readonly tarBytes: number };
  readonly pack: null;
  readonly unpack: null;
  readonly populate: null;
  readonly lstat: FileStat;
  readonly follow: Found;
  readonly read: Uint8Array | undefined;
  readonly clone: Tree;
  readonly assemble: Assembled;
  readonly access: null;
  readonly makeFolder: null;
  readonly mount: null;
  readonly unmount: null;
  readonly changes: Change[];
  readonly measure: number;
  readonly fingerprint: Digest;
  readonly hash: Digest;
  readonly remove: null;
  readonly sync: null;
}

export type JobOf<Kind extends Job["kind"]> = Extract<Job, { kind: Kind }>;

/** From the worker. An error travels as its fields: a clone of it would lose its code. */
export type WorkerMessage =
  | { readonly type: "progress"; readonly bytes: number }
  | { readonly type: "done"; readonly result: JobResults[Job["kind"]] }
  | {
      readonly type: "failed";
      readonly message: string;
      readonly code: string | undefined;
      readonly path: string | undefined;
      /** Of an EngineError. */
      readonly errorKind: ErrorKind | undefined;
    };

/** To the worker. */
export type WorkerRequest = { readonly type: "run"; readonly job: Job } | { readonly type: "cancel" };
