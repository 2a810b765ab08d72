import { gzipSync } from "node:zlib";
import { digestOf } from "../../e2e/images/rogue.ts";
import { cut, type Part, rig, summary, twist } from "./answers.ts";
import type { Case } from "./run.ts";
import type { Stage } from "./stage.ts";

const broken: Case[] = [
  ...(["ping", "manifest", "get", "config", "layer"] as const).map(
    (part): Case => [`pull ${part} cut before an answer`, twist(part, cut)],
  ),
  [
    "pull layer cut once before an answer",
    twist("layer", (request, response, count) => (count === 1 ? cut(request, response, 1) : false)),
  ],
  [
    "pull config cut once before an answer",
    twist("config", (request, response, count) => (count === 1 ? cut(request, response, 1) : false)),
  ],
  ["pull manifest garbage instead of http", twist("manifest", (request) => void request.socket.end("garbage\r\n\r\n"))],
  ["pull ping garbage instead of http", twist("ping", (request) => void request.socket.end("garbage\r\n\r\n"))],
  [
    "pull manifest half headers",
    twist("manifest", (request) => void request.socket.end("HTTP/1.1 200 OK\r\nContent-Le")),
  ],
  [
    "pull manifest endless header",
    twist("manifest", (request) => void request.socket.end(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(2 << 20)}\r\n\r\n`)),
  ],
  [
    "pull manifest half body",
    twist(
      "get",
      (request) =>
        void request.socket.end(
          "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.distribution.manifest.v2+json\r\nContent-Length: 500\r\n\r\n{",
        ),
    ),
  ],
  [
    "pull config half body",
    twist("config", (request) => void request.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")),
  ],
  [
    "pull layer half body",
    twist("layer", (request) => void request.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")),
  ],
  [
    "pull layer broken chunk",
    twist("layer", (request) => void request.socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")),
  ],
  [
    "pull layer broken chunk end",
    twist(
      "layer",
      (request) => void request.socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"),
    ),
  ],
  [
    "pull layer reset in the middle",
    twist(
      "layer",
      (request, response) =>
        void response
          .writeHead(200, { "content-length": 500 })
          .write("{", () => setTimeout(() => request.socket.resetAndDestroy(), 100)),
    ),
  ],
  [
    "pull layer two lengths",
    twist(
      "layer",
      (request) => void request.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
    ),
  ],
  [
    "pull layer negative length",
    twist("layer", (request) => void request.socket.end("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabcdef")),
  ],
];

/** The bytes that the registry would have sent, changed. */
const changed =
  (
    part: Part,
    change: (
      bytes: Buffer,
      count: number,
    ) => { bytes: Buffer; headers?: Record<string, string | number>; status?: number; method?: string } | undefined,
  ): ((stage: Stage) => Promise<unknown>) =>
  async (stage) => {
    const registry = await stage.registry();
    const image = registry.addImage("1", [stage.content("a", 3000), stage.content("b")]);
    rig(registry, image, part, (request, response, count) => {
      const name = request.url?.split("/").at(-1) ?? "";
      const bytes = registry.blobs.get(name) ?? registry.manifests.get(name)?.bytes ?? Buffer.alloc(0);
      const made = change(bytes, count);
      if (made === undefined) return false;
      const headers = {
        ...(part === "get" || part === "manifest" ? { "content-type": registry.manifests.get(name)?.type } : {}),
        "content-length": made.bytes.length,
        ...made.headers,
      };
      response.writeHead(
        made.status ?? 200,
        Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined && value !== "")),
      );
      response.end(request.method === "HEAD" ? undefined : made.bytes);
      return true;
    });
    const seen = await stage.pull(`${registry.address}/${stage.word}:1`);
    return { seen, requests: summary(registry), id: await stage.id(`${registry.address}/${stage.word}:1`) };
  };

const content: Case[] = [
  [
    "pull layer other bytes of the same length",
    changed("layer", (bytes) => ({ bytes: Buffer.alloc(bytes.length, 1) })),
  ],
  ["pull layer a byte more", changed("layer", (bytes) => ({ bytes: Buffer.concat([bytes, Buffer.from("x")]) }))],
  ["pull layer a byte less", changed("layer", (bytes) => ({ bytes: bytes.subarray(0, -1) }))],
  ["pull layer empty", changed("layer", () => ({ bytes: Buffer.alloc(0) }))],
  ["pull layer empty once", changed("layer", (_, count) => (count === 1 ? { bytes: Buffer.alloc(0) } : undefined))],
  [
    "pull layer wrong once",
    changed("layer", (bytes, count) => (count === 1 ? { bytes: Buffer.alloc(bytes.length, 1) } : undefined)),
  ],
  [
    "pull layer chunked",
    changed("layer", (bytes) => ({
      bytes,
      headers: { "transfer-encoding": "chunked", "content-length": undefined as never },
    })),
  ],
  ["pull layer 206 without range", changed("layer", (bytes) => ({ bytes, status: 206 }))],
  ["pull layer 201", changed("layer", (bytes) => ({ bytes, status: 201 }))],
  [
    "pull layer gzip content-encoding",
    changed("layer", (bytes) => ({ bytes: gzipSync(bytes), headers: { "content-encoding": "gzip" } })),
  ],
  [
    "pull layer false content-encoding",
    changed("layer", (bytes) => ({ bytes, headers: { "content-encoding": "gzip" } })),
  ],
  [
    "pull config other bytes",
    changed("config", (bytes) => ({ bytes: Buffer.from(bytes.toString().replace("amd64", "arm64")) })),
  ],
  ["pull config empty", changed("config", () => ({ bytes: Buffer.alloc(0) }))],
  [
    "pull config gzip content-encoding",
    changed("config", (bytes) => ({ bytes: gzipSync(bytes), headers: { "content-encoding": "gzip" } })),
  ],
  [
    "pull config chunked",
    changed("config", (bytes) => ({
      bytes,
      headers: { "transfer-encoding": "chunked", "content-length": undefined as never },
    })),
  ],
  ["pull manifest other bytes", changed("get", (bytes) => ({ bytes: Buffer.from(`${bytes} `) }))],
  ["pull manifest empty", changed("get", () => ({ bytes: Buffer.alloc(0) }))],
  ["pull manifest not json", changed("get", () => ({ bytes: Buffer.from("hello") }))],
  ["pull manifest null", changed("get", () => ({ bytes: Buffer.from("null") }))],
  ["pull manifest list", changed("get", () => ({ bytes: Buffer.from("[]") }))],
  [
    "pull manifest gzip content-encoding",
    changed("get", (bytes) => ({ bytes: gzipSync(bytes), headers: { "content-encoding": "gzip" } })),
  ],
  [
    "pull manifest chunked",
    changed("get", (bytes) => ({
      bytes,
      headers: { "transfer-encoding": "chunked", "content-length": undefined as never },
    })),
  ],
  [
    "pull manifest wrong digest header",
    changed("manifest", (bytes) => ({ bytes, headers: { "docker-content-digest": digestOf("x") } })),
  ],
  [
    "pull manifest broken digest header",
    changed("manifest", (bytes) => ({ bytes, headers: { "docker-content-digest": "sha256:zz" } })),
  ],
  ["pull manifest no digest header", changed("manifest", (bytes) => ({ bytes }))],
  [
    "pull manifest md5 digest header",
    changed("manifest", (bytes) => ({
      bytes,
      headers: { "docker-content-digest": "md5:d41d8cd98f00b204e9800998ecf8427e" },
    })),
  ],
  [
    "pull manifest head wrong length",
    changed("head", (bytes) => ({
      bytes: Buffer.concat([bytes, bytes]),
      headers: {
        "docker-content-digest": digestOf(bytes),
        "content-type": "application/vnd.docker.distribution.manifest.v2+json",
      },
    })),
  ],
  [
    "pull manifest head no content type",
    changed("head", (bytes) => ({ bytes, headers: { "docker-content-digest": digestOf(bytes) } })),
  ],
  [
    "pull manifest head no length",
    changed("head", (bytes) => ({
      bytes,
      headers: {
        "docker-content-digest": digestOf(bytes),
        "content-type": "application/vnd.docker.distribution.manifest.v2+json",
        "content-length": undefined as never,
        "transfer-encoding": "chunked",
      },
    })),
  ],
  ...[
    "text/plain",
    "application/json",
    "application/octet-stream",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8",
    "Application/Vnd.Docker.Distribution.Manifest.V2+Json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/x; =",
    "",
  ].flatMap((type): Case[] => [
    [
      `pull manifest content type ${type || "none"}`,
      changed("manifest", (bytes) => ({
        bytes,
        headers: { "content-type": type, "docker-content-digest": digestOf(bytes) },
      })),
    ],
    [
      `pull manifest get content type ${type || "none"}`,
      changed("get", (bytes) => ({
        bytes,
        headers: { "content-type": type, "docker-content-digest": digestOf(bytes) },
      })),
    ],
  ]),
];

export const wireCases: readonly Case[] = [...broken, ...content];
