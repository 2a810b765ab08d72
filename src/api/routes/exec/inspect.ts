import type { FastifyInstance } from "fastify";
import { ExecInspect } from "#api-schema/exec";
import type { Engine, Exec } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function execInspectRoute(app: FastifyInstance, { execs }: Engine): void {
  app.get<Named>("/exec/:name/json", async (request, reply) =>
    sendJson(reply, ExecInspect, shown(execs.inspect(request.params.name))),
  );
}

function shown({ id, config, containerId, detachKeys, exitCode, isRunning, pid }: Exec): ExecInspect {
  const [entrypoint = "", ...args] = config.cmd;
  return {
    ID: id,
    Running: isRunning,
    ExitCode: exitCode ?? null,
    ProcessConfig: {
      tty: config.isTty,
      entrypoint,
      arguments: args,
      privileged: config.isPrivileged,
      user: config.user,
    },
    OpenStdin: config.attachStdin,
    OpenStderr: config.attachStderr,
    OpenStdout: config.attachStdout,
    CanRemove: false,
    ContainerID: containerId,
    DetachKeys: config.detachKeys === "" ? "" : detachKeys.toString("base64"),
    Pid: pid,
  };
}
