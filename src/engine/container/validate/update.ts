import type { HostInfo } from "../../spec/host-info.ts";
import type { UpdateRequest } from "../options.ts";
import { checkRestartPolicy } from "./host.ts";
import { checkResources } from "./resources.ts";

export interface CheckedUpdate {
  /** Without the limits that this host cannot hold. */
  readonly request: UpdateRequest;
  readonly warnings: readonly string[];
}

/** The body of `docker update`, before it meets what the container has. Throws 400 in dockerd's words. */
export function validateUpdate(request: UpdateRequest, host: HostInfo): CheckedUpdate {
  checkRestartPolicy(request.RestartPolicy);
  const { changes, warnings } = checkResources(request, host, true);
  return { request: { ...request, ...changes }, warnings };
}
