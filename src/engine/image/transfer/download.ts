import { Readable } from "node:stream";
import { EngineError, errnoOf } from "#base/errors";
import { type Digest, shortId } from "#base/ids";
import { type Descriptor, type OpenBlob, openBlob, RegistryError, type Repository } from "#registry";
import type { Blob, ResumableIngest } from "#storage";
import type { ImageParts } from "../parts.ts";
import { advance, ProgressMeter, update } from "./progress.ts";
import type { Transfer } from "./transfers.ts";

/** A registry that wants to be left alone for longer than this is not waited for. */
const patienceMs = 60_000;

/** Brings one blob into the content store; a broken connection is resumed where it broke (moby distribution/xfer). */
export async function downloadBlob(
  parts: ImageParts,
  repository: Repository,
  blob: Descriptor,
  transfer: Transfer,
): Promise<Blob> {
  const id = shortId(blob.digest);
  await using _ = repository.share();
  const present = parts.storage.content.find(blob.digest);
  if (present !== undefined) {
    update(transfer.output, id, "Download complete");
    return present;
  }
  using _slot = await transfer.takeSlot(() => update(transfer.output, id, "Waiting"));
  for (let attempt = 1; ; attempt++) {
    const outcome = await tryDownload(parts, repository, blob, transfer);
    if ("done" in outcome) return outcome.done;
    transfer.signal.throwIfAborted();
    const { error, offset } = outcome;
    if (attempt >= parts.limits.downloadAttempts || isFinal(error, offset)) throw inWords(bareOf(error), blob.digest);
    parts.log.info({ err: error, digest: blob.digest, attempt }, "download failed, trying again");
    await pauseAfter(parts, error, attempt, id, transfer);
  }
}

type Outcome = { readonly done: Blob } | { readonly error: unknown; readonly offset: number };

/** One attempt, from where the last one ended. */
async function tryDownload(
  parts: ImageParts,
  repository: Repository,
  blob: Descriptor,
  transfer: Transfer,
): Promise<Outcome> {
  await using ingest = await parts.storage.content.resume(blob.digest);
  const { offset } = ingest;
  try {
    return { done: await attemptDownload(repository, blob, ingest, transfer) };
  } catch (error) {
    return { error, offset };
  }
}

async function attemptDownload(
  repository: Repository,
  blob: Descriptor,
  ingest: ResumableIngest,
  transfer: Transfer,
): Promise<Blob> {
  const { output, signal } = transfer;
  const id = shortId(blob.digest);
  // All of it came before, and the daemon died before it was checked: a registry has no range to offer for that.
  const isComplete = ingest.offset === blob.sizeBytes;
  const stream = isComplete ? Readable.from([]) : await openStream(repository, blob, ingest, transfer);
  try {
    const done = await ingest.append(stream, { sizeBytes: blob.sizeBytes, mediaType: blob.mediaType, signal });
    update(output, id, "Verifying Checksum");
    update(output, id, "Download complete");
    return done;
  } catch (error) {
    if (errnoOf(error) === "EDIGEST") update(output, id, "Verifying Checksum");
    throw error;
  }
}

/** What the registry has from where we are, counted for the client. */
async function openStream(
  repository: Repository,
  blob: Descriptor,
  ingest: ResumableIngest,
  { output, signal }: Transfer,
): Promise<Readable> {
  const open = await openAt(repository, blob.digest, ingest, signal);
  const left = (open.sizeBytes ?? blob.sizeBytes) - ingest.offset;
  const id = shortId(blob.digest);
  const meter = new ProgressMeter(left, 0, (current, total) => advance(output, id, "Downloading", current, total));
  return Readable.from(counted(open, meter), { objectMode: false });
}

/** A registry that will not continue where we are makes us begin again. */
async function openAt(
  repository: Repository,
  digest: Digest,
  ingest: ResumableIngest,
  signal: AbortSignal,
): Promise<OpenBlob> {
  try {
    return await openBlob(repository, digest, ingest.offset, signal);
  } catch (error) {
    if (error instanceof RegistryError && error.fault === "wrongRange") await ingest.discard();
    throw error;
  }
}

/** The bytes as they pass; a failure of the connection in Go's words. */
export async function* counted(
  open: Pick<OpenBlob, "body" | "describe">,
  meter: ProgressMeter,
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of open.body) {
      meter.add(chunk.length);
      yield chunk;
    }
  } catch (error) {
    throw await open.describe(error);
  }
}

const finalCodes = new Set(["UNAUTHORIZED", "UNSUPPORTED", "DENIED", "TOOMANYREQUESTS", "NAME_UNKNOWN"]);
const finalFaults = new Set(["noCredentials", "noToken", "unexpectedResponse", "unsupported", "blobUnknown"]);

/** What another attempt will not change (moby distribution/errors.go, retryOnError). */
export function isFinal(error: unknown, offset = 0): boolean {
  const askedMs = retryAfterOf(error);
  if (askedMs !== undefined) return askedMs > patienceMs;
  if (error instanceof RegistryError) return finalFaults.has(error.fault) || finalCodes.has(error.code);
  const code = errnoOf(error);
  // Wrong bytes may come from a resumed download; from a fresh one they are the registry's.
  if (code === "EDIGEST" || code === "ESIZE") return offset === 0;
  return code === "ENOSPC" || code === "EDQUOT" || code === "EROFS";
}

/** moby tells what failed in a transfer without the request. */
export const bareOf = (error: unknown): unknown => (error instanceof RegistryError ? error.bare : error);

const retryAfterOf = (error: unknown): number | undefined =>
  error instanceof RegistryError ? error.retryAfterMs : undefined;

function inWords(error: unknown, digest: Digest): unknown {
  const code = errnoOf(error);
  if (code !== "EDIGEST" && code !== "ESIZE") return error;
  return new EngineError("system", `filesystem layer verification failed for digest ${digest}`, { cause: error });
}

/** Waits before the next attempt, ever longer or as long as the registry asks, and counts the seconds for the client. */
export async function pauseAfter(
  parts: ImageParts,
  error: unknown,
  attempt: number,
  id: string,
  { output, signal }: Transfer,
): Promise<void> {
  const askedMs = retryAfterOf(error);
  for (let left = askedMs === undefined ? attempt * 5 : Math.ceil(askedMs / 1000); left > 0; left--) {
    update(output, id, `Retrying in ${left} second${left === 1 ? "" : "s"}`);
    await parts.clock.sleep(1000, signal);
  }
}

/** Tries a small request again, ever more slowly; the count is part of the message. */
export async function retry<T>(parts: ImageParts, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const limit = 5;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      // Wrong bytes are wrong at once.
      if (error instanceof RegistryError && error.fault === "verification") throw error;
      const isLast = attempt === limit;
      if (isLast || isFinal(error)) throw attemptsError(error, isLast ? limit + 1 : attempt);
      await parts.clock.sleep(retryAfterOf(error) ?? 250 * 2 ** (attempt - 1), signal);
    }
  }
}

function attemptsError(error: unknown, attempts: number): unknown {
  const prefix = `download failed after attempts=${attempts}`;
  return error instanceof RegistryError ? error.bare.prefixed(prefix) : error;
}
