import { randomBytes } from "node:crypto";
import { EngineError } from "#base/errors";

declare const brand: unique symbol;
/** `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor.md#digests). */
export type Digest = string & { readonly [brand]: "Digest" };
/** 64 lower-case hex digits: container, network, endpoint and exec ids. */
export type Id = string & { readonly [brand]: "Id" };

const digestPattern = /^sha256:[a-f0-9]{64}$/;
const idPattern = /^[a-f0-9]{64}$/;

export const isDigest = (text: string): text is Digest => digestPattern.test(text);
export const isId = (text: string): text is Id => idPattern.test(text);

export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new EngineError("invalidParameter", `invalid digest: ${text}`);
  return text;
}

export function parseId(text: string): Id {
  if (!isId(text)) throw new EngineError("invalidParameter", `invalid id: ${text}`);
  return text;
}

export function sha256Digest(hex: string): Digest {
  return parseDigest(`sha256:${hex}`);
}

/** A new random id. Like moby, never one whose short form is all digits: it would read as a number. */
export function newId(): Id {
  for (;;) {
    const id = randomBytes(32).toString("hex");
    if (!/^\d{12}/.test(id)) return parseId(id);
  }
}

/** The twelve characters that people see. */
export const shortId = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);
