import { startRegistry } from "#test/registry";
const place = { prefix: [], name: "", daemonFlags: [], isIsolated: false, [Symbol.asyncDispose]: async () => {} };
const a = await startRegistry(place); const b = await startRegistry(place, { user: { name: "u", password: "p" } }); const t = await startRegistry(place, { hasTls: true });
console.log(a.address, b.address, t.address);
process.on("SIGTERM", async () => { await a[Symbol.asyncDispose](); await b[Symbol.asyncDispose](); await t[Symbol.asyncDispose](); process.exit(0); });
setInterval(() => {}, 1000);
