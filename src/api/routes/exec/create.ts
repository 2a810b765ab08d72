import type { FastifyInstance } from "fastify";
import { ExecCreateResponse, ExecOptions } from "#api-schema/exec";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import type { Engine, ExecConfig } from "#engine";
import { readJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function execCreateRoute(app: FastifyInstance, { execs }: Engine): void {
  app.post<Named>("/containers/:name/exec", async (request, reply) => {
    const options = await readJson(request, ExecOptions);
    const { Id } = await execs.create(request.params.name, execConfig(request.apiVersion, options));
    return sendJson(reply.code(201), ExecCreateResponse, { Id });
  });
}

function execConfig(version: string, options: ExecOptions): ExecConfig {
  const cmd = options.Cmd ?? [];
  if (cmd.length === 0) throw new EngineError("invalidParameter", "No exec command specified");
  return {
    user: options.User,
    isPrivileged: options.Privileged,
    isTty: options.Tty,
    consoleSize: isOlder(version, "1.42") ? undefined : (options.ConsoleSize ?? undefined),
    attachStdin: options.AttachStdin,
    attachStdout: options.AttachStdout,
    attachStderr: options.AttachStderr,
    detachKeys: options.DetachKeys,
    env: options.Env ?? [],
    workingDir: options.WorkingDir,
    cmd,
  };
}
