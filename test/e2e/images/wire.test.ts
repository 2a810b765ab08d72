import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { must } from "#test/command";
import { type ImageRig, openImages, shown } from "./rig.ts";
import { digestOf, fail, type RogueImage, RogueRegistry } from "./rogue.ts";

type Part = "manifest" | "config" | "layer";

const isPart = (part: Part, image: RogueImage, { method, url = "" }: IncomingMessage): boolean =>
  part === "manifest"
    ? method === "GET" && url.includes("/manifests/sha256:")
    : url.endsWith((part === "config" ? image.configDigest : image.layers[0]) ?? "");

/** What a pull says when one part of the image is answered in another way. */
async function twisted(
  rig: ImageRig,
  part: Part,
  answer: (bytes: Buffer, response: ServerResponse, request: IncomingMessage) => void,
): Promise<string> {
  await using registry = await RogueRegistry.start();
  const image = registry.addImage("1", [randomBytes(5000)]);
  registry.hook = (request, response) => {
    if (!isPart(part, image, request)) return false;
    const name = request.url?.split("/").at(-1) ?? "";
    const manifest = registry.manifests.get(name);
    if (manifest !== undefined) response.setHeader("content-type", manifest.type);
    answer(manifest?.bytes ?? registry.blobs.get(name) ?? Buffer.alloc(0), response, request);
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x:1`));
  return (said.at(-1) ?? "").replaceAll(registry.address, "R").replace(/[0-9a-f]{64}/, "DIGEST");
}

const done = "Status: Downloaded newer image for R/x:1";

for (const part of ["manifest", "config", "layer"] as const) {
  test(`wire: a ${part} that is compressed for the way only is what it was`, async () => {
    await using rig = await openImages();
    const compressed = (bytes: Buffer, response: ServerResponse) =>
      void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(bytes));
    assert.equal(await twisted(rig, part, compressed), done);
  });

  test(`wire: a ${part} without a length is read to its end`, async () => {
    await using rig = await openImages();
    const chunked = (bytes: Buffer, response: ServerResponse) => {
      response.write(bytes.subarray(0, 10));
      response.end(bytes.subarray(10));
    };
    assert.equal(await twisted(rig, part, chunked), done);
  });

  for (const status of [301, 302, 303, 307, 308]) {
    test(`wire: a ${part} is fetched from where a ${status} points`, async () => {
      await using rig = await openImages();
      await using other = await RogueRegistry.start();
      const moved = (bytes: Buffer, response: ServerResponse) => {
        const type = String(response.getHeader("content-type") ?? "application/octet-stream");
        other.hook = (_, there) => void there.writeHead(200, { "content-type": type }).end(bytes) === undefined;
        response.writeHead(status, { location: `http://${other.address}/there` }).end();
      };
      assert.equal(await twisted(rig, part, moved), done);
    });
  }

  for (const [location, why] of [
    ["ftp://127.0.0.1/x", 'unsupported protocol scheme "ftp"'],
    ["file:///etc/passwd", 'unsupported protocol scheme "file"'],
    ["http://[::1", 'failed to parse Location header "http://[::1": parse "http://[::1": invalid URL'],
    ["http://127.0.0.1:1/x", "dial tcp 127.0.0.1:1: connect: connection refused"],
    ["", "received unexpected HTTP status: 302 Found"],
  ] as const) {
    test(`wire: a ${part} that is redirected to ${location || "nowhere"} is told in Docker's words`, async () => {
      await using rig = await openImages();
      const lost = (_: Buffer, response: ServerResponse) =>
        void response.writeHead(302, location === "" ? {} : { location }).end();
      assert.ok((await twisted(rig, part, lost)).endsWith(why));
    });
  }
}

const garbage: readonly (readonly [what: string, part: Part, bytes: string, said: RegExp])[] = [
  ["no HTTP", "manifest", "garbage\r\n\r\n", /broken: malformed HTTP response "garbage"$/],
  ["a cut line", "manifest", "", /: EOF$/],
  ["a cut body", "config", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", /attempts=6: unexpected EOF$/],
  ["a cut body", "layer", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", /^unexpected EOF$/],
  [
    "a chunk of no size",
    "layer",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    /^invalid byte in chunk length$/,
  ],
  ["a cut chunk", "layer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", /^unexpected EOF$/],
];
for (const [what, part, bytes, said] of garbage) {
  test(`wire: ${what} instead of a ${part}`, async () => {
    await using rig = await openImages();
    assert.match(await twisted(rig, part, (_, __, request) => void request.socket.end(bytes)), said);
    assert.equal(rig.images.count, 0);
  });
}

const manifests: readonly (readonly [
  what: string,
  headers: (bytes: Buffer) => Record<string, string>,
  said: RegExp,
])[] = [
  ["no type", () => ({}), /^missing or empty Content-Type header$/],
  [
    "the digest of another",
    (bytes) => ({ "docker-content-digest": digestOf(`${bytes}x`) }),
    /^manifest verification failed for digest /,
  ],
  ["a digest that is none", () => ({ "docker-content-digest": "sha256:zz" }), /^invalid checksum digest length$/],
  ["a type that is no manifest's", () => ({ "content-type": "text/plain" }), /^missing signature key$/],
  [
    "the type of an index",
    () => ({ "content-type": "application/vnd.oci.image.index.v1+json" }),
    /^index: expected index but found manifest$/,
  ],
];
for (const [what, headers, said] of manifests) {
  test(`wire: a manifest with ${what} is refused`, async () => {
    await using registry = await RogueRegistry.start();
    await using rig = await openImages();
    registry.addImage("1", [randomBytes(10)]);
    registry.hook = ({ method, url = "" }, response) => {
      const manifest = registry.manifests.get("1");
      if (manifest === undefined || !url.includes("/manifests/")) return false;
      const right =
        what === "no type" ? {} : { "content-type": manifest.type, "docker-content-digest": digestOf(manifest.bytes) };
      response.writeHead(200, { "content-length": manifest.bytes.length, ...right, ...headers(manifest.bytes) });
      response.end(method === "HEAD" ? undefined : manifest.bytes);
      return true;
    };
    assert.match(shown(await rig.pull(`${registry.address}/x:1`)).at(-1) ?? "", said);
  });
}

test("wire: all tags, page by page, in the registry's order; pages that lead in a circle are noticed", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  for (const name of ["c", "a", "b"]) registry.addImage(name, [randomBytes(10)]);
  let isCircle = false;
  registry.hook = ({ url = "" }, response) => {
    const [path, query = ""] = url.split("?");
    if (path !== "/v2/x/tags/list") return false;
    const pages: Record<string, readonly [string, string]> = {
      "": ["c", "<?last=c>"],
      "last=c": ["a", `<http://${registry.address}${path}?last=a>; rel="next"`],
      "last=a": ["b", isCircle ? `<${path}?last=c>; rel="next"` : ""],
    };
    const [name, link] = pages[query] ?? ["", ""];
    response.writeHead(200, link === "" ? {} : { link }).end(JSON.stringify({ tags: [name] }));
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x`));
  assert.deepEqual(
    said.filter((line) => line.includes("Pulling from")).map((line) => line[0]),
    ["c", "a", "b"],
  );
  assert.equal(said.at(-1), `Status: Downloaded newer image for ${registry.address}/x`);
  isCircle = true;
  assert.deepEqual(shown(await rig.pull(`${registry.address}/x`)), ["the pages of the tag list lead in a circle"]);
});

test("wire: a registry is reached by IPv6 too", async (context) => {
  const registry = await RogueRegistry.start(0, { host: "::1" }).catch(() => undefined);
  if (registry === undefined) return context.skip("no IPv6 on this machine");
  await using _ = registry;
  await using rig = await openImages();
  registry.addImage("1", [randomBytes(10)]);
  const name = `${registry.address}/x:1`;
  assert.match(name, /^\[::1\]:\d+\/x:1$/);
  assert.equal(shown(await rig.pull(name)).at(-1), `Status: Downloaded newer image for ${name}`);
});

test("wire: a certificate of certs.d opens a registry that asks for one", async () => {
  await using rig = await openImages();
  const file = (name: string) => join(rig.folder, name);
  const request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  await must([...request, "-addext", "subjectAltName=IP:0.0.0.0", "-keyout", file("key.pem"), "-out", file("ca.crt")]);
  const [key, cert] = [readFileSync(file("key.pem")), readFileSync(file("ca.crt"))];
  await using registry = await RogueRegistry.start(0, {
    tls: { key, cert, ca: cert, requestCert: true, rejectUnauthorized: true },
  });
  registry.addImage("1", [randomBytes(10)]);
  // It leads here as 127.0.0.1 does, and is not taken for granted.
  const host = registry.address.replace("127.0.0.1", "0.0.0.0");
  const certs = join(rig.folder, "certs.d", host);
  const pull = async () => shown(await rig.pull(`${host}/x:1`)).at(-1) ?? "";
  mkdirSync(certs, { recursive: true });
  copyFileSync(file("ca.crt"), join(certs, "client.cert"));
  assert.match(await pull(), /^missing key client.key for client certificate client.cert. CA certificates must use/);
  copyFileSync(file("key.pem"), join(certs, "client.key"));
  assert.match(await pull(), /x509: certificate signed by unknown authority$/);
  copyFileSync(file("ca.crt"), join(certs, "ca.crt"));
  assert.match(await pull(), /^Status: Downloaded newer image/);
});

test("wire: a name whose port is none is refused before anybody is asked", async () => {
  await using rig = await openImages();
  const [said = ""] = shown(await rig.pull("127.0.0.1:99999/x:1"));
  assert.match(said, /: dial tcp: address 99999: invalid port$/);
});

test("wire: no more downloads at once than max-concurrent-downloads", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage(
    "1",
    Array.from({ length: 6 }, () => randomBytes(500)),
  );
  let [now, most] = [0, 0];
  const full = Promise.withResolvers<void>();
  registry.hook = ({ url = "" }, response) => {
    const digest = image.layers.find((layer) => url.endsWith(layer));
    if (digest === undefined) return false;
    most = Math.max(most, ++now);
    if (now === 3) full.resolve();
    void full.promise.then(() => {
      now--;
      response.end(registry.blobs.get(digest));
    });
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x:1`));
  assert.match(said.at(-1) ?? "", /^Status: Downloaded/);
  assert.equal(most, 3);
  assert.equal(said.filter((line) => line.endsWith(": Waiting")).length, 3);
});

test("wire: when the last client leaves, a slow download ends", async () => {
  await using registry = await RogueRegistry.start();
  await using rig = await openImages();
  const image = registry.addImage("1", [randomBytes(5000)]);
  const leaving = new AbortController();
  const closed = Promise.withResolvers<void>();
  registry.hook = (request, response) => {
    if (!isPart("layer", image, request)) return false;
    response.writeHead(200, { "content-length": 5000 }).write("x");
    request.socket.once("close", () => closed.resolve());
    leaving.abort(new Error("client has gone"));
    return true;
  };
  const said = shown(await rig.pull(`${registry.address}/x:1`, { signal: leaving.signal }));
  assert.equal(said.at(-1), "client has gone");
  await closed.promise;
});

test("mirrors: one that fails in the middle, or lies, is left for the registry", async () => {
  await using mirror = await RogueRegistry.start();
  await using server = await RogueRegistry.start();
  const answers: readonly ((request: IncomingMessage, response: ServerResponse) => void)[] = [
    (_, response) => fail(response, 403, "DENIED", "not here"),
    (_, response) => void response.writeHead(500).end(),
    (_, response) => void response.end("wrong bytes"),
    (request) => void request.socket.destroy(),
  ];
  for (const part of ["manifest", "config", "layer"] as const) {
    for (const answer of answers) {
      await using rig = await openImages({ insecureRegistries: [mirror.address] });
      rig.writeHosts("registry.invalid", `server = "http://${server.address}"\n[host."http://${mirror.address}"]\n`);
      const contents = [randomBytes(100)];
      const image = mirror.addImage("1", contents);
      server.addImage("1", contents);
      mirror.hook = (request, response) => isPart(part, image, request) && answer(request, response) === undefined;
      const said = shown(await rig.pull("registry.invalid/x:1"));
      assert.equal(said.at(-1), "Status: Downloaded newer image for registry.invalid/x:1", said.join("\n"));
    }
  }
});
