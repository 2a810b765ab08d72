import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

export const types = {
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  index: "application/vnd.oci.image.index.v1+json",
  oci: "application/vnd.oci.image.manifest.v1+json",
} as const;

export const digestOf = (bytes: Buffer | string): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A tar of one file, so that its bytes are ours to choose. */
export function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("ustar\u000000", 257);
  header.write("0", 156);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}

export interface RogueImage {
  readonly manifest: string;
  readonly configDigest: string;
  readonly layers: readonly string[];
}

export interface RogueListener {
  readonly host?: string;
  readonly tls?: ServerOptions;
}

/** Answers a request itself, or lets the registry do it: undefined. */
type Hook = (request: IncomingMessage, response: ServerResponse) => boolean;

/** A small registry that misbehaves as told. */
export class RogueRegistry implements AsyncDisposable {
  readonly blobs = new Map<string, Buffer>();
  /** By tag and by digest. */
  readonly manifests = new Map<string, { readonly type: string; readonly bytes: Buffer }>();
  /** All that came: `GET /v2/…`. */
  readonly requests: { readonly line: string; readonly authorization: string; readonly range: string }[] = [];
  hook: Hook = () => false;
  /** Uploads that have begun: what came so far. */
  readonly uploads = new Map<string, Buffer>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(port = 0, { host = "127.0.0.1", tls }: RogueListener = {}): Promise<RogueRegistry> {
    const answer = (request: IncomingMessage, response: ServerResponse) => void registry.#answer(request, response);
    const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
    const registry = new RogueRegistry(server);
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    return registry;
  }

  get address(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  addBlob(bytes: Buffer): string {
    this.blobs.set(digestOf(bytes), bytes);
    return digestOf(bytes);
  }

  addManifest(tag: string, document: object, type: string = types.manifest): string {
    const bytes = Buffer.from(JSON.stringify(document));
    for (const key of [tag, digestOf(bytes)]) this.manifests.set(key, { type, bytes });
    return digestOf(bytes);
  }

  /** An image with one layer for each content. `config` and `manifest` change what would be right. */
  addImage(
    tag: string,
    contents: readonly Buffer[],
    changes: { config?: object; manifest?: object; type?: string; compress?: (tar: Buffer) => Buffer } = {},
  ): RogueImage {
    const tars = contents.map((content, i) => tarOf(`file${i}`, content));
    const blobs = tars.map(changes.compress ?? ((tar) => gzipSync(tar)));
    const layers = blobs.map((blob) => ({ mediaType: types.layer, size: blob.length, digest: this.addBlob(blob) }));
    const rootfs = { type: "layers", diff_ids: tars.map(digestOf) };
    const config = Buffer.from(
      JSON.stringify({ architecture: "amd64", os: "linux", config: {}, rootfs, ...changes.config }),
    );
    const manifest = this.addManifest(
      tag,
      {
        schemaVersion: 2,
        mediaType: changes.type ?? types.manifest,
        config: { mediaType: types.config, size: config.length, digest: this.addBlob(config) },
        layers,
        ...changes.manifest,
      },
      changes.type ?? types.manifest,
    );
    return { manifest, configDigest: digestOf(config), layers: layers.map((layer) => layer.digest) };
  }

  get tags(): string[] {
    return [...this.manifests.keys()].filter((name) => !name.includes(":"));
  }

  count(pattern: RegExp): number {
    return this.requests.filter(({ line }) => pattern.test(line)).length;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    this.requests.push({
      line: `${method} ${url}`,
      authorization: headers.authorization ?? "",
      range: headers.range ?? "",
    });
    if (this.hook(request, response)) return;
    const [, kind, name = ""] = /\/(manifests|blobs|blobs\/uploads|tags)\/([^/?]*)(?:\?.*)?$/.exec(url) ?? [];
    if (url === "/v2/") response.end("{}");
    else if (kind === "blobs/uploads") await this.#upload(name, request, response);
    else if (kind === "manifests" && method === "PUT") await this.#putManifest(name, request, response);
    else if (kind === "manifests") this.#manifest(name, method, response);
    else if (kind === "blobs") this.#blob(name, method, headers.range, response);
    else if (kind === "tags") response.end(JSON.stringify({ name: "x", tags: this.tags }));
    else fail(response, 404, "NAME_UNKNOWN", "repository name not known to registry");
  }

  #manifest(name: string, method: string, response: ServerResponse): void {
    const manifest = this.manifests.get(name);
    if (manifest === undefined) return void fail(response, 404, "MANIFEST_UNKNOWN", "manifest unknown");
    const { type, bytes } = manifest;
    response.writeHead(200, {
      "content-type": type,
      "content-length": bytes.length,
      "docker-content-digest": digestOf(bytes),
    });
    response.end(method === "HEAD" ? undefined : bytes);
  }

  #blob(name: string, method: string, range: string | undefined, response: ServerResponse): void {
    const blob = this.blobs.get(name);
    if (blob === undefined) return void fail(response, 404, "BLOB_UNKNOWN", "blob unknown to registry");
    const start = range === undefined ? 0 : Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0);
    const span = `bytes ${start}-${blob.length - 1}/${blob.length}`;
    response.writeHead(range === undefined ? 200 : 206, {
      "content-length": blob.length - start,
      ...(range === undefined ? {} : { "content-range": span }),
    });
    response.end(method === "HEAD" ? undefined : blob.subarray(start));
  }

  /** POST begins an upload or mounts a blob that is here, PATCH adds to it, PUT ends it, DELETE forgets it. */
  async #upload(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const query = new URL(request.url ?? "", "http://registry").searchParams;
    if (request.method === "POST") {
      if (this.blobs.has(query.get("mount") ?? "")) return void response.writeHead(201).end();
      const begun = randomUUID();
      this.uploads.set(begun, Buffer.alloc(0));
      return accepted(response, `${request.url?.split("?")[0]}${begun}`, 0);
    }
    const before = this.uploads.get(id);
    if (before === undefined) return fail(response, 404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    const all = Buffer.concat([before, await bodyOf(request)]);
    this.uploads.set(id, all);
    if (request.method === "PATCH") return accepted(response, request.url ?? "", all.length);
    this.uploads.delete(id);
    if (request.method === "DELETE") return void response.writeHead(204).end();
    if (query.get("digest") !== digestOf(all)) return fail(response, 400, "DIGEST_INVALID", "wrong digest");
    response.writeHead(201, { location: "/", "docker-content-digest": this.addBlob(all) }).end();
  }

  async #putManifest(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const bytes = await bodyOf(request);
    for (const key of [name, digestOf(bytes)])
      this.manifests.set(key, { type: request.headers["content-type"] ?? "", bytes });
    response.writeHead(201, { location: "/", "docker-content-digest": digestOf(bytes) }).end();
  }
}

function accepted(response: ServerResponse, location: string, size: number): void {
  response.writeHead(202, { location, range: `0-${Math.max(0, size - 1)}` }).end();
}

export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function fail(response: ServerResponse, status: number, code: string, message: string): void {
  const body = JSON.stringify({ errors: [{ code, message, detail: {} }] });
  response.writeHead(status, { "content-type": "application/json" }).end(body);
}
