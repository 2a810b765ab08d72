/** `docker exec` → the OCI process that joins a running container (moby daemon/exec.go, exec_linux.go). */
import { EngineError, messageOf } from "#base/errors";
import type { Process, User } from "#runtime";
import type { ContainerRecord } from "#storage";
import { homeOf, type ReadFile, resolveUser } from "./accounts.ts";
import { appArmorOf, rlimitsOf, type SpecDefaults } from "./build.ts";
import { chooseCapabilities } from "./capabilities.ts";
import { containerEnvironment, overrideEnvironment, withHome } from "./environment.ts";
import type { HostInfo } from "./host-info.ts";
import { parseSecurityOptions } from "./security-options.ts";

/** The part of POST /containers/{id}/exec that shapes the process. */
export interface ExecRequest {
  readonly user: string;
  readonly isPrivileged: boolean;
  readonly isTty: boolean;
  /** Height, width. */
  readonly consoleSize: readonly [number, number] | undefined;
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly cmd: readonly string[];
}

export interface ExecTarget extends Pick<SpecDefaults, "ulimits" | "hasNoNewPrivileges"> {
  readonly readFile: ReadFile;
  readonly host: HostInfo;
  /** What linked containers offer. */
  readonly linkEnvironment: readonly string[];
}

/** The bounding set of an exec is never more than the container's, unless `--privileged` says so. */
export function execProcess(container: ContainerRecord, request: ExecRequest, target: ExecTarget): Process {
  const { config, hostConfig } = container;
  const { host, readFile } = target;
  const security = parseSecurityOptions(hostConfig.SecurityOpt, target.hasNoNewPrivileges);
  const user = execUser(container, request.user, readFile);
  const granted = request.isPrivileged ? [...host.capabilities] : chooseCapabilities(hostConfig, host);
  const environment = overrideEnvironment(
    containerEnvironment(config, request.isTty, target.linkEnvironment),
    request.env,
  );
  const rlimits = rlimitsOf(hostConfig, target.ulimits);
  const [height, width] = request.consoleSize ?? [];
  return {
    ...(request.isTty ? { terminal: true } : {}),
    ...(request.isTty && height !== undefined && width !== undefined ? { consoleSize: { height, width } } : {}),
    user,
    args: [...request.cmd],
    env: withHome(environment, () => homeOf(user.uid, readFile)),
    cwd: request.workingDir || config.WorkingDir || "/",
    capabilities: { bounding: granted, effective: granted, permitted: granted },
    ...(rlimits.length === 0 ? {} : { rlimits }),
    ...(security.hasNoNewPrivileges ? { noNewPrivileges: true } : {}),
    ...appArmorOf(hostConfig, security, host),
    oomScoreAdj: Number(hostConfig.OomScoreAdj),
  };
}

/** Looked up when the exec is created, so that an unknown user is the caller's error and not the process's. */
function execUser(container: ContainerRecord, user: string, readFile: ReadFile): User {
  try {
    return resolveUser(user || container.config.User, container.hostConfig.GroupAdd ?? [], readFile);
  } catch (error) {
    throw new EngineError("invalidParameter", messageOf(error), { cause: error });
  }
}
