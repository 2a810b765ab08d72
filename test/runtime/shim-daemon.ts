/** A daemon to be killed: starts the container of the bundle that it is given, says so, and waits. */
import { createLog } from "#base/log";
import { Spawner, Task } from "#runtime";

const [binary = "", bundle = "", socketPath = ""] = process.argv.slice(2);
const spawner = await Spawner.start({ binary, log: createLog("warn") });
const task = await Task.create({ bundle, socketPath }, spawner);
await task.start();
process.stdout.write(`${task.pid}\n`);
