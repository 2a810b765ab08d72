import type { ContainerConfig, HealthConfig } from "#api-schema/container-config";
import { EngineError, messageOf } from "#base/errors";
import { type Digest, isDigest } from "#base/ids";
import { unmarshalJson } from "#base/json";
import { hostArchitecture, type Platform } from "#registry";
import { Fields } from "../../fields.ts";

/** The config blob of an image (OCI image spec, config.md, with Docker's own fields), every field with Go's zero value. */
export interface ImageConfig {
  readonly created: string | null;
  readonly author: string;
  readonly comment: string;
  /** The container and the engine that it was committed from. */
  readonly container: string;
  readonly containerConfig: ContainerConfig;
  readonly dockerVersion: string;
  readonly architecture: string;
  readonly variant: string;
  readonly os: string;
  readonly osVersion: string;
  readonly osFeatures: readonly string[];
  readonly config: ContainerConfig;
  readonly rootfs: { readonly type: string; readonly diffIds: readonly Digest[] };
  readonly history: readonly HistoryEntry[];
}

export interface HistoryEntry {
  readonly created: string | null;
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  readonly isEmptyLayer: boolean;
}

export const platformOf = (image: ImageConfig): Platform => ({
  os: image.os,
  architecture: image.architecture,
  ...(image.variant === "" ? {} : { variant: image.variant }),
  ...(image.osVersion === "" ? {} : { osVersion: image.osVersion }),
});

/** Reads a config blob as Go reads it: keys in any case, null for nothing, unknown fields ignored. What it says is data, never an order. */
export function parseImageConfig(json: string, noRootfs = "invalid image JSON, no RootFS key"): ImageConfig {
  const fields = new Fields(parseConfigJson(json), "Image", "image.Image");
  if (fields.isNull("rootfs")) throw invalid(noRootfs);
  const rootfs = fields.object("rootfs", "image.RootFS");
  const diffIds = rootfs.list("diff_ids", "[]layer.DiffID").map((value) => {
    if (typeof value === "string" && isDigest(value)) return value;
    throw invalid(`invalid diffID in image configuration: ${JSON.stringify(value)}`);
  });
  const history = fields.objects("history", "image.History").map(parseHistory);
  if (history.filter((entry) => !entry.isEmptyLayer).length > diffIds.length) {
    throw invalid("too many non-empty layers in History section");
  }
  return {
    created: fields.time("created"),
    author: fields.text("author"),
    comment: fields.text("comment"),
    container: fields.text("container"),
    containerConfig: parseContainerConfig(fields.object("container_config", "container.Config")),
    dockerVersion: fields.text("docker_version"),
    architecture: fields.text("architecture"),
    variant: fields.text("variant"),
    os: fields.text("os"),
    osVersion: fields.text("os.version"),
    osFeatures: fields.texts("os.features") ?? [],
    config: parseContainerConfig(fields.object("config", "container.Config")),
    rootfs: { type: rootfs.text("type"), diffIds },
    history,
  };
}

const parseHistory = (fields: Fields): HistoryEntry => ({
  created: fields.time("created"),
  createdBy: fields.text("created_by"),
  author: fields.text("author"),
  comment: fields.text("comment"),
  isEmptyLayer: fields.flag("empty_layer"),
});

export function parseContainerConfig(fields: Fields): ContainerConfig {
  return {
    Hostname: fields.text("Hostname"),
    Domainname: fields.text("Domainname"),
    User: fields.text("User"),
    AttachStdin: fields.flag("AttachStdin"),
    AttachStdout: fields.flag("AttachStdout"),
    AttachStderr: fields.flag("AttachStderr"),
    ExposedPorts: fields.set("ExposedPorts", "nat.PortSet"),
    Tty: fields.flag("Tty"),
    OpenStdin: fields.flag("OpenStdin"),
    StdinOnce: fields.flag("StdinOnce"),
    Env: fields.texts("Env"),
    Cmd: fields.words("Cmd"),
    Healthcheck: fields.isNull("Healthcheck")
      ? null
      : parseHealthcheck(fields.object("Healthcheck", "v1.HealthcheckConfig")),
    ArgsEscaped: fields.flag("ArgsEscaped"),
    Image: fields.text("Image"),
    Volumes: fields.set("Volumes", "map[string]struct {}"),
    WorkingDir: fields.text("WorkingDir"),
    Entrypoint: fields.words("Entrypoint"),
    NetworkDisabled: fields.flag("NetworkDisabled"),
    MacAddress: fields.text("MacAddress"),
    OnBuild: fields.texts("OnBuild"),
    Labels: fields.map("Labels"),
    StopSignal: fields.text("StopSignal"),
    StopTimeout: fields.isNull("StopTimeout") ? null : fields.number("StopTimeout"),
    Shell: fields.words("Shell"),
  };
}

const parseHealthcheck = (fields: Fields): HealthConfig => ({
  Test: fields.texts("Test"),
  Interval: fields.number("Interval", "time.Duration"),
  Timeout: fields.number("Timeout", "time.Duration"),
  StartPeriod: fields.number("StartPeriod", "time.Duration"),
  StartInterval: fields.number("StartInterval", "time.Duration"),
  Retries: fields.number("Retries"),
});

export const emptyContainerConfig = (): ContainerConfig => parseContainerConfig(new Fields({}, "", ""));

export function parseConfigJson(json: string): unknown {
  try {
    return unmarshalJson(json);
  } catch (cause) {
    throw new EngineError("invalidParameter", messageOf(cause), { cause });
  }
}

/** Where an old image says nothing, it is of the host's kind (moby image/image.go). */
export const architectureOf = (image: ImageConfig): string => image.architecture || hostArchitecture;
export const systemOf = (image: ImageConfig): string => image.os || "linux";

const invalid = (message: string) => new EngineError("invalidParameter", message);
