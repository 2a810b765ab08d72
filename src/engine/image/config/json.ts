import type { ContainerConfig, HealthConfig } from "#api-schema/container-config";
import { stringifyExact } from "#base/exact-json";
import type { HistoryEntry, ImageConfig } from "./config.ts";

/** The config blob of an image that was made here: byte for byte what moby's encoder would write, for the id depends on it. */
export function encodeImageConfig(image: ImageConfig): string {
  const { rootfs } = image;
  // moby sorts the fields of the first level (image.Image.MarshalJSON).
  return goJson({
    architecture: text(image.architecture),
    author: text(image.author),
    comment: text(image.comment),
    config: encodeContainerConfig(image.config),
    container: text(image.container),
    container_config: encodeContainerConfig(image.containerConfig),
    created: image.created,
    docker_version: text(image.dockerVersion),
    history: image.history.length === 0 ? undefined : image.history.map(encodeHistory),
    os: text(image.os),
    "os.features": image.osFeatures.length === 0 ? undefined : image.osFeatures,
    "os.version": text(image.osVersion),
    rootfs: { type: rootfs.type, diff_ids: rootfs.diffIds.length === 0 ? undefined : rootfs.diffIds },
    variant: text(image.variant),
  });
}

/** encoding/json: `<`, `>`, `&` and the two line separators are escaped. */
export function goJson(value: unknown): string {
  return stringifyExact(value).replace(/[<>&\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

export const encodeHistory = (entry: HistoryEntry) => ({
  created: entry.created ?? undefined,
  created_by: text(entry.createdBy),
  author: text(entry.author),
  comment: text(entry.comment),
  empty_layer: flag(entry.isEmptyLayer),
});

export function encodeContainerConfig(config: ContainerConfig) {
  return {
    Hostname: config.Hostname,
    Domainname: config.Domainname,
    User: config.User,
    AttachStdin: config.AttachStdin,
    AttachStdout: config.AttachStdout,
    AttachStderr: config.AttachStderr,
    ExposedPorts: isEmpty(config.ExposedPorts) ? undefined : sorted(config.ExposedPorts),
    Tty: config.Tty,
    OpenStdin: config.OpenStdin,
    StdinOnce: config.StdinOnce,
    Env: config.Env,
    Cmd: config.Cmd,
    Healthcheck: config.Healthcheck === null ? undefined : encodeHealthcheck(config.Healthcheck),
    ArgsEscaped: flag(config.ArgsEscaped),
    Image: config.Image,
    Volumes: sorted(config.Volumes),
    WorkingDir: config.WorkingDir,
    Entrypoint: config.Entrypoint,
    NetworkDisabled: flag(config.NetworkDisabled),
    MacAddress: text(config.MacAddress),
    OnBuild: config.OnBuild,
    Labels: sorted(config.Labels),
    StopSignal: text(config.StopSignal),
    StopTimeout: config.StopTimeout ?? undefined,
    Shell: isEmpty(config.Shell) ? undefined : config.Shell,
  };
}

const encodeHealthcheck = (health: HealthConfig) => ({
  Test: isEmpty(health.Test) ? undefined : health.Test,
  Interval: number(health.Interval),
  Timeout: number(health.Timeout),
  StartPeriod: number(health.StartPeriod),
  StartInterval: number(health.StartInterval),
  Retries: number(health.Retries),
});

// omitempty
const text = (value: string) => (value === "" ? undefined : value);
const flag = (value: boolean) => (value ? true : undefined);
const number = (value: number | bigint) => (value === 0 ? undefined : value);
const isEmpty = (value: object | null) => value === null || Object.keys(value).length === 0;

function sorted<T extends object>(map: Record<string, T | string> | null) {
  if (map === null) return null;
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
