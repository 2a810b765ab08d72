/** Clients whose connection the shim gets: their output does not come back to us. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { descriptorOf, sendDescriptor } from "#native";
import { openConnection, Rig, receive, splitFrames } from "./shim-rig.ts";

const outputs = { stdin: false, stdout: true, stderr: true };

/** A connection by a path in the rig's folder: the client's end, and ours. */
async function connectedPair({ directory }: Rig): Promise<{ client: Socket; server: Socket }> {
  const listener = createServer({ allowHalfOpen: true }).listen(join(directory, "client.sock"));
  await once(listener, "listening");
  const client = connect({ path: join(directory, "client.sock"), allowHalfOpen: true });
  const [server] = await once(listener, "connection");
  listener.close();
  server.on("error", () => undefined);
  return { client, server };
}

test("a direct client gets the output, and we the news that all was sent", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "seq 1 200000; echo err >&2; exit 3"] });
  const task = await container.create();
  const { client, server } = await connectedPair(rig);
  const { socket, isDirect } = await task.attachClient(server, outputs);
  assert.ok(isDirect);
  const received = receive(client);
  await task.start();
  assert.equal(await text(socket), "");
  socket.destroy();
  // The shim has let go: our end is the end.
  server.end();
  const { stdout, stderr } = splitFrames(await received);
  assert.deepEqual([stdout.length, stdout.slice(-7), stderr], [1288895, "200000\n", "err\n"]);
  assert.equal((await task.exited).exitCode, 3);
});

test("a direct client that leaves is told of, holds nobody up, and its stdin goes on", async () => {
  await using rig = await Rig.start();
  const script = "seq 1 200000; read x; echo $x >&2";
  const container = await rig.prepare({ args: ["sh", "-c", script], stdin: "once" });
  const task = await container.create();
  const { client, server } = await connectedPair(rig);
  const { socket } = await task.attachClient(server, { ...outputs, stdin: true });
  await task.start();
  client.destroy();
  await once(socket, "readable");
  assert.equal(String(socket.read()), '{"left":true}\n');
  socket.end("still\n");
  assert.equal(await text(socket), "");
  await task.exited;
  assert.equal(await container.logged("stderr"), "still\n");
  server.destroy();
});

test("what is no bare connection, or has bytes of ours to send, gets its output through us", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["echo", "hello"] });
  const task = await container.create();
  const { client, server } = await connectedPair(rig);
  client.pause();
  while (server.write(Buffer.alloc(1 << 16)));
  const attachments = await Promise.all([
    task.attachClient(server, outputs),
    task.attachClient(new PassThrough(), outputs),
  ]);
  await task.start();
  for (const { socket, isDirect } of attachments) {
    assert.equal(isDirect, false);
    assert.equal(splitFrames(await receive(socket)).stdout, "hello\n");
  }
  client.destroy();
  server.destroy();
});

test("a descriptor that comes with anything but an attach, or is no connection, harms nobody", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["echo", "hello"] });
  const task = await container.create();
  const control = await openConnection(container.socketPath);
  const fd = descriptorOf(control) ?? -1;
  sendDescriptor(fd, Buffer.from('{"seq":1,"op":"state"}\n'), 2);
  sendDescriptor(fd, Buffer.from('{"op":"attach","stdout":true}\n'), 0);
  await task.start();
  assert.match(await text(control), /^\{"seq":1,"ok":.*\}\n\{"ok":\{"direct":true\}\}\n(\{"left":true\}\n)?$/s);
  control.destroy();
  assert.equal((await task.exited).exitCode, 0);
});
