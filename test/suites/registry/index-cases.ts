import { digestOf, type RogueImage, type RogueRegistry, types } from "../../e2e/images/rogue.ts";
import type { Case } from "./run.ts";
import type { Stage } from "./stage.ts";

export type Entry = readonly [platform: object | undefined, label: string, changes?: object];
const list = "application/vnd.docker.distribution.manifest.list.v2+json";

/** An index with an image for each entry, as `multi`. */
export function indexed(
  stage: Stage,
  registry: RogueRegistry,
  entries: readonly Entry[],
  type: string = types.index,
): readonly RogueImage[] {
  const images = entries.map(([platform, label]) =>
    registry.addImage(`only-${label}`, [stage.content(label)], {
      config: platform === undefined ? {} : { ...platform },
    }),
  );
  const manifests = entries.map(([platform, , changes], i) => ({
    mediaType: types.manifest,
    digest: images[i]?.manifest,
    size: registry.manifests.get(images[i]?.manifest ?? "")?.bytes.length,
    ...(platform === undefined ? {} : { platform }),
    ...changes,
  }));
  registry.addManifest("multi", { schemaVersion: 2, mediaType: type, manifests }, type);
  return images;
}

/** Which of the images was taken. */
export async function taken(
  stage: Stage,
  registry: RogueRegistry,
  images: readonly RogueImage[],
  entries: readonly Entry[],
  query: Record<string, string> = {},
) {
  const name = `${registry.address}/${stage.word}:multi`;
  const seen = await stage.pull(name, query);
  const id = await stage.id(name);
  return {
    said: seen.said,
    status: seen.status,
    taken: entries[images.findIndex((image) => image.configDigest === id)]?.[1] ?? id,
  };
}

export const at = (architecture: string, more: object = {}): object => ({ os: "linux", architecture, ...more });
const indexes: readonly (readonly [string, readonly Entry[], (string | undefined)?])[] = [
  [
    "amd64 levels",
    [
      [at("amd64"), "v1"],
      [at("amd64", { variant: "v2" }), "v2"],
      [at("amd64", { variant: "v3" }), "v3"],
      [at("amd64", { variant: "v4" }), "v4"],
    ],
  ],
  [
    "amd64 levels and a platform",
    [
      [at("amd64"), "v1"],
      [at("amd64", { variant: "v2" }), "v2"],
      [at("amd64", { variant: "v3" }), "v3"],
    ],
    "linux/amd64",
  ],
  [
    "amd64 v2 asked for",
    [
      [at("amd64"), "v1"],
      [at("amd64", { variant: "v3" }), "v3"],
    ],
    "linux/amd64/v2",
  ],
  ["amd64 v1 named", [[at("amd64", { variant: "v1" }), "v1"]]],
  [
    "arm v7",
    [
      [at("arm", { variant: "v5" }), "v5"],
      [at("arm", { variant: "v6" }), "v6"],
    ],
    "linux/arm/v7",
  ],
  [
    "arm without a variant",
    [
      [at("arm", { variant: "v5" }), "v5"],
      [at("arm", { variant: "v7" }), "v7"],
    ],
    "linux/arm",
  ],
  ["arm v6 from v7 alone", [[at("arm", { variant: "v7" }), "v7"]], "linux/arm/v6"],
  ["arm64 from arm", [[at("arm", { variant: "v7" }), "arm"]], "linux/arm64"],
  [
    "arm64 v8",
    [
      [at("arm64", { variant: "v8" }), "v8"],
      [at("arm64"), "none"],
    ],
    "linux/arm64",
  ],
  ["arm64 none", [[at("arm64"), "none"]], "linux/arm64/v8"],
  ["arm64 v9", [[at("arm64", { variant: "v8" }), "v8"]], "linux/arm64/v9"],
  ["386 for amd64", [[at("386"), "386"]]],
  [
    "386 before amd64",
    [
      [at("386"), "386"],
      [at("amd64"), "amd64"],
    ],
  ],
  [
    "windows versions",
    [
      [{ os: "windows", architecture: "amd64", "os.version": "10.0.17763.1" }, "win"],
      [at("amd64"), "linux"],
    ],
  ],
  ["windows alone", [[{ os: "windows", architecture: "amd64", "os.version": "10.0.17763.1" }, "win"]]],
  [
    "windows asked for",
    [[{ os: "windows", architecture: "amd64", "os.version": "10.0.17763.1" }, "win"]],
    "windows/amd64",
  ],
  [
    "os version on linux",
    [
      [at("amd64", { "os.version": "6.1" }), "versioned"],
      [at("amd64"), "plain"],
    ],
  ],
  ["os features", [[at("amd64", { "os.features": ["x"] }), "featured"]]],
  [
    "attestation first",
    [
      [
        { os: "unknown", architecture: "unknown" },
        "attestation",
        { annotations: { "vnd.docker.reference.type": "attestation-manifest" } },
      ],
      [at("amd64"), "image"],
    ],
  ],
  ["attestations alone", [[{ os: "unknown", architecture: "unknown" }, "attestation"]]],
  [
    "no platform",
    [
      [undefined, "none"],
      [at("amd64"), "amd64"],
    ],
  ],
  ["no platform alone", [[undefined, "none"]]],
  ["no platform alone, one asked for", [[undefined, "none"]], "linux/arm64"],
  ["empty platform", [[{}, "none"]]],
  ["none", []],
  [
    "two alike",
    [
      [at("amd64"), "first"],
      [at("amd64"), "second"],
    ],
  ],
  ["capitals", [[{ os: "Linux", architecture: "AMD64" }, "loud"]]],
  ["x86_64", [[at("x86_64"), "alias"]]],
  [
    "missing manifest",
    [
      [at("amd64"), "gone", { digest: digestOf("gone") }],
      [at("386"), "386"],
    ],
  ],
  ["wrong size", [[at("amd64"), "sized", { size: 1 }]]],
  [
    "unknown type",
    [
      [at("amd64"), "odd", { mediaType: "application/x-odd" }],
      [at("386"), "386"],
    ],
  ],
  ["artifact type", [[at("amd64"), "typed", { artifactType: "application/x-odd" }]]],
  ["urls and data", [[at("amd64"), "data", { urls: ["http://127.0.0.1:1/"], data: "e30=" }]]],
  ["other platform in the config", [[at("arm64"), "arm64", { platform: at("amd64") }]], "linux/amd64"],
];
const plain: Case[] = indexes.flatMap(([name, entries, platform]) =>
  [types.index, list].map(
    (type): Case => [
      `image index ${name} ${type === list ? "docker" : "oci"}`,
      async (stage) => {
        const registry = await stage.registry();
        const images = indexed(stage, registry, entries, type);
        return taken(stage, registry, images, entries, platform === undefined ? {} : { platform });
      },
    ],
  ),
);

const nested: Case[] = [
  [
    "image nested index",
    async (stage) => {
      const registry = await stage.registry();
      const entries: readonly Entry[] = [[at("amd64"), "a"]];
      const images = indexed(stage, registry, entries);
      const inner = [...registry.manifests].filter(
        ([key, { type }]) => key.startsWith("sha256") && type === types.index,
      )[0];
      registry.addManifest(
        "multi",
        {
          schemaVersion: 2,
          mediaType: types.index,
          manifests: [
            { mediaType: types.index, digest: inner?.[0], size: inner?.[1].bytes.length, platform: at("amd64") },
          ],
        },
        types.index,
      );
      return taken(stage, registry, images, entries);
    },
  ],
  [
    "image nested index without a match",
    async (stage) => {
      const registry = await stage.registry();
      const entries: readonly Entry[] = [[at("arm64"), "a"]];
      const images = indexed(stage, registry, entries);
      const inner = [...registry.manifests].filter(
        ([key, { type }]) => key.startsWith("sha256") && type === types.index,
      )[0];
      const right = registry.addImage("right", [stage.content("right")]);
      registry.addManifest(
        "multi",
        {
          schemaVersion: 2,
          mediaType: types.index,
          manifests: [
            { mediaType: types.index, digest: inner?.[0], size: inner?.[1].bytes.length, platform: at("amd64") },
            { mediaType: types.manifest, digest: right.manifest, size: 1, platform: at("386") },
          ],
        },
        types.index,
      );
      return taken(stage, registry, images, entries);
    },
  ],
];

export const indexCases: readonly Case[] = [...plain, ...nested];
