/** `docker import` and `docker run` in a few lines, for a machine without the docker CLI: what any HTTP client can do. */
import { createReadStream } from "node:fs";
import { request } from "node:http";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";

const [socketPath = "", rootTar = ""] = process.argv.slice(2);

interface Answer {
  readonly status: number;
  readonly body: string;
}

function call(method: string, path: string, body?: Readable | object): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = { "content-type": body === undefined || "pipe" in body ? "application/x-tar" : "application/json" };
  const sent = request({ socketPath, method, path: `/v1.51${path}`, headers }, (response) => {
    text(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
  });
  sent.on("error", reject);
  if (body === undefined) sent.end();
  else if ("pipe" in body) body.pipe(sent);
  else sent.end(JSON.stringify(body));
  return promise;
}

async function must(method: string, path: string, body?: Readable | object): Promise<string> {
  const answer = await call(method, path, body);
  if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
  return answer.body;
}

const field = (json: string, name: string): string => {
  const parsed: unknown = JSON.parse(json);
  return String(Object.entries(parsed ?? {}).find(([key]) => key === name)?.[1]);
};

await must("POST", `/images/create?fromSrc=-&repo=busybox&tag=latest`, createReadStream(rootTar));
const id = field(
  await must("POST", "/containers/create", { Image: "busybox", Tty: true, Cmd: ["echo", "hello from a container"] }),
  "Id",
);
await must("POST", `/containers/${id}/start`);
const status = field(await must("POST", `/containers/${id}/wait`), "StatusCode");
process.stdout.write(await must("GET", `/containers/${id}/logs?stdout=1`));
await must("DELETE", `/containers/${id}`);
process.exitCode = Number(status);
