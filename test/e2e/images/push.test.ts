import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { type ImageRig, openImages, shown, tag } from "./rig.ts";
import { bodyOf, fail, RogueRegistry } from "./rogue.ts";

interface Pushed {
  readonly said: readonly string[];
  readonly target: RogueRegistry;
}

/** Pulls an image of one layer, and pushes it to a registry that is told how to misbehave. */
async function pushed(
  rig: ImageRig,
  target: RogueRegistry,
  misbehave: (request: IncomingMessage, response: ServerResponse, count: number) => boolean,
  bytes = 1000,
): Promise<Pushed> {
  await using source = await RogueRegistry.start();
  source.addImage("1", [randomBytes(bytes)]);
  await rig.pull(`${source.address}/x:1`);
  rig.images.tag(`${source.address}/x:1`, tag(`${target.address}/x:2`));
  let count = 0;
  target.hook = (request, response) => misbehave(request, response, ++count);
  return { said: shown(await rig.push(`${target.address}/x:2`)), target };
}

const isDone = ({ said, target }: Pushed): void => {
  assert.match(said.at(-1) ?? "", /^2: digest: sha256:[0-9a-f]{64} size: \d+$/, said.join("\n"));
  assert.deepEqual(target.tags, ["2"]);
};

const isUpload = ({ method, url = "" }: IncomingMessage, wanted: string): boolean =>
  method === wanted && url.includes("/blobs/");

test("push: what is known beforehand goes in one request, what is compressed on its way in as many bytes as it takes", async () => {
  await using rig = await openImages();
  await using kept = await RogueRegistry.start();
  const lengths: (string | undefined)[] = [];
  const watch = (request: IncomingMessage) => {
    if (isUpload(request, "PUT")) lengths.push(request.headers["content-length"]);
    return false;
  };
  isDone(await pushed(rig, kept, watch));
  assert.equal(kept.count(/^PATCH/), 0);
  assert.ok(lengths.length === 2 && lengths.every((length) => Number(length) > 0), String(lengths));

  await using made = await RogueRegistry.start();
  await rig.importBusybox(`${made.address}/made:2`);
  isDone({ said: shown(await rig.push(`${made.address}/made:2`)), target: made });
  assert.equal(made.count(/^PATCH/), 1);
});

for (const [form, locationOf] of [
  ["relative", (_: string, path: string) => path],
  ["absolute", (own: string, path: string) => `http://${own}${path}`],
  ["with a query", (_: string, path: string) => `${path}?_state=a%2Fb%3D&x=1`],
] as const) {
  test(`push: an upload's Location may be ${form}`, async () => {
    await using rig = await openImages();
    await using target = await RogueRegistry.start();
    let begun = 0;
    const outcome = await pushed(rig, target, (request, response) => {
      if (!isUpload(request, "POST")) return false;
      const id = `upload${++begun}`;
      target.uploads.set(id, Buffer.alloc(0));
      response.writeHead(202, { location: locationOf(target.address, `${request.url}${id}`) }).end();
      return true;
    });
    isDone(outcome);
    if (form === "with a query") assert.equal(target.count(/^PUT .*_state=a%2Fb%3D&x=1&digest=sha256%3A/), 2);
  });
}

test("push: bytes go where the registry points, the password does not", async () => {
  await using rig = await openImages();
  await using target = await RogueRegistry.start();
  await using store = await RogueRegistry.start();
  await rig.importBusybox(`${target.address}/x:2`);
  target.hook = (request, response) => {
    if (request.headers.authorization === undefined) {
      response.setHeader("www-authenticate", 'Basic realm="r"');
      fail(response, 401, "UNAUTHORIZED", "authentication required");
      return true;
    }
    if (!isUpload(request, "POST")) return false;
    store.uploads.set("elsewhere", Buffer.alloc(0));
    response.writeHead(202, { location: `http://${store.address}/v2/x/blobs/uploads/elsewhere` }).end();
    return true;
  };
  await rig.push(`${target.address}/x:2`, { username: "u", password: "p" });
  assert.ok(store.count(/^PATCH/) > 0);
  assert.ok(store.requests.every(({ authorization }) => authorization === ""));
});

for (const [what, misbehave, retries] of [
  [
    "is cut off",
    (request: IncomingMessage) => void request.once("data", () => request.socket.destroy()),
    ["Retrying in 5 seconds"],
  ],
  [
    "meets a 503",
    (_: IncomingMessage, response: ServerResponse) => void response.writeHead(503).end(),
    ["Retrying in 5 seconds"],
  ],
  [
    "meets a 429 with Retry-After",
    (_: IncomingMessage, response: ServerResponse) => {
      response.setHeader("retry-after", "2");
      fail(response, 429, "TOOMANYREQUESTS", "slow down");
    },
    ["Retrying in 2 seconds"],
  ],
] as const) {
  test(`push: an upload that ${what} is begun again`, async () => {
    await using rig = await openImages();
    await using target = await RogueRegistry.start();
    let isFirst = true;
    const outcome = await pushed(
      rig,
      target,
      (request, response) => {
        if (!isFirst || !isUpload(request, "PUT")) return false;
        isFirst = false;
        misbehave(request, response);
        return true;
      },
      2_000_000,
    );
    isDone(outcome);
    const told = outcome.said.filter((line) => / Retrying in /.test(line)).map((line) => line.slice(14));
    assert.deepEqual(told.slice(0, 1), retries);
  });
}

test("push: what is denied half-way is told at once", async () => {
  await using rig = await openImages();
  await using target = await RogueRegistry.start();
  const { said } = await pushed(
    rig,
    target,
    (request, response) => {
      if (!isUpload(request, "PUT")) return false;
      request.once("data", () => fail(response, 403, "DENIED", "no more room"));
      return true;
    },
    2_000_000,
  );
  assert.equal(said.at(-1), "denied: no more room");
  assert.equal(target.count(/^PUT .*blobs/), 1);
});

for (const status of [202, 404, 401, 500]) {
  test(`push: a mount that is answered ${status} becomes an upload`, async () => {
    await using rig = await openImages();
    await using registry = await RogueRegistry.start();
    const { layers } = registry.addImage("1", [randomBytes(1000)]);
    await rig.pull(`${registry.address}/sister:1`);
    rig.images.tag(`${registry.address}/sister:1`, tag(`${registry.address}/x:2`));
    let isThere = false;
    registry.hook = (request, response) => {
      const { method, url = "" } = request;
      if (method === "PUT" && url.includes("/blobs/")) isThere = true;
      if (!isThere && method === "HEAD" && url.endsWith(`/x/blobs/${layers[0]}`)) {
        response.writeHead(404).end();
        return true;
      }
      if (!url.includes("mount=")) return false;
      registry.uploads.set("instead", Buffer.alloc(0));
      response.writeHead(status, { location: "/v2/x/blobs/uploads/instead" }).end();
      return true;
    };
    const said = shown(await rig.push(`${registry.address}/x:2`));
    assert.ok(
      said.some((line) => line.endsWith(": Pushed")),
      said.join("\n"),
    );
    assert.equal(registry.count(/POST .*mount=/), 1);
    assert.equal(registry.count(/POST .*uploads\/$/), status === 202 ? 0 : 1);
  });
}

test("push: a registry that does not say what it has gets the layer", async () => {
  await using rig = await openImages();
  await using target = await RogueRegistry.start();
  const outcome = await pushed(rig, target, ({ method, url = "" }, response) => {
    if (method !== "HEAD" || target.count(/^PUT .*blobs/) > 0 || !url.includes("/blobs/")) return false;
    response.writeHead(500).end();
    return true;
  });
  isDone(outcome);
});

test("push: a manifest goes where it is redirected on the same host, and a redirect to nowhere is no success", async () => {
  await using rig = await openImages();
  await using target = await RogueRegistry.start();
  const outcome = await pushed(rig, target, ({ method, url = "" }, response) => {
    if (method !== "PUT" || !url.endsWith("/x/manifests/2")) return false;
    response.writeHead(307, { location: "/v2/moved/manifests/2" }).end();
    return true;
  });
  isDone(outcome);
  target.manifests.clear();
  target.hook = ({ method, url = "" }, response) => {
    if (method !== "PUT" || !url.includes("/manifests/")) return false;
    response.writeHead(307).end();
    return true;
  };
  const said = shown(await rig.push(`${target.address}/x:2`));
  assert.equal(said.at(-1), "received unexpected HTTP status: 307 Temporary Redirect");
});

test("push: what is taken without being created is looked for", async () => {
  await using rig = await openImages();
  await using target = await RogueRegistry.start();
  const forgetful = await pushed(rig, target, (request, response) => {
    if (!isUpload(request, "PUT")) return false;
    request.on("end", () => response.writeHead(204).end()).resume();
    return true;
  });
  assert.equal(forgetful.said.at(-1), "unknown blob");
  target.hook = ({ method, url = "" }, response) => {
    if (method !== "PUT" || !url.includes("/manifests/")) return false;
    response.writeHead(200).end();
    return true;
  };
  assert.equal(shown(await rig.push(`${target.address}/x:2`)).at(-1), "invalid checksum digest format");
});

test("push: all tags, each with its line, and what cannot be pushed in dockerd's words", async () => {
  await using rig = await openImages();
  await using source = await RogueRegistry.start();
  await using target = await RogueRegistry.start();
  for (const name of ["c", "a", "b"]) {
    source.addImage(name, [randomBytes(100)]);
    await rig.pull(`${source.address}/x:${name}`);
    rig.images.tag(`${source.address}/x:${name}`, tag(`${target.address}/x:${name}`));
  }
  const said = shown(await rig.push(`${target.address}/x`));
  const digests = said.filter((line) => line.includes(": digest: ")).map((line) => line[0]);
  assert.deepEqual(digests, ["a", "b", "c"]);
  const refused = async (name: string) => shown(await rig.push(name)).at(-1);
  assert.equal(await refused(`${target.address}/x:none`), `tag does not exist: ${target.address}/x:none`);
  assert.equal(
    await refused(`${target.address}/y:1`),
    `An image does not exist locally with the tag: ${target.address}/y`,
  );
  assert.equal(await refused(`${target.address}/x@sha256:${"0".repeat(64)}`), "cannot push a digest reference");
});

test("push: no more uploads at once than max-concurrent-uploads", async () => {
  await using rig = await openImages();
  await using source = await RogueRegistry.start();
  await using target = await RogueRegistry.start();
  source.addImage(
    "1",
    Array.from({ length: 8 }, () => randomBytes(500)),
  );
  await rig.pull(`${source.address}/x:1`);
  rig.images.tag(`${source.address}/x:1`, tag(`${target.address}/x:2`));
  let [now, most] = [0, 0];
  const full = Promise.withResolvers<void>();
  target.hook = (request, response) => {
    if (!isUpload(request, "PUT")) return false;
    most = Math.max(most, ++now);
    if (now === 5) full.resolve();
    const id = request.url?.split("/").at(-1)?.split("?")[0] ?? "";
    void bodyOf(request).then(async (bytes) => {
      await full.promise;
      now--;
      target.uploads.delete(id);
      response.writeHead(201, { "docker-content-digest": target.addBlob(bytes) }).end();
    });
    return true;
  };
  const said = shown(await rig.push(`${target.address}/x:2`));
  assert.match(said.at(-1) ?? "", /^2: digest/, said.join("\n"));
  assert.equal(most, 5);
  assert.equal(said.filter((line) => line.endsWith(": Waiting")).length, 3);
});
