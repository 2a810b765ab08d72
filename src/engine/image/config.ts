import type { ContainerConfig, HealthConfig } from "#api-schema/container-config";
import { EngineError, messageOf } from "#base/errors";
import { type Digest, isDigest } from "#base/ids";
import { hostArchitecture, type Platform } from "#registry";

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
export function parseImageConfig(json: string): ImageConfig {
  const fields = new Fields(parseJson(json));
  if (fields.isNull("rootfs")) throw invalid("invalid image JSON, no RootFS key");
  const rootfs = fields.object("rootfs");
  const diffIds = rootfs.list("diff_ids").map((value) => {
    if (typeof value === "string" && isDigest(value)) return value;
    throw invalid(`invalid diffID in image configuration: ${JSON.stringify(value)}`);
  });
  const history = fields.list("history").map((entry) => parseHistory(new Fields(entry)));
  if (history.filter((entry) => !entry.isEmptyLayer).length > diffIds.length) {
    throw invalid("too many non-empty layers in History section");
  }
  return {
    created: fields.time("created"),
    author: fields.text("author"),
    comment: fields.text("comment"),
    container: fields.text("container"),
    containerConfig: parseContainerConfig(fields.object("container_config")),
    dockerVersion: fields.text("docker_version"),
    architecture: fields.text("architecture"),
    variant: fields.text("variant"),
    os: fields.text("os"),
    osVersion: fields.text("os.version"),
    osFeatures: fields.texts("os.features") ?? [],
    config: parseContainerConfig(fields.object("config")),
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

function parseContainerConfig(fields: Fields): ContainerConfig {
  return {
    Hostname: fields.text("Hostname"),
    Domainname: fields.text("Domainname"),
    User: fields.text("User"),
    AttachStdin: fields.flag("AttachStdin"),
    AttachStdout: fields.flag("AttachStdout"),
    AttachStderr: fields.flag("AttachStderr"),
    ExposedPorts: fields.set("ExposedPorts"),
    Tty: fields.flag("Tty"),
    OpenStdin: fields.flag("OpenStdin"),
    StdinOnce: fields.flag("StdinOnce"),
    Env: fields.texts("Env"),
    Cmd: fields.words("Cmd"),
    Healthcheck: fields.isNull("Healthcheck") ? null : parseHealthcheck(fields.object("Healthcheck")),
    ArgsEscaped: fields.flag("ArgsEscaped"),
    Image: fields.text("Image"),
    Volumes: fields.set("Volumes"),
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
  Interval: fields.number("Interval"),
  Timeout: fields.number("Timeout"),
  StartPeriod: fields.number("StartPeriod"),
  StartInterval: fields.number("StartInterval"),
  Retries: fields.number("Retries"),
});

export const emptyContainerConfig = (): ContainerConfig => parseContainerConfig(new Fields({}));

/** An object of unknown origin, read field by field; a wrong type is the sender's fault. */
class Fields {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(value: unknown) {
    if (value === null || value === undefined) this.#values = new Map();
    else if (typeof value !== "object" || Array.isArray(value)) throw wrongType("image configuration");
    else this.#values = new Map(Object.entries(value).map(([key, field]) => [key.toLowerCase(), field]));
  }

  #get(name: string): unknown {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  isNull(name: string): boolean {
    return this.#get(name) === null;
  }

  object(name: string): Fields {
    return new Fields(this.#get(name));
  }

  text(name: string): string {
    const value = this.#get(name) ?? "";
    if (typeof value !== "string") throw wrongType(name);
    return value;
  }

  flag(name: string): boolean {
    const value = this.#get(name) ?? false;
    if (typeof value !== "boolean") throw wrongType(name);
    return value;
  }

  number(name: string): number {
    const value = this.#get(name) ?? 0;
    if (typeof value !== "number" || !Number.isInteger(value)) throw wrongType(name);
    return value;
  }

  /** RFC 3339, kept as it is written: its nanoseconds must survive. */
  time(name: string): string | null {
    const value = this.#get(name);
    if (value === null) return null;
    if (typeof value !== "string" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value))
      throw wrongType(name);
    return value;
  }

  list(name: string): readonly unknown[] {
    const value = this.#get(name) ?? [];
    if (!Array.isArray(value)) throw wrongType(name);
    return value;
  }

  texts(name: string): string[] | null {
    if (this.isNull(name)) return null;
    return this.list(name).map((item) => {
      if (typeof item !== "string") throw wrongType(name);
      return item;
    });
  }

  /** moby's StrSlice: one string stands for a list of one. */
  words(name: string): string[] | null {
    const value = this.#get(name);
    return typeof value === "string" ? [value] : this.texts(name);
  }

  map(name: string): Record<string, string> | null {
    const value = this.#get(name);
    if (value === null) return null;
    if (typeof value !== "object" || Array.isArray(value)) throw wrongType(name);
    const entries = Object.entries(value).map(([key, item]) => {
      if (typeof item !== "string") throw wrongType(name);
      return [key, item] as const;
    });
    return Object.fromEntries(entries);
  }

  /** Go's map[string]struct{}. */
  set(name: string): Record<string, Record<string, never>> | null {
    const value = this.#get(name);
    if (value === null) return null;
    if (typeof value !== "object" || Array.isArray(value)) throw wrongType(name);
    return Object.fromEntries(Object.keys(value).map((key) => [key, {}]));
  }
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw invalid(`invalid image JSON: ${messageOf(error)}`);
  }
}

const invalid = (message: string) => new EngineError("invalidParameter", message);
const wrongType = (name: string) => invalid(`json: cannot unmarshal value into Go struct field ${name}`);

/** Where an old image says nothing, it is of the host's kind (moby image/image.go). */
export const architectureOf = (image: ImageConfig): string => image.architecture || hostArchitecture;
export const systemOf = (image: ImageConfig): string => image.os || "linux";
