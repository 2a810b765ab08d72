import { EngineError } from "#base/errors";

/**
 * The name of an image, normalized: `busybox` is `docker.io/library/busybox`. The grammar and the wording of its
 * errors are those of github.com/distribution/reference, which every Docker client and engine shares.
 */
export interface Reference {
  /** `docker.io`, `127.0.0.1:5000`. */
  readonly domain: string;
  /** `library/busybox`. */
  readonly path: string;
  readonly tag?: string;
  /** Any algorithm that registries use, checked for form. */
  readonly digest?: string;
}
export type TaggedReference = Reference & { readonly tag: string };
export type DigestedReference = Reference & { readonly digest: string };

const defaultDomain = "docker.io";
const legacyDefaultDomain = "index.docker.io";
const officialPrefix = "library/";
const defaultTag = "latest";
const pathLengthLimit = 255;

const component = "[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*";
const remoteName = `${component}(?:/${component})*`;
const domainComponent = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const host = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[(?:[a-fA-F0-9:]+)\\])`;
const domainAndPort = `${host}(?::[0-9]+)?`;
const tagText = "[\\w][\\w.-]{0,127}";
const digestText = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";

const referencePattern = new RegExp(`^((?:${domainAndPort}/)?${remoteName})(?::(${tagText}))?(?:@(${digestText}))?$`);
const namePattern = new RegExp(`^(?:(${domainAndPort})/)?(${remoteName})$`);
const tagPattern = new RegExp(`^${tagText}$`);
const identifierPattern = /^[a-f0-9]{64}$/;
const domainPattern = new RegExp(`^${domainAndPort}$`);
const hexLengths: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

export const isRegistryDomain = (text: string): boolean => domainPattern.test(text);

/** Takes a familiar or a full name, with or without tag and digest. */
export function parseReference(text: string): Reference {
  if (identifierPattern.test(text)) {
    throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const [domain, remainder] = splitDomain(text);
  const colon = remainder.indexOf(":");
  const remote = colon < 0 ? remainder : remainder.slice(0, colon);
  if (remote.toLowerCase() !== remote) {
    throw invalid(`invalid reference format: repository name (${remote}) must be lowercase`);
  }
  return parseFull(`${domain}/${remainder}`);
}

/** What `docker inspect x` may be given: an id, a digest, or a name. */
export function parseAnyReference(text: string): Reference | { readonly digest: string; readonly domain?: undefined } {
  if (identifierPattern.test(text)) return { digest: `sha256:${text}` };
  return checkDigest(text) === undefined ? { digest: text } : parseReference(text);
}

/** What is wrong with a digest, in go-digest's words; undefined for a good one. */
export function checkDigest(text: string): string | undefined {
  const colon = text.indexOf(":");
  if (colon <= 0 || colon === text.length - 1) return "invalid checksum digest format";
  const length = hexLengths[text.slice(0, colon)];
  const hex = text.slice(colon + 1);
  if (!/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/.test(text)) return "invalid checksum digest format";
  if (length === undefined) return "unsupported digest algorithm";
  if (hex.length !== length) return "invalid checksum digest length";
  return /^[a-f0-9]+$/.test(hex) ? undefined : "invalid checksum digest format";
}

export const isTagged = (ref: Reference): ref is TaggedReference => ref.tag !== undefined;
export const isDigested = (ref: Reference): ref is DigestedReference => ref.digest !== undefined;
export const isNameOnly = (ref: Reference): boolean => ref.tag === undefined && ref.digest === undefined;

export const trimReference = (ref: Reference): Reference => ({ domain: ref.domain, path: ref.path });

export function withTag(ref: Reference, tag: string): TaggedReference {
  if (!tagPattern.test(tag)) throw invalid("invalid tag format");
  return { ...ref, tag };
}

export function withDigest(ref: Reference, digest: string): DigestedReference {
  if (checkDigest(digest) !== undefined) throw invalid("invalid digest format");
  return { ...ref, digest };
}

/** Adds `latest` where neither a tag nor a digest is given. */
export const withDefaultTag = (ref: Reference): Reference => (isNameOnly(ref) ? { ...ref, tag: defaultTag } : ref);

/** The `repo` and `tag` query words (moby httputils.RepoTagReference); undefined when there is no repo. */
export function parseRepoTag(repo: string, tag: string): TaggedReference | undefined {
  if (repo === "") return undefined;
  const ref = parseReference(repo);
  if (ref.digest !== undefined) throw invalid("cannot import digest reference");
  if (tag !== "") return withTag(ref, tag);
  return withTag(ref, withDefaultTag(ref).tag ?? "latest");
}

/** The form that is stored: a digest wins over a tag beside it (moby reference/store.go, favorDigest). */
export function storedReference(ref: Reference): Reference {
  if (ref.digest !== undefined) return { ...trimReference(ref), digest: ref.digest };
  return withDefaultTag(ref);
}

export const repositoryName = (ref: Reference): string => `${ref.domain}/${ref.path}`;
export const formatReference = (ref: Reference): string => repositoryName(ref) + suffix(ref);
export const familiarReference = (ref: Reference): string => familiarName(ref) + suffix(ref);

/** `busybox` for docker.io/library/busybox, `me/x` for docker.io/me/x, all of it for another registry. */
export function familiarName(ref: Reference): string {
  if (ref.domain !== defaultDomain) return repositoryName(ref);
  const official = ref.path.startsWith(officialPrefix) ? ref.path.slice(officialPrefix.length) : ref.path;
  return official.includes("/") ? ref.path : official;
}

function suffix(ref: Reference): string {
  return (ref.tag === undefined ? "" : `:${ref.tag}`) + (ref.digest === undefined ? "" : `@${ref.digest}`);
}

/** The first part is a registry only if it looks like a host: has a dot, a colon or a capital, or is `localhost`. */
function splitDomain(text: string): readonly [domain: string, remainder: string] {
  const slash = text.indexOf("/");
  if (slash < 0) return [defaultDomain, officialPrefix + text];
  const first = text.slice(0, slash);
  const isDomain = first === "localhost" || /[.:]/.test(first) || first.toLowerCase() !== first;
  const domain = !isDomain || first === legacyDefaultDomain ? defaultDomain : first;
  const remainder = isDomain ? text.slice(slash + 1) : text;
  return [domain, domain === defaultDomain && !remainder.includes("/") ? officialPrefix + remainder : remainder];
}

function parseFull(text: string): Reference {
  const match = referencePattern.exec(text);
  if (match === null) {
    const isOnlyCase = referencePattern.test(text.toLowerCase());
    throw invalid(isOnlyCase ? "repository name must be lowercase" : "invalid reference format");
  }
  const [, name = "", tag, digest] = match;
  const [, domain = "", path = ""] = namePattern.exec(name) ?? [];
  if (path.length > pathLengthLimit) {
    throw invalid(`repository name must not be more than ${pathLengthLimit} characters`);
  }
  const fault = digest === undefined ? undefined : checkDigest(digest);
  if (fault !== undefined) throw invalid(fault);
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

const invalid = (message: string) => new EngineError("invalidParameter", message);
