import assert from "node:assert/strict";
import { test } from "node:test";
import { ContainerConfig, CreateRequest } from "#api-schema/container-config";
import { ExecOptions } from "#api-schema/exec";
import { decode, JsonTypeError, mentions, zero } from "../../src/api/decode.ts";
import { parseJson } from "../../src/base/json.ts";

const create = (text: string) => decode(CreateRequest, parseJson(text).value);

/** Recorded from dockerd 28.5.2, which decodes a create request into an interface: the path has no root. */
const refused: readonly (readonly [string, string])[] = [
  ["[]", "array into Go value of type container.CreateRequest"],
  ['{"Image":1}', "number into Go struct field .Image of type string"],
  ['{"image":1}', "number into Go struct field .image of type string"],
  ['{"Tty":"x"}', "string into Go struct field .Tty of type bool"],
  ['{"HostConfig":5}', "number into Go struct field .HostConfig of type container.HostConfig"],
  ['{"HostConfig":{"Memory":1.5}}', "number 1.5 into Go struct field .HostConfig.Memory of type int64"],
  [
    '{"HostConfig":{"Memory":9223372036854775808}}',
    "number 9223372036854775808 into Go struct field .HostConfig.Memory of type int64",
  ],
  ['{"HostConfig":{"BlkioWeight":70000}}', "number 70000 into Go struct field .HostConfig.BlkioWeight of type uint16"],
  [
    '{"HostConfig":{"NetworkMode":5}}',
    "number into Go struct field .HostConfig.NetworkMode of type container.NetworkMode",
  ],
  [
    '{"HostConfig":{"PortBindings":{"80/tcp":5}}}',
    "number into Go struct field .HostConfig.PortBindings.80~1tcp of type []nat.PortBinding",
  ],
  [
    '{"HostConfig":{"PortBindings":{"80/tcp":[5]}}}',
    "number into .HostConfig.PortBindings.80~1tcp.0 of type nat.PortBinding",
  ],
  [
    '{"HostConfig":{"BlkioWeightDevice":5}}',
    "number into Go struct field .HostConfig.BlkioWeightDevice of type []*blkiodev.WeightDevice",
  ],
  ['{"HostConfig":{"ConsoleSize":[-1]}}', "number -1 into .HostConfig.ConsoleSize.0 of type uint"],
  ['{"HostConfig":{"PidsLimit":"a"}}', "string into Go struct field .HostConfig.PidsLimit of type int64"],
  ['{"StopTimeout":1e3}', "number 1e3 into Go struct field .StopTimeout of type int"],
  ['{"Healthcheck":{"Interval":"5s"}}', "string into Go struct field .Healthcheck.Interval of type time.Duration"],
  ['{"ExposedPorts":{"80/tcp":5}}', "number into Go struct field .ExposedPorts.80~1tcp of type struct {}"],
  ['{"Labels":{"a":1}}', "number into Go struct field .Labels.a of type string"],
  ['{"Cmd":[5]}', "array into Go value of type string"],
  ['{"Cmd":5}', "number into Go value of type string"],
];

for (const [text, message] of refused)
  test(`decode: ${text} is refused in Go's words`, () => {
    assert.throws(
      () => create(text),
      (error) => error instanceof JsonTypeError && error.message === `json: cannot unmarshal ${message}`,
    );
  });

test("decode: a body that is read into its own type names it", () => {
  assert.throws(() => decode(ExecOptions, parseJson('{"Cmd":5}').value, "named"), {
    message: "json: cannot unmarshal number into Go struct field ExecOptions.Cmd of type []string",
  });
  assert.throws(() => decode(ExecOptions, parseJson('{"Env":[5]}').value, "named"), {
    message: "json: cannot unmarshal number into ExecOptions.Env.0 of type string",
  });
});

test("decode: keys match in any case, the last of equal ones counts, unknown ones are ignored", () => {
  const { Image, Tty } = create('{"IMAGE":"a","image":"b","tTY":true,"Nonsense":{"x":[1]}}');
  assert.equal(Image, "b");
  assert.equal(Tty, true);
});

test("decode: null and absent are Go's zero value", () => {
  const config = create('{"Image":null,"Env":null,"Tty":null,"HostConfig":{"LogConfig":null,"ConsoleSize":[7]}}');
  assert.equal(config.Image, "");
  assert.equal(config.Env, null);
  assert.equal(config.Labels, null);
  assert.equal(config.StopTimeout, null);
  assert.deepEqual(config.HostConfig?.LogConfig, { Type: "", Config: null });
  assert.deepEqual(config.HostConfig?.ConsoleSize, [7, 0]);
  assert.equal(config.NetworkingConfig, null);
  assert.deepEqual(create("null"), zero(CreateRequest));
});

test("decode: a key that is there twice is decoded into what is there already, and a null leaves it unless it can be null", () => {
  const { HostConfig, ...config } = create(`{
    "Image":"a", "image":null, "Tty":true, "TTY":null, "Cmd":["a"], "cmd":null, "Labels":{"a":"1","b":"2"}, "labels":{"b":"3"},
    "HostConfig":{"Memory":1,"CpuShares":2,"ConsoleSize":[3,4],"Dns":["a","b"]},
    "HostConfig":{"Memory":5,"CpuShares":null,"ConsoleSize":[null,5],"Dns":[null]}
  }`);
  assert.deepEqual([config.Image, config.Tty, config.Cmd], ["a", true, null]);
  assert.deepEqual(config.Labels, { a: "1", b: "3" });
  assert.deepEqual([HostConfig?.Memory, HostConfig?.CpuShares, HostConfig?.ConsoleSize], [5, 2, [3, 5]]);
  assert.deepEqual(HostConfig?.Dns, ["a"]);
  assert.equal(create('{"Tty":true,"HostConfig":{"Memory":1},"HostConfig":null}').HostConfig, null);
  assert.equal(create('{"Ho\u017ftname":"a"}').Hostname, "a", "the long s is an s");
});

test("decode: one string is a command of one word, an empty list stays one", () => {
  assert.deepEqual(create('{"Cmd":"sh"}').Cmd, ["sh"]);
  assert.deepEqual(create('{"Cmd":[]}').Cmd, []);
  assert.deepEqual(create('{"Entrypoint":["a",null]}').Entrypoint, ["a", ""]);
});

test("decode: a label called __proto__ is a label, and pollutes nothing", () => {
  const { Labels } = create('{"Labels":{"__proto__":"x","constructor":"y"}}');
  assert.deepEqual(Object.entries(Labels ?? {}), [
    ["__proto__", "x"],
    ["constructor", "y"],
  ]);
  const hostile = create('{"__proto__":{"Privileged":true},"HostConfig":{"__proto__":{"Privileged":true}}}');
  assert.equal(hostile.HostConfig?.Privileged, false);
  assert.equal(Reflect.get({}, "Privileged"), undefined);
});

test("decode: a request that names no field of the configuration has none", () => {
  const names = (text: string) => mentions(ContainerConfig, parseJson(text).value);
  assert.equal(names('{"HostConfig":{},"Foo":1}'), false);
  assert.equal(names("null"), false);
  assert.equal(names('{"image":null}'), true);
});
