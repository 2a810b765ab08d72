import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lineOf, must, stop } from "./command.ts";
import { freePort, type NetworkPlace } from "./network-place.ts";

export interface RegistryOptions {
  readonly user?: { readonly name: string; readonly password: string };
  readonly hasTls?: boolean;
  /** The token server that it believes, which signs with `key.pem` in its folder. */
  readonly realm?: string;
  /** Default: one that is free. */
  readonly port?: number;
}

/** Debian's docker-registry on a loopback port of the given network. */
export class Registry implements AsyncDisposable {
  readonly address: string;
  readonly folder: string;
  /** The certificate that a client must trust, with TLS. */
  readonly caFile: string;
  #child: ChildProcess | undefined;

  constructor(address: string, folder: string) {
    this.address = address;
    this.folder = folder;
    this.caFile = join(folder, "ca.crt");
  }

  async start(place: Pick<NetworkPlace, "prefix">): Promise<void> {
    const [file = "", ...rest] = [...place.prefix, "docker-registry", "serve", join(this.folder, "config.yml")];
    this.#child = spawn(file, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, OTEL_TRACES_EXPORTER: "none" },
    });
    await lineOf(this.#child, /listening on/);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child !== undefined) await stop(this.#child);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function startRegistry(
  place: Pick<NetworkPlace, "prefix">,
  options: RegistryOptions = {},
): Promise<Registry> {
  const folder = mkdtempSync("/var/tmp/mdt-registry-");
  const address = `127.0.0.1:${options.port ?? (await freePort(place))}`;
  await using undo = new AsyncDisposableStack();
  const registry = undo.use(new Registry(address, folder));
  if (options.hasTls === true || options.realm !== undefined) await makeCertificate(folder);
  if (options.user !== undefined) {
    const { name, password } = options.user;
    writeFileSync(join(folder, "htpasswd"), await must(["htpasswd", "-Bbn", name, password]));
  }
  writeFileSync(join(folder, "config.yml"), configuration(address, folder, options));
  await registry.start(place);
  undo.move();
  return registry;
}

function configuration(address: string, folder: string, { user, realm, hasTls = false }: RegistryOptions): string {
  const token = `realm: ${realm}, service: registry, issuer: test, rootcertbundle: ${folder}/ca.crt`;
  const lines = [
    "version: 0.1",
    "log: {level: info, accesslog: {disabled: true}}",
    `storage: {filesystem: {rootdirectory: ${folder}/data}, delete: {enabled: true}}`,
    `http: {addr: "${address}"${hasTls ? `, tls: {certificate: ${folder}/ca.crt, key: ${folder}/key.pem}` : ""}}`,
    ...(realm === undefined ? [] : [`auth: {token: {${token}}}`]),
    ...(user === undefined ? [] : [`auth: {htpasswd: {realm: test, path: ${folder}/htpasswd}}`]),
  ];
  return `${lines.join("\n")}\n`;
}

async function makeCertificate(folder: string): Promise<void> {
  const request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"];
  const names = ["-addext", "subjectAltName=IP:127.0.0.1,IP:0.0.0.0,DNS:localhost"];
  await must([...request, ...names, "-keyout", join(folder, "key.pem"), "-out", join(folder, "ca.crt")]);
}
