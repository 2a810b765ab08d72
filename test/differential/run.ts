/**
 * Sends the same random requests to our engine and to a dockerd, and prints where status or shape of the answers differ.
 *   node test/differential/run.ts OURS.sock THEIRS.sock [requests] [seed]
 */

import { FuzzedEngine, settle } from "./engine.ts";
import { explanationOf, hasPanicked } from "./explained.ts";
import { Random } from "./random.ts";
import { nextRequest } from "./requests.ts";

const requestsPerSweep = 150;
const [oursSocket = "", theirsSocket = "", count = "5000", seed = "1"] = process.argv.slice(2);
const [ours, theirs] = [new FuzzedEngine(oursSocket), new FuzzedEngine(theirsSocket)];
const random = new Random(Number(seed));
const explained = new Map<string, number>();
let unexplained = 0;
const sweep = () => Promise.all([ours.sweep(), theirs.sweep()]);

for (let n = 0; n < Number(count); n++) {
  if (n % requestsPerSweep === 0) await sweep();
  const request = nextRequest(random);
  const [mine, other] = await Promise.all([ours.answer(request), theirs.answer(request)]);
  if (JSON.stringify(mine) !== JSON.stringify(other)) {
    const why = explanationOf(request, mine, other);
    if (why === undefined) {
      unexplained++;
      console.log(JSON.stringify({ n, ...request, ours: mine, theirs: other }));
    } else explained.set(why, (explained.get(why) ?? 0) + 1);
  }
  // What it leaves half done would differ from then on.
  if (hasPanicked(other)) await sweep();
  if (request.method === "GET" || mine.status >= 400) continue;
  const [before, after] = await settle([ours, theirs]);
  if (before !== after) {
    unexplained++;
    console.log(JSON.stringify({ n, ...request, states: { ours: before, theirs: after } }));
  }
}
for (const [why, times] of explained) console.log(`explained ${times} times: ${why}`);
console.log(`${count} requests, seed ${seed}: ${unexplained} differences without an explanation`);
process.exitCode = unexplained === 0 ? 0 : 1;
