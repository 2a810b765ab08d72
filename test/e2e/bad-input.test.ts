import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readlink } from "node:fs/promises";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { type Daemon, startDaemon } from "#test/daemon";
import type { Reply, RequestOptions } from "#test/http";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

interface Case {
  readonly name: string;
  readonly send: () => Promise<Reply>;
  readonly status: number;
  readonly message: string | RegExp;
}
const post = (path: string, body: RequestOptions["body"], headers = {}) => daemon.http.post(path, body, headers);
const startOf = async (config: object) => {
  await post("/containers/create?name=unfit", { Image: "busybox", ...config });
  const reply = await post("/containers/unfit/start", undefined);
  await daemon.ok("rm", "unfit");
  return reply;
};
const json = { "Content-Type": "application/json" };

const cases: readonly Case[] = [
  {
    name: "an unknown image",
    send: () => post("/containers/create", { Image: "nosuch" }),
    status: 404,
    message: "No such image: nosuch:latest",
  },
  {
    name: "JSON that is none",
    send: () => post("/containers/create", "{bad", json),
    status: 400,
    message: "invalid JSON: invalid character 'b' looking for beginning of object key string",
  },
  {
    name: "no body",
    send: () => post("/containers/create", "", json),
    status: 400,
    message: /EOF|config cannot be empty/,
  },
  {
    name: "a wrong type",
    send: () => post("/containers/create", { Image: "busybox", Env: "A=1" }),
    status: 400,
    message: /json: cannot unmarshal string into Go struct field/,
  },
  {
    name: "no command at all",
    send: () => post("/containers/create", { Image: "busybox", Cmd: [], Entrypoint: [""] }),
    status: 400,
    message: "no command specified",
  },
  {
    name: "a bad name",
    send: () => post("/containers/create?name=a/b", { Image: "busybox" }),
    status: 400,
    message: "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
  },
  {
    name: "too little memory",
    send: () => post("/containers/create", { Image: "busybox", HostConfig: { Memory: 4096 } }),
    status: 400,
    message: "Minimum memory limit allowed is 6MB",
  },
  {
    name: "an unknown container",
    send: () => daemon.http.get("/containers/ghost/json"),
    status: 404,
    message: "No such container: ghost",
  },
  { name: "an unknown route", send: () => daemon.http.get("/nosuch"), status: 404, message: "page not found" },
  {
    name: "a wrong method",
    send: () => daemon.http.get("/containers/create"),
    status: 404,
    message: /page not found|No such container: create/,
  },
  {
    name: "logs of no stream",
    send: async () => {
      await daemon.ok("create", "--name", "quiet", "busybox");
      const reply = await daemon.http.get("/containers/quiet/logs");
      await daemon.ok("rm", "quiet");
      return reply;
    },
    status: 400,
    message: "Bad parameters: you must choose at least one stream",
  },
  {
    name: "a NUL in the command",
    send: () => startOf({ Cmd: ["tr\0ue"] }),
    status: 400,
    message: /: exec: "tr\\x00ue": executable file not found in \$PATH$/,
  },
  {
    name: "a NUL in the environment",
    send: () => startOf({ Cmd: ["true"], Env: ["A=\0"] }),
    status: 500,
    message: /: invalid environment variable "A": contains nul byte \(\\x00\)$/,
  },
  {
    name: "an API that is too new",
    send: () => daemon.http.get("/v1.99/version"),
    status: 400,
    message: "client version 1.99 is too new. Maximum supported API version is 1.51",
  },
];

for (const { name, send, status, message } of cases) {
  test(`bad input: ${name} is ${status} in Docker's words`, async () => {
    const reply = await send();
    assert.equal(reply.status, status, reply.text);
    const { message: said } = reply.json() as { message: string };
    if (typeof message === "string") assert.equal(said, message);
    else assert.match(said, message);
    assert.equal(await daemon.ok("ps", "-aq"), "");
  });
}

test("bad input: bytes that are no HTTP close the connection, and only that one", async () => {
  const socket = daemon.http.connect();
  socket.end("\x16\x03\x01\0nonsense\r\n\r\n");
  socket.resume();
  await new Promise((resolve) => socket.once("close", resolve));
  assert.equal((await daemon.http.get("/_ping")).status, 200);
});

test("save: clients that leave in the middle leave no blob open", async () => {
  for (let round = 0; round < 20; round++) {
    const client = connect(daemon.socket);
    client.write("GET /images/busybox/get HTTP/1.1\r\nHost: d\r\n\r\n");
    await once(client, "readable");
    client.destroy();
  }
  while ((await openBlobs()) > 0) await daemon.http.get("/_ping");
});

async function openBlobs(): Promise<number> {
  const folder = `/proc/${daemon.pid}/fd`;
  const targets = (await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => ""));
  return (await Promise.all(targets)).filter((target) => target.includes("/blobs/")).length;
}
