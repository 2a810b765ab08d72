/** A daemon's first life, in a process of its own: makes containers, tells about them, and waits to be killed. */
import { TestHost } from "./host.ts";
import { wish } from "./wishes.ts";

const host = await TestHost.start({ isThere: true });
const web = await host.container({
  name: "web",
  hostConfig: { PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "18083" }] } },
});
await host.service.create(wish("named"));
const one = await host.container({ name: "one", network: "named" });
const two = await host.container({ name: "two", network: "named" });
const lost = await host.container({ name: "lost" });
const records = [web, one, two, lost].map(({ record }) => record);
process.stdout.write(`${JSON.stringify({ directory: host.directory, records })}\n`);
setInterval(() => undefined, 1000);
