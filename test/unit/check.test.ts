import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { test } from "node:test";
import { checkHost, requirements } from "../../cli/check.ts";

async function checked(dataRoot: string): Promise<{ canRun: boolean; lines: string[] }> {
  const lines: string[] = [];
  return { canRun: await checkHost(dataRoot, (line) => lines.push(line)), lines };
}

test("check: a line for each thing that the engine needs or can use, with the way out where it is not there", async () => {
  const dataRoot = mkdtempSync("/var/tmp/mdt-check-");
  try {
    const { canRun, lines } = await checked(dataRoot);
    assert.equal(canRun, true, lines.join("\n"));
    assert.equal(lines.length, requirements(dataRoot).length);
    for (const line of lines) assert.match(line, /^\S.* {2}(ok {5}|limited|MISSING) {2}\S/);
    for (const line of lines.filter((text) => text.includes("  limited  "))) assert.match(line, / → \S/);
  } finally {
    rmSync(dataRoot, { recursive: true });
  }
});

test("check: without what is essential the engine cannot run here", async () => {
  const { canRun, lines } = await checked("/var/tmp/mdt-check-nowhere");
  assert.equal(canRun, false);
  const [overlay] = lines.filter((line) => line.startsWith("overlay"));
  assert.match(overlay ?? "", /MISSING {2}\/var\/tmp\/mdt-check-nowhere does not exist yet/);
});
