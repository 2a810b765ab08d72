import type { ContainerConfig, HealthConfig } from "#api-schema/container-config";

/**
 * What is asked for, filled up from what was there before: a container's config from its image's, a commit's from its
 * container's (moby daemon/commit.go, merge). Returns a new config.
 */
export function mergeConfig(asked: ContainerConfig, base: ContainerConfig): ContainerConfig {
  const hasCommand = isFilled(asked.Entrypoint) || isFilled(asked.Cmd);
  const keepsEntrypoint = isFilled(asked.Entrypoint) || asked.Entrypoint !== null;
  return {
    ...asked,
    User: asked.User || base.User,
    ExposedPorts: isFilled(asked.ExposedPorts) ? { ...base.ExposedPorts, ...asked.ExposedPorts } : base.ExposedPorts,
    Env: isFilled(asked.Env) ? mergeEnv(asked.Env, base.Env ?? []) : base.Env,
    Labels: { ...base.Labels, ...asked.Labels },
    Cmd: hasCommand ? asked.Cmd : base.Cmd,
    Entrypoint: keepsEntrypoint ? asked.Entrypoint : base.Entrypoint,
    Healthcheck: mergeHealth(asked.Healthcheck, base.Healthcheck),
    WorkingDir: asked.WorkingDir || base.WorkingDir,
    Volumes: isFilled(asked.Volumes) ? { ...base.Volumes, ...asked.Volumes } : base.Volumes,
    StopSignal: asked.StopSignal || base.StopSignal,
  };
}

function mergeEnv(asked: readonly string[], base: readonly string[]): string[] {
  const keyOf = (entry: string) => entry.split("=", 1)[0];
  const own = new Set(asked.map(keyOf));
  return [...asked, ...base.filter((entry) => !own.has(keyOf(entry)))];
}

function mergeHealth(asked: HealthConfig | null, base: HealthConfig | null): HealthConfig | null {
  if (asked === null || base === null) return asked ?? base;
  return {
    Test: isFilled(asked.Test) ? asked.Test : base.Test,
    Interval: asked.Interval || base.Interval,
    Timeout: asked.Timeout || base.Timeout,
    StartPeriod: asked.StartPeriod || base.StartPeriod,
    StartInterval: asked.StartInterval || base.StartInterval,
    Retries: asked.Retries || base.Retries,
  };
}

const isFilled = <T extends object>(value: T | null): value is T => value !== null && Object.keys(value).length > 0;
