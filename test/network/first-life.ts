/** A daemon's first life, in a process of its own: makes two containers, tells about them, and waits to be killed. */
import { TestHost } from "./host.ts";

const host = await TestHost.start({ isThere: true });
const web = await host.container({
  name: "web",
  hostConfig: { PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "18083" }] } },
});
const lost = await host.container({ name: "lost" });
process.stdout.write(`${JSON.stringify({ directory: host.directory, records: [web.record, lost.record] })}\n`);
setInterval(() => undefined, 1000);
