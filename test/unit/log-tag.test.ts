import assert from "node:assert/strict";
import { test } from "node:test";
import { expandTag } from "../../src/engine/log/tag.ts";

const fields = {
  ContainerID: "abcdef",
  ID: "abc",
  Name: "one",
  ContainerArgs: ["-c", "x y"],
  ContainerLabels: { b: "2", a: "1" },
};

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
    ['{{if eq .ID "x"}}x{{else if .Name}}n{{else}}o{{end}}|{{with ""}}a{{else}}b{{end}}', "n|b"],
    ["{{range $i, $arg := .ContainerArgs}}{{$i}}={{$arg}};{{$.ID}} {{end}}", "0=-c;abc 1=x y;abc "],
    ["{{range .ContainerLabels}}{{.}}{{else}}none{{end}}{{with $x := .Name}}{{$x}}{{end}}", "12one"],
    ['{{printf "%s-%3d|%-3s|%q%%" .Name 7 "a" "b"}}{{print 1 2 "a" 3}}', 'one-  7|a  |"b"%1 2a3'],
    ["{{$x := (index .ContainerArgs 1)}}{{$x}}{{if and .ID (not .Name)}}no{{end}}{{.ContainerLabels.a}}", "x y1"],
  ];
  for (const [template, text] of cases) assert.equal(expandTag(template, fields), text);
});

test("tag: a template that is none is refused in Go's words", () => {
  const cases: readonly (readonly [template: string, words: string])[] = [
    ["{{.ID", "template: log-tag:1: unclosed action"],
    ["{{if .ID}}x", "template: log-tag:1: unexpected EOF"],
    ["{{end}}", "template: log-tag:1: unexpected {{end}}"],
    ["{{if}}x{{end}}", "template: log-tag:1: missing value for if"],
    ["{{if .ID}}{{else}}{{else}}{{end}}", "template: log-tag:1: expected end; found {{else}}"],
    ["{{$y}}", 'template: log-tag:1: undefined variable "$y"'],
    ["{{range .ID}}x{{end}}", `template: log-tag:1:8: executing "log-tag" at <.ID>: range can't iterate over abc`],
    ["{{.ID.Foo}}", `template: log-tag:1:5: executing "log-tag" at <.ID.Foo>: can't evaluate field Foo in type string`],
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
