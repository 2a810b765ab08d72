import { createReadStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "#base/clock";
import { createLog } from "#base/log";
import {
  type Credentials,
  parseReference,
  parseRepoTag,
  Registry,
  type RegistryOptions,
  type TaggedReference,
} from "#registry";
import { openStorage, type Storage } from "#storage";
import { busyboxTar } from "#test/busybox";
import { ImageService } from "../../../src/engine/image/service.ts";
import type { ProgressMessage } from "../../../src/engine/image/transfer/progress.ts";

export interface ImageRig extends AsyncDisposable {
  readonly images: ImageService;
  readonly storage: Storage;
  readonly folder: string;
  /** `image pull x:1`. */
  readonly events: string[];
  /** `certs.d/<registry>/hosts.toml`; its folder. */
  writeHosts(registry: string, text: string): string;
  /** The lines of a pull; an error is the last one. */
  pull(name: string, options?: PullOptions): Promise<ProgressMessage[]>;
  push(name: string, credentials?: Credentials): Promise<ProgressMessage[]>;
  importBusybox(name: string): Promise<void>;
}

export interface PullOptions {
  readonly platform?: { readonly os: string; readonly architecture: string };
  readonly credentials?: Credentials;
  readonly signal?: AbortSignal;
  readonly onLine?: (message: ProgressMessage) => void;
}

export const never = new AbortController().signal;
export const tag = (name: string): TaggedReference => parseRepoTag(name, "") ?? invalid();

/** An image service on a store of its own. Its clock does not wait: retries follow at once. */
export async function openImages(options: RegistryOptions = {}, watermarkPercent = 100): Promise<ImageRig> {
  const folder = mkdtempSync("/var/tmp/images-");
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rmSync(folder, { recursive: true, force: true }));
  const log = createLog("silent");
  const storage = undo.use(await openStorage({ dataRoot: join(folder, "data"), execRoot: join(folder, "exec"), log }));
  const clock: Clock = { now: systemClock.now, sleep: async (_ms, signal) => signal?.throwIfAborted() };
  const events: string[] = [];
  const images = new ImageService({
    storage,
    registry: new Registry({
      options: { certsDir: join(folder, "certs.d"), ...options },
      userAgent: "test",
      clock,
      log,
    }),
    events: { emit: (type, action, id) => void events.push(`${type} ${action} ${id}`) },
    usage: { containersUsing: () => [] },
    clock,
    log,
    engineVersion: "28.5.2",
    limits: { concurrentDownloads: 3, concurrentUploads: 5, downloadAttempts: 5 },
    blobs: { directory: folder, watermarkPercent },
  });
  undo.use(images.publishLayout());
  const owned = undo.move();
  return {
    images,
    storage,
    folder,
    events,
    writeHosts: (registry, text) => {
      const certs = join(folder, "certs.d", registry);
      mkdirSync(certs, { recursive: true });
      writeFileSync(join(certs, "hosts.toml"), text);
      return certs;
    },
    pull: (name, { platform, credentials = {}, signal = never, onLine } = {}) => {
      const request = {
        ref: parseReference(name),
        access: { credentials },
        ...(platform === undefined ? {} : { platform }),
      };
      return lines((output) => images.pull(request, output, signal), onLine);
    },
    push: (name, credentials = {}) =>
      lines((output) => images.push({ ref: parseReference(name), access: { credentials } }, output, never)),
    importBusybox: async (name) => {
      const request = { source: createReadStream(await busyboxTar()), ref: tag(name), message: "", changes: [] };
      await images.import(request, { write: () => undefined }, never);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function lines(
  work: (output: { write(message: ProgressMessage): void }) => Promise<void>,
  onLine: (message: ProgressMessage) => void = () => undefined,
): Promise<ProgressMessage[]> {
  const written: ProgressMessage[] = [];
  try {
    await work({
      write: (message) => {
        written.push(message);
        onLine(message);
      },
    });
  } catch (error) {
    written.push({ error: error instanceof Error ? error.message : String(error) });
  }
  return written;
}

/** What the CLI prints of a progress stream that is no terminal. */
export const shown = (messages: readonly ProgressMessage[]): string[] =>
  messages
    .filter((message) => message.progress === undefined && message.aux === undefined)
    .map(
      (message) =>
        message.error ?? message.stream ?? [message.id, message.status].filter((part) => part !== undefined).join(": "),
    );

function invalid(): never {
  throw new Error("no name");
}
