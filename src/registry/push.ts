import type { Readable } from "node:stream";
import type { Digest } from "#base/ids";
import { type Answer, invalidUrl, type RequestOptions } from "./client.ts";
import { RegistryError } from "./errors.ts";
import { statBlob } from "./fetch.ts";
import { type Descriptor, digestOf } from "./manifest.ts";
import { checkDigest } from "./reference.ts";
import type { Repository } from "./repository.ts";

/** Where the registry wants the bytes of one blob. */
export interface Upload {
  readonly location: URL;
}

export async function startUpload(repository: Repository, signal: AbortSignal): Promise<Upload> {
  const url = repository.url("blobs/uploads/");
  return uploadOf(await repository.request("POST", url, { signal }), url);
}

/**
 * Asks the registry to take a blob over from another of its repositories (distribution spec, "Mounting a blob").
 * Its descriptor is the answer, or, where the registry will not, an upload that has begun.
 */
export async function mountBlob(
  repository: Repository,
  mount: { readonly digest: Digest; readonly from: string },
  signal: AbortSignal,
): Promise<Upload | Descriptor> {
  const url = repository.url("blobs/uploads/");
  url.searchParams.set("from", mount.from);
  url.searchParams.set("mount", mount.digest);
  const answer = await repository.request("POST", url, { signal });
  if (answer.status !== 201) return uploadOf(answer, url);
  await answer.discard();
  const blob = await statBlob(repository, mount.digest, signal);
  if (blob === undefined) throw new RegistryError("blobUnknown", "unknown blob");
  return blob;
}

async function uploadOf(answer: Answer, url: URL): Promise<Upload> {
  if (answer.status !== 202) throw await answer.fault();
  await answer.discard();
  return { location: locationOf(answer, url) };
}

/** Sends bytes of an unknown number in one PATCH: a layer that is compressed on its way. */
export async function sendUpload(
  repository: Repository,
  upload: Upload,
  body: Readable,
  signal: AbortSignal,
): Promise<Upload> {
  const answer = await repository.request("PATCH", upload.location, { headers: octets, body, signal });
  if (!answer.isSuccess) throw await uploadFault(answer);
  await answer.discard();
  return { location: locationOf(answer, upload.location) };
}

/** Ends an upload whose bytes were sent; the registry checks the digest. */
export async function commitUpload(
  repository: Repository,
  upload: Upload,
  digest: Digest,
  signal: AbortSignal,
): Promise<void> {
  await putUpload(repository, upload, digest, { signal });
}

/** Sends a blob that is known beforehand, and ends the upload with it (distribution spec, "POST then PUT"). */
export async function sendBlob(
  repository: Repository,
  upload: Upload,
  blob: Pick<Descriptor, "digest" | "sizeBytes">,
  body: Readable | Buffer,
  signal: AbortSignal,
): Promise<void> {
  const headers = { ...octets, "content-length": String(blob.sizeBytes) };
  await putUpload(repository, upload, blob.digest, { headers, body, signal });
}

async function putUpload(repository: Repository, upload: Upload, digest: Digest, options: RequestOptions) {
  const url = new URL(upload.location);
  url.searchParams.set("digest", digest);
  const answer = await repository.request("PUT", url, options);
  if (!answer.isSuccess) throw await uploadFault(answer);
  await answer.discard();
  // 201 is a promise; with any other success it is better to look.
  if (answer.status === 201 || (await statBlob(repository, digest, options.signal)) !== undefined) return;
  throw new RegistryError("blobUnknown", "unknown blob");
}

const octets = { "content-type": "application/octet-stream" };

/** Lets the registry forget an upload that will not be finished. Best effort: it forgets by itself in a while. */
export async function cancelUpload(repository: Repository, upload: Upload, signal: AbortSignal): Promise<void> {
  const answer = await repository.request("DELETE", upload.location, { signal }).catch(() => undefined);
  await answer?.discard();
}

/** A whole small blob: an image's config. */
export async function pushBlob(repository: Repository, bytes: Buffer, signal: AbortSignal): Promise<Descriptor> {
  const blob = { mediaType: octets["content-type"], digest: digestOf(bytes), sizeBytes: bytes.length };
  await sendBlob(repository, await startUpload(repository, signal), blob, bytes, signal);
  return blob;
}

export async function pushManifest(
  repository: Repository,
  tag: string,
  manifest: { readonly mediaType: string; readonly bytes: Buffer },
  signal: AbortSignal,
): Promise<void> {
  const url = repository.url(`manifests/${tag}`);
  const headers = { "content-type": manifest.mediaType };
  const answer = await repository.request("PUT", url, { headers, body: manifest.bytes, signal });
  if (!answer.isSuccess) throw await answer.fault();
  await answer.discard();
  if (answer.status === 201) return;
  const fault = checkDigest(answer.header("docker-content-digest"));
  if (fault !== undefined) throw new RegistryError("unexpectedResponse", fault);
}

async function uploadFault(answer: Answer): Promise<RegistryError> {
  if (answer.status !== 404) return answer.fault();
  await answer.discard();
  return new RegistryError("uploadUnknown", "blob upload unknown", { kind: "notFound" });
}

function locationOf(answer: Answer, base: URL): URL {
  const location = answer.header("location");
  if (!URL.canParse(location, base.href)) throw new RegistryError("unexpectedResponse", invalidUrl(location));
  return new URL(location, base);
}
