import type { FastifyInstance, FastifyReply } from "fastify";

/** What every CLI command begins with. `Builder-Version: 2` sends `docker build` to BuildKit where the CLI has it. */
const pingHeaders = {
  "builder-version": "2",
  "cache-control": "no-cache, no-store, must-revalidate",
  "content-type": "text/plain; charset=utf-8",
  pragma: "no-cache",
  swarm: "inactive",
};

export function pingRoutes(app: FastifyInstance): void {
  app.get("/_ping", (_request, reply) => void withHeaders(reply).send("OK"));
  app.head("/_ping", (_request, reply) => void withHeaders(reply).header("content-length", "0").send());
  app.options("/*", (_request, reply) => void reply.send());
}

const withHeaders = (reply: FastifyReply): FastifyReply => reply.headers(pingHeaders);
