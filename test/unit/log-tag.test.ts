import assert from "node:assert/strict";
import { test } from "node:test";
import { expandTag } from "../../src/engine/log/tag.ts";

const fields = { ID: "abc", Name: "one", ContainerArgs: ["-c", "x y"], ContainerLabels: { b: "2", a: "1" } };

test("tag: fields, functions and pipes give what they give dockerd", () => {
  const cases: readonly (readonly [template: string, text: string])[] = [
    ["{{.Name}}/{{ .ID }}", "one/abc"],
    ["{{upper .Name}}{{.ID | upper}}", "ONEABC"],
    ["{{json .ContainerArgs}}", '["-c","x y"]'],
    ['{{join .ContainerArgs ","}}', "-c,x y"],
    ['{{split .ID "b"}} {{.ContainerLabels}}', "[a c] map[a:1 b:2]"],
    ['{{index .ContainerLabels "b"}}{{len .ID}}{{"lit"}}', "23lit"],
    ["{{truncate .ID 2}}|{{pad .ID 1 2}}|{{title .Name}}", "ab| abc  |One"],
    ["a {{- .ID -}} b{{/* c */}}", "aabcb"],
  ];
  for (const [template, text] of cases) assert.equal(expandTag(template, fields), text);
});

test("tag: a template that is none is refused in Go's words", () => {
  const cases: readonly (readonly [template: string, words: string])[] = [
    ["{{.ID", "template: log-tag:1: unclosed action"],
    ["{{nofunc .ID}}", 'template: log-tag:1: function "nofunc" not defined'],
    [
      "{{.Nope}}",
      `template: log-tag:1:2: executing "log-tag" at <.Nope>: can't evaluate field Nope in type *logger.Info`,
    ],
    [
      "{{upper}}",
      'template: log-tag:1:2: executing "log-tag" at <upper>: wrong number of args for upper: want 1 got 0',
    ],
  ];
  for (const [template, words] of cases) assert.throws(() => expandTag(template, fields), { message: words });
});
