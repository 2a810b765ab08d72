import type { FastifyInstance } from "fastify";
import { ContainerConfig, CreateRequest, HostConfig } from "#api-schema/container-config";
import { CreateResponse } from "#api-schema/container-verbs";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import type { Engine } from "#engine";
import { requireJson } from "../../body.ts";
import { mentions, zero } from "../../decode.ts";
import { sendJson } from "../../reply.ts";
import { adaptCreate } from "./create-compat.ts";

export function createRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post("/containers/create", async (request, reply) => {
    const { apiVersion, form } = request;
    const { json, value: body } = await requireJson(request, CreateRequest);
    if (!mentions(ContainerConfig, json))
      throw new EngineError("invalidParameter", "config cannot be empty in order to create a container");
    const asked = { ...body, HostConfig: body.HostConfig ?? zero(HostConfig) };
    const warnings = adaptCreate(apiVersion, asked);
    const created = await containers.create({
      name: form.get("name"),
      platform: isOlder(apiVersion, "1.41") ? "" : form.get("platform"),
      isReadOnlyNonRecursive: isOlder(apiVersion, "1.44"),
      request: asked,
    });
    return sendJson(reply.code(201), CreateResponse, { Id: created.Id, Warnings: [...created.Warnings, ...warnings] });
  });
}
