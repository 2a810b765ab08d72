import { release } from "node:os";
import type { SystemVersion } from "#api-schema/system";
import { maxApiVersion } from "#api-schema/versions";
import type { HostInfo } from "../spec/host-info.ts";
import type { SystemFacts } from "./service.ts";

/** GET /version. The components carry the names that clients look for; the runtime's is what our launcher stands in for. */
export function systemVersion(facts: SystemFacts, host: HostInfo): SystemVersion {
  const engine = {
    ApiVersion: maxApiVersion,
    Arch: host.architecture,
    BuildTime: facts.buildTime,
    Experimental: String(facts.isExperimental),
    GitCommit: facts.gitCommit,
    GoVersion: `node${process.versions.node}`,
    KernelVersion: release(),
    MinAPIVersion: facts.minApiVersion,
    Os: "linux",
  };
  const ours = { Version: facts.version, Details: { GitCommit: facts.gitCommit } };
  return {
    Platform: { Name: "minidock" },
    Components: [
      { Name: "Engine", Version: facts.version, Details: engine },
      { Name: "minishim", ...ours },
      { Name: "minirun", ...ours },
      { Name: "docker-init", ...ours },
    ],
    Version: facts.version,
    ApiVersion: maxApiVersion,
    MinAPIVersion: facts.minApiVersion,
    GitCommit: facts.gitCommit,
    GoVersion: engine.GoVersion,
    Os: "linux",
    Arch: host.architecture,
    KernelVersion: engine.KernelVersion,
    Experimental: facts.isExperimental,
    BuildTime: facts.buildTime,
  };
}
