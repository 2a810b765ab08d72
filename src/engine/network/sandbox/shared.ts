import { hostname } from "node:os";
import { EngineError, messageOf } from "#base/errors";
import type { Id } from "#base/ids";
import type { ContainerRecord } from "#storage";
import { containerOf } from "../../spec/modes.ts";
import { remapOf } from "../../user-remap.ts";
import type { NetworkContext } from "../context.ts";
import { filesBeside } from "../etc/files.ts";
import type { Sandbox } from "./sandbox.ts";

type Surroundings = Pick<NetworkContext, "containers" | "userRemap">;

/** `--network container:x`: everything is the other's, the user namespace that the network's belongs to as well. */
export function shareSandbox(
  context: Surroundings,
  container: ContainerRecord,
  ref: string,
  directory: string,
): Sandbox {
  const other = sharedContainer(context, container.id, ref);
  const processes = `/proc/${other.state.pid}`;
  const isRemapped = remapOf(container.hostConfig, context.userRemap) !== undefined;
  return {
    id: "",
    key: "",
    namespacePath: `${processes}/ns/net`,
    userNamespacePath: isRemapped ? `${processes}/ns/user` : undefined,
    hostname: hostnameOf(other),
    domainname: other.config.Domainname,
    networks: {},
    ports: Promise.resolve({}),
    connected: Promise.resolve(),
    files: filesBeside(directory, stackOwner(other, (ref) => context.containers.find(ref)).id),
  };
}

type Find = (ref: string) => ContainerRecord | undefined;

/** Whose network, and whose files in /etc, a container has: the one where a row of `container:` ends. */
export function stackOwner(container: ContainerRecord, find: Find): ContainerRecord {
  // Names may be given anew, so that the row ends where it began.
  const row = new Set<ContainerRecord>();
  let owner = container;
  for (let next: ContainerRecord | undefined = container; next !== undefined && !row.has(next); ) {
    owner = next;
    row.add(owner);
    const ref = containerOf(owner.hostConfig.NetworkMode);
    next = ref === undefined ? undefined : find(ref);
  }
  return owner;
}

export const hostnameOf = ({ config, hostConfig }: ContainerRecord): string =>
  config.Hostname === "" && hostConfig.NetworkMode === "host" ? hostname() : config.Hostname;

function sharedContainer({ containers }: Surroundings, id: Id, ref: string): ContainerRecord {
  let other: ContainerRecord;
  try {
    other = containers.get(ref);
  } catch (error) {
    throw new EngineError("system", `joining network namespace of container: ${messageOf(error)}`, { cause: error });
  }
  if (other.id === id) throw new EngineError("system", "cannot join own network namespace");
  const { status } = other.state;
  if (status === "restarting") {
    const reason = `Container ${ref} is restarting, wait until the container is running`;
    throw new EngineError("conflict", `cannot join network namespace of container: ${reason}`);
  }
  if (status !== "running" && status !== "paused") {
    throw new EngineError(
      "conflict",
      `cannot join network namespace of a non running container: container ${other.name} is ${status}`,
    );
  }
  return other;
}
