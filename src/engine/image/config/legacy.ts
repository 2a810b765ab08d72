import { digestOf } from "#registry";
import type { Image } from "../resolve.ts";
import { emptyContainerConfig } from "./config.ts";
import { encodeContainerConfig, goJson } from "./json.ts";

const epoch = "1970-01-01T00:00:00Z";

/**
 * The configs that engines before 1.10 read from an archive, one for each layer, each with an id made from its layer and
 * its parent (moby image/v1, CreateID). moby still writes them, and so their blobs belong to the archive.
 */
export function legacyConfigs({ config, chainIds }: Image): string[] {
  const texts: string[] = [];
  let parent: string | undefined;
  for (const [index, chainId] of chainIds.entries()) {
    const isTop = index === chainIds.length - 1;
    const fields = isTop
      ? {
          comment: filled(config.comment),
          created: config.created,
          container: filled(config.container),
          container_config: encodeContainerConfig(config.containerConfig),
          docker_version: filled(config.dockerVersion),
          author: filled(config.author),
          config: encodeContainerConfig(config.config),
          architecture: filled(config.architecture),
          variant: filled(config.variant),
          os: filled(config.os),
        }
      : { created: epoch, container_config: encodeContainerConfig(emptyContainerConfig()) };
    const id = legacyId({ ...fields, layer_id: chainId, ...(parent === undefined ? {} : { parent }) });
    const parentId = parent?.slice("sha256:".length);
    texts.push(goJson({ id: id.slice("sha256:".length), parent: parentId, ...fields, os: filled(config.os) }));
    parent = id;
  }
  return texts;
}

function legacyId(fields: object): string {
  return digestOf(goJson(Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)))));
}

const filled = (text: string): string | undefined => (text === "" ? undefined : text);
