import type { Readable } from "node:stream";
import { messageOf } from "#base/errors";
import type { Digest } from "#base/ids";
import { unmarshalJson } from "#base/json";
import { type Answer, bodyFault, invalidUrl } from "./client.ts";
import { RegistryError } from "./errors.ts";
import {
  acceptedManifests,
  type Descriptor,
  type Manifest,
  manifestSizeLimit,
  parseManifest,
  verifyDigest,
} from "./manifest.ts";
import { checkDigest } from "./reference.ts";
import type { Repository } from "./repository.ts";

/** Of all pages together. */
const tagListLimit = 64 << 20;

/** What a tag points at; `sizeBytes` is the length of the manifest. */
export interface Resolved {
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
}

/** HEAD, so that an image that is here already costs one small answer; GET where the registry needs it. */
export async function resolveTag(repository: Repository, tag: string, signal: AbortSignal): Promise<Resolved> {
  const url = repository.url(`manifests/${tag}`);
  const headers = { accept: acceptedManifests };
  const head = await repository.request("HEAD", url, { headers, signal });
  await head.discard();
  if (head.isSuccess && head.header("docker-content-digest") !== "") return resolvedOf(head);
  const answer = await repository.request("GET", url, { headers, signal });
  if (!answer.isSuccess) throw await answer.fault();
  if (answer.header("docker-content-digest") === "") {
    const mediaType = mediaTypeOf(answer);
    const manifest = parseManifest(await answer.bytes(manifestSizeLimit), mediaType);
    return { digest: manifest.digest, mediaType, sizeBytes: manifest.bytes.length };
  }
  await answer.discard();
  return resolvedOf(answer);
}

function resolvedOf(answer: Answer): Resolved {
  const mediaType = mediaTypeOf(answer);
  const digest = answer.header("docker-content-digest");
  const fault = checkDigest(digest);
  if (fault !== undefined) throw unexpected(fault);
  if (answer.length === undefined) throw unexpected("missing or empty Content-Length header");
  return { digest, mediaType, sizeBytes: answer.length };
}

function mediaTypeOf(answer: Answer): string {
  const mediaType = answer.header("content-type");
  if (mediaType === "") throw unexpected("missing or empty Content-Type header");
  return mediaType;
}

/** The manifest with this digest, checked against it. */
export async function fetchManifest(repository: Repository, digest: string, signal: AbortSignal): Promise<Manifest> {
  const headers = { accept: acceptedManifests };
  const answer = await repository.request("GET", repository.url(`manifests/${digest}`), { headers, signal });
  if (!answer.isSuccess) throw await answer.fault();
  const bytes = await answer.bytes(manifestSizeLimit);
  if (!verifyDigest(bytes, digest)) {
    throw new RegistryError("verification", `manifest verification failed for digest ${digest}`);
  }
  return parseManifest(bytes, answer.header("content-type"));
}

export async function hasManifest(repository: Repository, digest: string, signal: AbortSignal): Promise<boolean> {
  const url = repository.url(`manifests/${digest}`);
  const answer = await repository.request("HEAD", url, { headers: { accept: acceptedManifests }, signal });
  await answer.discard();
  return answer.isSuccess;
}

/** All tags, page after page (distribution spec, "Listing Tags"). */
export async function listTags(repository: Repository, signal: AbortSignal): Promise<string[]> {
  const tags: string[] = [];
  const seen = new Set<string>();
  let left = tagListLimit;
  let next: URL | undefined = repository.url("tags/list");
  while (next !== undefined) {
    const answer: Answer = await repository.request("GET", next, { signal });
    if (!answer.isSuccess) throw await answer.fault();
    const body = await answer.bytes(left);
    left -= body.length;
    for (const tag of tagsOf(body)) tags.push(tag);
    seen.add(next.href);
    next = nextPage(answer, next);
    if (next !== undefined && seen.has(next.href)) throw unexpected("the pages of the tag list lead in a circle");
  }
  return tags;
}

function nextPage(answer: Answer, page: URL): URL | undefined {
  const [link = ""] = answer.header("link").split(";");
  const target = link.replace(/^\s*<|>\s*$/g, "");
  if (target === "") return undefined;
  if (!URL.canParse(target, page.href)) throw unexpected(invalidUrl(target));
  return new URL(target, page);
}

function tagsOf(body: Buffer): readonly string[] {
  const tags = fieldOf(parseList(body), "tags") ?? [];
  if (!Array.isArray(tags)) throw unexpected("json: cannot unmarshal into Go struct field .tags of type []string");
  return tags.map((tag) => {
    if (typeof tag !== "string") throw unexpected("json: cannot unmarshal into .tags of type string");
    return tag;
  });
}

function parseList(body: Buffer): unknown {
  try {
    return unmarshalJson(body.toString("utf8"));
  } catch (cause) {
    throw new RegistryError("unexpectedResponse", messageOf(cause), { cause });
  }
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;

export interface OpenBlob {
  /** Fails with Go's words when the connection breaks. */
  readonly body: Readable;
  /** Of the whole blob; undefined when the registry does not say. */
  readonly sizeBytes: number | undefined;
  readonly describe: (error: unknown) => Promise<RegistryError>;
}

/** Opens a blob at `offset`. The caller checks the digest: only it knows the bytes before the offset. */
export async function openBlob(
  repository: Repository,
  digest: Digest,
  offset: number,
  signal: AbortSignal,
): Promise<OpenBlob> {
  const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
  const url = repository.url(`blobs/${digest}`);
  const answer = await repository.request("GET", url, { headers, signal });
  if (offset > 0 && answer.status === 416) {
    await answer.discard();
    throw new RegistryError("wrongRange", `the content ends before offset ${offset}`);
  }
  if (!answer.isSuccess) throw await blobFault(answer);
  const describe = async (error: unknown) =>
    error instanceof RegistryError
      ? error
      : new RegistryError("transport", await bodyFault(error, answer.url), { cause: error, hasAnswered: true });
  if (offset === 0) return { body: answer.body, sizeBytes: answer.length, describe };
  try {
    return { body: answer.body, sizeBytes: checkRange(answer, offset), describe };
  } catch (error) {
    await answer.discard();
    throw error;
  }
}

async function blobFault(answer: Answer): Promise<RegistryError> {
  if (answer.status !== 404) return answer.fault();
  await answer.discard();
  return new RegistryError("blobUnknown", "unknown blob", { kind: "notFound" });
}

/** A registry may ignore Range or answer with another one: then what is here already cannot be continued. */
function checkRange(answer: Answer, offset: number): number | undefined {
  const wrong = (text: string) => new RegistryError("wrongRange", text);
  if (answer.status !== 206) throw wrong("expected HTTP 206 from byte range request");
  const header = answer.header("content-range");
  if (header === "") throw wrong("no Content-Range header found in HTTP 206 response");
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header);
  if (match === null) throw wrong(`could not parse Content-Range header: ${header}`);
  const [, start, end, size] = match;
  if (Number(start) !== offset) {
    throw wrong(`received Content-Range starting at offset ${start} instead of requested ${offset}`);
  }
  if (size === "*") return undefined;
  if (Number(end) + 1 !== Number(size)) {
    throw wrong(`range in Content-Range stops before the end of the content: ${header}`);
  }
  return Number(size);
}

/** A whole small blob, checked: an image's config. */
export async function fetchBlob(
  repository: Repository,
  digest: Digest,
  limit: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const answer = await repository.request("GET", repository.url(`blobs/${digest}`), { signal });
  if (!answer.isSuccess) throw await blobFault(answer);
  const bytes = await answer.bytes(limit);
  if (!verifyDigest(bytes, digest)) {
    throw new RegistryError("verification", `image config verification failed for digest ${digest}`);
  }
  return bytes;
}

/** What the registry knows about a blob; undefined when it does not have it. */
export async function statBlob(
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<Descriptor | undefined> {
  const url = repository.url(`blobs/${digest}`);
  const answer = await repository.request("HEAD", url, { signal });
  await answer.discard();
  if (answer.status === 404) return undefined;
  if (!answer.isSuccess) throw await answer.fault();
  if (answer.length === undefined) throw unexpected(`missing content-length header for request: ${url.href}`);
  return { mediaType: answer.header("content-type"), digest, sizeBytes: answer.length };
}

const unexpected = (text: string) => new RegistryError("unexpectedResponse", text);
