/**
 * Plays a registry's misbehaviours to two engines, and shows where what their clients see differs:
 *     node test/suites/registry/run.ts REFERENCE_SOCKET OUR_SOCKET [WORD…]
 * Words choose cases by name. Both engines share this process's network namespace, have room for many transfers at once
 * (`--max-concurrent-downloads 60 --max-concurrent-uploads 60`) and the mirrors of mirror-cases.ts.
 */
import { authCases } from "./auth-cases.ts";
import { imageCases } from "./image-cases.ts";
import { indexCases } from "./index-cases.ts";
import { mirrorCases } from "./mirror-cases.ts";
import { nameCases } from "./name-cases.ts";
import { pushCases } from "./push-cases.ts";
import { resumeCases } from "./resume-cases.ts";
import { searchCases } from "./search-cases.ts";
import { Stage } from "./stage.ts";
import { statusCases } from "./status-cases.ts";
import { wireCases } from "./wire-cases.ts";

export type Case = readonly [name: string, play: (stage: Stage) => Promise<unknown>];

const [reference = "", ours = "", ...words] = process.argv.slice(2);
const isWanted = ([name]: Case) => words.every((word) => name.includes(word));
const cases = [
  ...[statusCases, wireCases, resumeCases, pushCases, authCases],
  ...[imageCases, indexCases, nameCases, searchCases],
].flatMap((some) => some.filter(isWanted));
const limitMs = 170_000;
const atOnce = 24;

async function play(socket: string, [name, act]: Case): Promise<string> {
  await using stage = new Stage(socket, name);
  const limit = AbortSignal.timeout(limitMs);
  const late = new Promise((resolve) => limit.addEventListener("abort", () => resolve("no answer in time")));
  try {
    return stage.plain(await Promise.race([act(stage), late]));
  } catch (error) {
    return stage.plain(String(error));
  }
}

let differing = 0;
async function compare(one: Case, isAlone = false): Promise<void> {
  const first = play(reference, one);
  if (isAlone) await first;
  const [theirs, mine] = await Promise.all([first, play(ours, one)]);
  if (theirs === mine) return console.log(`same    ${one[0]}`);
  differing++;
  console.log(`DIFFERS ${one[0]}\n--- reference\n${theirs}\n--- ours\n${mine}\n`);
}

const waiting = [...cases];
const worker = async () => {
  for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await compare(one);
};
await Promise.all(Array.from({ length: atOnce }, worker));
const alone = mirrorCases.filter(isWanted);
for (const one of alone) await compare(one, true);
console.log(`${cases.length + alone.length} cases, ${differing} differ`);
process.exit(differing === 0 ? 0 : 1);
