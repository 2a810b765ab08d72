import type { Clock } from "#base/clock";
import type { Digest } from "#base/ids";
import type { Log } from "#base/log";
import type { Registry } from "#registry";
import type { Storage } from "#storage";

/** What the verbs of the image service work with. */
export interface ImageParts {
  readonly storage: Pick<Storage, "content" | "layers" | "snapshots" | "records" | "transaction" | "sync" | "collect">;
  readonly registry: Registry;
  readonly events: ImageEvents;
  readonly usage: ImageUsage;
  readonly clock: Clock;
  readonly log: Log;
  /** What `docker version` says; images that we make carry it. */
  readonly engineVersion: string;
  /** A reload of the configuration puts others in their place. */
  limits: TransferLimits;
  readonly blobs: BlobLimit;
}

/** `max-concurrent-downloads` and its neighbours; as in moby, 0 at a time means any number. */
export interface TransferLimits {
  readonly concurrentDownloads: number;
  readonly concurrentUploads: number;
  readonly downloadAttempts: number;
}

/** When the compressed blobs, which are a cache, have to make room. */
export interface BlobLimit {
  /** Somewhere on the disk that is meant. */
  readonly directory: string;
  /** Used part of that disk; 100 keeps all blobs. */
  readonly watermarkPercent: number;
}

export interface ImageEvents {
  emit(type: "image", action: string, id: string, attributes: Readonly<Record<string, string>>): void;
}

/** The containers that keep an image, by config or by an image mount. */
export interface ImageUsage {
  containersUsing(imageId: Digest): readonly ImageUser[];
}

export interface ImageUser {
  readonly id: string;
  readonly name: string;
  readonly isRunning: boolean;
}
