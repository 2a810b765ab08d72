import type { IdMappings } from "#base/id-mappings";
import type { Digest } from "#base/ids";
import type { FileStat, Owner } from "#native";
import type { Found } from "../archive/root-path.ts";
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
      /** Closed by the job. */
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
      /** Closed by the job. */
      readonly inFd: number;
    }
  | {
      readonly kind: "copy";
      readonly rootFd: number;
      readonly path: Uint8Array;
      readonly targetFd: number;
      readonly targetPath: Uint8Array;
    }
  | { readonly kind: "lstat"; readonly rootFd: number; readonly path: string }
  | { readonly kind: "follow"; readonly rootFd: number; readonly path: string; readonly allowsMissing: boolean }
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
  readonly copy: null;
  readonly lstat: FileStat;
  readonly follow: Found;
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
    };

/** To the worker. */
export type WorkerRequest = { readonly type: "run"; readonly job: Job } | { readonly type: "cancel" };
