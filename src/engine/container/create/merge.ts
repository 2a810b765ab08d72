/** What a container takes from its image (moby daemon/commit.go, merge). What the request says wins. */
import type { ContainerConfig, HealthConfig } from "#api-schema/container-config";
import { EngineError } from "#base/errors";

export function mergeImageConfig(own: ContainerConfig, image: ContainerConfig): ContainerConfig {
  return {
    ...own,
    User: own.User === "" ? image.User : own.User,
    ExposedPorts: isEmpty(own.ExposedPorts) ? image.ExposedPorts : { ...image.ExposedPorts, ...own.ExposedPorts },
    Env: mergeEnv(own.Env, image.Env),
    Labels: { ...image.Labels, ...own.Labels },
    ...mergeCommand(own, image),
    Healthcheck: mergeHealth(own.Healthcheck, image.Healthcheck),
    WorkingDir: own.WorkingDir === "" ? image.WorkingDir : own.WorkingDir,
    Volumes: isEmpty(own.Volumes) ? image.Volumes : { ...own.Volumes, ...image.Volumes },
    StopSignal: own.StopSignal === "" ? image.StopSignal : own.StopSignal,
  };
}

const isEmpty = (map: Readonly<Record<string, unknown>> | null): boolean =>
  map === null || Object.keys(map).length === 0;

/** The image's variables come after the container's own; one that both name keeps the container's value. */
function mergeEnv(own: string[] | null, image: string[] | null): string[] | null {
  if (own === null || own.length === 0) return image;
  const names = new Set(own.map(nameOf));
  return [...own, ...(image ?? []).filter((entry) => !names.has(nameOf(entry)))];
}

const nameOf = (entry: string): string => entry.split("=", 1)[0] ?? "";

/** An entrypoint of its own drops the image's command; `[]` clears the image's entrypoint, null takes it. */
function mergeCommand(own: ContainerConfig, image: ContainerConfig): Pick<ContainerConfig, "Cmd" | "Entrypoint"> {
  if (own.Entrypoint !== null && own.Entrypoint.length > 0) return { Cmd: own.Cmd, Entrypoint: own.Entrypoint };
  const Cmd = own.Cmd === null || own.Cmd.length === 0 ? image.Cmd : own.Cmd;
  return { Cmd, Entrypoint: own.Entrypoint ?? image.Entrypoint };
}

function mergeHealth(own: HealthConfig | null, image: HealthConfig | null): HealthConfig | null {
  if (own === null || image === null) return own ?? image;
  return {
    Test: own.Test === null || own.Test.length === 0 ? image.Test : own.Test,
    Interval: own.Interval || image.Interval,
    Timeout: own.Timeout || image.Timeout,
    StartPeriod: own.StartPeriod || image.StartPeriod,
    StartInterval: own.StartInterval || image.StartInterval,
    Retries: own.Retries || image.Retries,
  };
}

export interface Command {
  /** `[""]`, which the CLI sends for `--entrypoint ""`, has become null. */
  readonly entrypoint: string[] | null;
  readonly path: string;
  readonly args: string[];
}

/** What will be executed. Throws when neither the container nor its image say it. */
export function commandOf(config: Pick<ContainerConfig, "Cmd" | "Entrypoint">): Command {
  const isCleared = config.Entrypoint?.length === 1 && config.Entrypoint[0] === "";
  const entrypoint = isCleared ? null : config.Entrypoint;
  const [path, ...args] = [...(entrypoint ?? []), ...(config.Cmd ?? [])];
  if (path === undefined) throw new EngineError("invalidParameter", "no command specified");
  return { entrypoint, path, args };
}
