import { EngineError, type ErrorKind, messageOf } from "#base/errors";
import { unmarshalJson } from "#base/json";

/** What the registry's answer, or its absence, means for the next step; never its text. */
export type RegistryFault =
  /** An entry of the `errors` list (distribution spec, "Error Codes"), or a plain 4xx body. */
  | "api"
  | "blobUnknown"
  | "uploadUnknown"
  /** A status or a body that no registry should send. */
  | "unexpectedStatus"
  | "unexpectedResponse"
  | "noCredentials"
  | "noToken"
  | "transport"
  | "wrongRange"
  | "verification"
  /** The image's config could not be had: another endpoint is asked only in a mirror's stead. */
  | "config"
  | "unsupported";

export interface RegistryErrorOptions extends ErrorOptions {
  readonly kind?: ErrorKind;
  /** `MANIFEST_UNKNOWN`, when the registry said so. */
  readonly code?: string;
  /** The entry says more than its code: moby words those differently. */
  readonly hasDetail?: boolean;
  /** The server did answer in HTTP: over TLS that rules out a retry in clear text. */
  readonly hasAnswered?: boolean;
  /** How long the server asks to be left alone. */
  readonly retryAfterMs?: number | undefined;
}

/** A failure of a registry, in the words of moby's client. */
export class RegistryError extends EngineError {
  readonly fault: RegistryFault;
  readonly code: string;
  readonly hasDetail: boolean;
  readonly hasAnswered: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(fault: RegistryFault, message: string, options: RegistryErrorOptions = {}) {
    super(options.kind ?? "system", message, options);
    this.name = "RegistryError";
    this.fault = fault;
    this.code = options.code ?? "";
    this.hasDetail = options.hasDetail ?? false;
    this.hasAnswered = options.hasAnswered ?? fault !== "transport";
    this.retryAfterMs = options.retryAfterMs;
  }

  /** The failure alone, without the request that met it. */
  get bare(): RegistryError {
    return this.cause instanceof RegistryError ? this.cause.bare : this;
  }

  /** The same failure seen from one layer up: `Get "http://…": no basic auth credentials`. */
  prefixed(prefix: string): RegistryError {
    return new RegistryError(this.fault, `${prefix}: ${this.message}`, {
      kind: this.kind,
      code: this.code,
      hasDetail: false,
      hasAnswered: this.hasAnswered,
      retryAfterMs: this.retryAfterMs,
      cause: this,
    });
  }
}

interface CodeWords {
  readonly message: string;
  readonly kind: ErrorKind;
}

/** docker/distribution registry/api: what each code means when the registry adds nothing to it. */
const codes: Readonly<Record<string, CodeWords>> = {
  UNKNOWN: { message: "unknown error", kind: "system" },
  UNSUPPORTED: { message: "The operation is unsupported.", kind: "system" },
  UNAUTHORIZED: { message: "authentication required", kind: "unauthorized" },
  DENIED: { message: "requested access to the resource is denied", kind: "forbidden" },
  UNAVAILABLE: { message: "service unavailable", kind: "unavailable" },
  TOOMANYREQUESTS: { message: "too many requests", kind: "tooManyRequests" },
  DIGEST_INVALID: { message: "provided digest did not match uploaded content", kind: "invalidParameter" },
  SIZE_INVALID: { message: "provided length did not match content length", kind: "invalidParameter" },
  NAME_INVALID: { message: "invalid repository name", kind: "invalidParameter" },
  TAG_INVALID: { message: "manifest tag did not match URI", kind: "invalidParameter" },
  NAME_UNKNOWN: { message: "repository name not known to registry", kind: "notFound" },
  MANIFEST_UNKNOWN: { message: "manifest unknown", kind: "notFound" },
  MANIFEST_INVALID: { message: "manifest invalid", kind: "invalidParameter" },
  MANIFEST_UNVERIFIED: { message: "manifest failed signature verification", kind: "invalidParameter" },
  MANIFEST_BLOB_UNKNOWN: { message: "blob unknown to registry", kind: "invalidParameter" },
  BLOB_UNKNOWN: { message: "blob unknown to registry", kind: "notFound" },
  BLOB_UPLOAD_UNKNOWN: { message: "blob upload unknown to registry", kind: "notFound" },
  BLOB_UPLOAD_INVALID: { message: "blob upload invalid", kind: "notFound" },
};

/** An answer below 500 that is no success. `challengeError` comes from `WWW-Authenticate: Bearer error=…` (RFC 6750). */
export interface FailedAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly contentType: string;
  readonly body: string;
  readonly challengeError?: { readonly error: string; readonly description: string } | undefined;
  /** Of a 429: what is left of the client's quota, to be added to the registry's words. */
  readonly quota?: string;
  readonly retryAfterMs?: number | undefined;
}

export function errorOfAnswer(answer: FailedAnswer): RegistryError {
  const { quota = "", retryAfterMs } = answer;
  const error = wordsOfAnswer(answer);
  if (quota === "" && retryAfterMs === undefined) return error;
  const { kind, code, hasDetail, cause } = error;
  return new RegistryError(error.fault, error.message + quota, { kind, code, hasDetail, cause, retryAfterMs });
}

function wordsOfAnswer(answer: FailedAnswer): RegistryError {
  if (answer.status < 400 || answer.status >= 500) {
    const status = `${answer.status} ${answer.statusText}`.trim();
    return new RegistryError("unexpectedStatus", `received unexpected HTTP status: ${status}`);
  }
  const bearerCode = bearerCodes[answer.challengeError?.error ?? ""];
  const listed = errorOfBody(answer);
  if (bearerCode === undefined) {
    const isOddBody = listed.fault === "unexpectedResponse" && answer.status === 401;
    return isOddBody ? codeError("UNAUTHORIZED", codes.UNAUTHORIZED?.message ?? "", true) : listed;
  }
  const description = answer.challengeError?.description || (codes[bearerCode]?.message ?? "");
  return codeError(bearerCode, description, true);
}

const bearerCodes: Readonly<Record<string, string>> = { invalid_token: "UNAUTHORIZED", insufficient_scope: "DENIED" };
const plainCodes: Readonly<Record<number, string>> = { 401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS" };

function errorOfBody(answer: FailedAnswer): RegistryError {
  const mediaType = answer.contentType.split(";")[0]?.trim().toLowerCase() ?? "";
  const plain = (text: string) => codeError(plainCodes[answer.status] ?? "UNKNOWN", text, true);
  if (mediaType !== "application/json" && mediaType !== "application/vnd.api+json") return plain(answer.body);
  let document: unknown;
  try {
    document = unmarshalJson(answer.body);
  } catch (cause) {
    return unexpectedBody(answer, messageOf(cause), cause);
  }
  const details = fieldOf(document, "details");
  if (typeof details === "string" && details !== "") return plain(details);
  const list = fieldOf(document, "errors");
  const first: unknown = Array.isArray(list) ? list[0] : undefined;
  if (first === undefined) return unexpectedBody(answer, "no error details found in HTTP response body");
  const code = textField(first, "code");
  const known = codes[code] === undefined ? "UNKNOWN" : code;
  const message = textField(first, "message");
  const detail = fieldOf(first, "detail");
  const hasDetail = (detail !== undefined && detail !== null) || (message !== "" && message !== codes[known]?.message);
  return codeError(known, message, hasDetail);
}

function unexpectedBody(answer: FailedAnswer, why: string, cause?: unknown): RegistryError {
  const text = `error parsing HTTP ${answer.status} response body: ${why}: ${JSON.stringify(answer.body)}`;
  return new RegistryError("unexpectedResponse", text, { cause });
}

/** `manifest unknown: manifest unknown`; without detail moby prints the code's name alone. */
function codeError(code: string, message: string, hasDetail: boolean): RegistryError {
  const name = code.toLowerCase().replaceAll("_", " ");
  const kind = codes[code]?.kind ?? "system";
  return new RegistryError("api", hasDetail ? `${name}: ${message}` : name, { kind, code, hasDetail });
}

/** Go matches JSON keys without regard to case. */
function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key.toLowerCase() === name)?.[1];
}

function textField(value: unknown, name: string): string {
  const field = fieldOf(value, name);
  return typeof field === "string" ? field : "";
}
