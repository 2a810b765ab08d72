/** The files of `--tls`, looked at before anything is started, and what is wrong with them in dockerd's words (go-connections/tlsconfig). */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { errnoText } from "#base/errno-text";
import { errnoOf, messageOf } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { TlsConfig } from "./config.ts";

export function checkTlsFiles({ isEnabled, isClientVerified, caFile, certFile, keyFile }: TlsConfig): void {
  if (!isEnabled) return;
  try {
    checkPair(certFile, keyFile);
    if (isClientVerified && caFile !== "") checkAuthority(caFile);
  } catch (error) {
    throw new Error(`invalid TLS configuration: ${messageOf(error)}`, { cause: error });
  }
}

function checkPair(certFile: string, keyFile: string): void {
  const files = `X509 key pair (cert: ${goQuote(certFile)}, key: ${goQuote(keyFile)})`;
  try {
    const [cert, key] = [read(certFile), read(keyFile)];
    const certificate = certificateOf(cert);
    const privateKey = privateKeyOf(key);
    if (certificate.checkPrivateKey(privateKey)) return;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (errnoOf(cause) === "ENOENT") throw new Error(`Could not load ${files}: ${messageOf(error)}`, { cause });
    throw unreadable(files, messageOf(error), error);
  }
  throw unreadable(files, "tls: private key does not match public key");
}

const unreadable = (files: string, reason: string, cause?: unknown): Error =>
  new Error(`Error reading ${files}: ${reason}. Make sure the key is not encrypted.`, { cause });

function certificateOf(pem: string): X509Certificate {
  if (pem.includes("-----BEGIN CERTIFICATE-----"))
    return parsed("x509: malformed certificate", () => new X509Certificate(pem));
  if (!pem.includes("-----BEGIN ")) throw new Error("tls: failed to find any PEM data in certificate input");
  const other = "tls: failed to find certificate PEM data in certificate input";
  throw new Error(
    pem.includes("PRIVATE KEY-----")
      ? `${other}, but did find a private key; PEM inputs may have been switched`
      : other,
  );
}

function privateKeyOf(pem: string): KeyObject {
  if (!pem.includes("-----BEGIN ")) throw new Error("tls: failed to find any PEM data in key input");
  if (!pem.includes("PRIVATE KEY-----")) {
    throw new Error("tls: found a certificate rather than a key in the PEM for the private key");
  }
  return parsed("tls: failed to parse private key", () => createPrivateKey(pem));
}

function parsed<T>(reason: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new Error(reason, { cause: error });
  }
}

function checkAuthority(path: string): void {
  const shown = JSON.stringify(path);
  const pem = parsedFile(`could not read CA certificate ${shown}`, path);
  if (!pem.includes("-----BEGIN CERTIFICATE-----"))
    throw new Error(`failed to append certificates from PEM file: ${shown}`);
}

function parsedFile(what: string, path: string): string {
  try {
    return read(path);
  } catch (error) {
    throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
  }
}

/** Go's words: what was done, to which file, and strerror. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const step = errnoOf(error) === "EISDIR" ? "read" : "open";
    throw new Error(`${step} ${path}: ${errnoText(errnoOf(error) ?? "")}`, { cause: error });
  }
}
