import type { ImageInspect } from "#api-schema/image";
import { zeroTime } from "#base/clock";
import { familiarReference, type Platform } from "#registry";
import { type ImageConfig, systemOf } from "./config/config.ts";
import type { ImageParts } from "./parts.ts";
import { getImage, namesOf } from "./resolve.ts";

/** `docker image inspect` (moby daemon/images/image_inspect.go). */
export function inspectImage(parts: ImageParts, name: string, platform?: Platform): ImageInspect {
  const { id, record, config, chainIds } = getImage(parts, name, platform);
  const names = namesOf(parts, id);
  const top = chainIds.at(-1);
  const tags = names.filter((ref) => ref.tag !== undefined && ref.digest === undefined);
  return {
    Id: id,
    RepoTags: tags.map(familiarReference),
    RepoDigests: names.filter((ref) => ref.digest !== undefined).map(familiarReference),
    Parent: record.parent ?? "",
    Comment: config.comment || (config.history.at(-1)?.comment ?? ""),
    Created: config.created ?? "",
    Container: config.container,
    ContainerConfig: config.containerConfig,
    DockerVersion: config.dockerVersion,
    Author: config.author,
    Architecture: config.architecture,
    Variant: config.variant,
    Os: systemOf(config),
    OsVersion: config.osVersion,
    Size: record.sizeBytes,
    VirtualSize: 0,
    GraphDriver: { Data: top === undefined ? null : { ...parts.storage.layers.metadata(top) }, Name: "overlay2" },
    RootFS: { Type: config.rootfs.type, Layers: [...config.rootfs.diffIds] },
    Metadata: { LastTagTime: record.lastTaggedAt ?? zeroTime },
    Config: shownConfig(config),
  };
}

function shownConfig({ config }: ImageConfig): ImageInspect["Config"] {
  return {
    ArgsEscaped: config.ArgsEscaped,
    Cmd: filled(config.Cmd),
    Entrypoint: filled(config.Entrypoint),
    Env: filled(config.Env),
    ExposedPorts: config.ExposedPorts,
    Healthcheck: config.Healthcheck,
    Labels: filled(config.Labels),
    OnBuild: filled(config.OnBuild),
    Shell: config.Shell,
    StopSignal: config.StopSignal,
    User: config.User,
    Volumes: filled(config.Volumes),
    WorkingDir: config.WorkingDir,
  };
}

/** The OCI type that moby goes through leaves empty lists out, and nulls take their place. */
const filled = <T extends object>(value: T | null): T | null =>
  value === null || Object.keys(value).length === 0 ? null : value;
