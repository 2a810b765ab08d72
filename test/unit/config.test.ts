import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { DaemonConfig } from "#daemon/config/config";
import { type Invocation, loadConfig } from "#daemon/config/load";

/** What dockerd 28.5.2 said to the same flags and files (`dockerd --validate …`). */

class ConfigFile implements Disposable {
  readonly #folder = mkdtempSync("/var/tmp/tools-config-");
  readonly path = join(this.#folder, "daemon.json");
  constructor(text: string | Buffer) {
    writeFileSync(this.path, text);
  }
  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

function load(...argv: string[]): DaemonConfig {
  const invocation: Invocation = loadConfig(argv, {});
  if (invocation.kind !== "run") assert.fail(invocation.kind);
  return invocation.configuration.config;
}

test("config: without flags it is dockerd's", () => {
  using empty = new ConfigFile("");
  const config = load("--config-file", empty.path);
  assert.deepEqual(config.hosts, ["unix:///var/run/docker.sock"]);
  assert.equal(config.dataRoot, "/var/lib/docker");
  assert.equal(config.execRoot, "/var/run/docker");
  assert.equal(config.logDriver, "json-file");
  assert.equal(config.defaultShmSizeBytes, 64 << 20);
  assert.equal(config.bridge.mtu, 1500);
  assert.equal(config.bridge.isFirewallEnabled, true);
  assert.equal(config.maxConcurrentDownloads, 3);
  assert.equal(config.defaultRuntime, undefined);
  assert.equal(config.tls.isEnabled, false);
});

test("config: flags in every spelling", () => {
  using empty = new ConfigFile("");
  const config = load(
    ...["--config-file", empty.path, "-D", "-Hunix:///b", "-H", "tcp://127.0.0.1", "--host=unix:///a"],
    ...["--iptables=false", "--label", "a=1", "--label=b=2", "--log-opt", "max-size=1m", "--log-opt=tag=x=y"],
    ...["--default-ulimit", "nofile=10:20", "--add-runtime", "Kata=/bin/kata", "--default-shm-size", "1.5g"],
    ...["--default-address-pool", "base=10.1.0.0/16,size=24", "--dns", "1.1.1.1,::1", "--dns=9.9.9.9"],
    ...["--default-network-opt", "bridge=com.x=1=2", "--feature", "a", "--feature", "b=false", "-b", "br9"],
  );
  assert.equal(config.isDebug, true);
  assert.deepEqual(config.hosts, ["tcp://127.0.0.1:2375", "unix:///a", "unix:///b"]);
  assert.equal(config.bridge.isFirewallEnabled, false);
  assert.deepEqual(config.labels, ["a=1", "b=2"]);
  assert.deepEqual(config.logOptions, { "max-size": "1m", tag: "x=y" });
  assert.deepEqual(config.defaultUlimits, { nofile: { Name: "nofile", Hard: 20, Soft: 10 } });
  assert.deepEqual(config.runtimes, { kata: { path: "/bin/kata", args: [] } });
  assert.equal(config.defaultShmSizeBytes, 1.5 * 1024 ** 3);
  assert.deepEqual(config.defaultAddressPools, [{ base: "10.1.0.0/16", size: 24 }]);
  assert.deepEqual(config.dns, ["1.1.1.1", "::1", "9.9.9.9"]);
  assert.deepEqual(config.defaultNetworkOptions, { bridge: { "com.x": "1=2" } });
  assert.deepEqual(config.features, { a: true, b: false });
  assert.equal(config.bridge.name, "br9");
});

test("config: a file says the same things in its own way", () => {
  using file = new ConfigFile(
    JSON.stringify({
      "insecure-registries": ["a"],
      "default-ulimits": { nofile: { Name: "nofile", Hard: 1, Soft: 1 } },
      runtimes: { x: { path: "/y", runtimeArgs: ["a"] } },
      "default-address-pools": [{ base: "10.0.0.0/8", size: 24 }],
      iptables: false,
      proxies: { "http-proxy": "http://p" },
      hosts: ["unix:///s"],
      "log-opts": { "max-size": "1k" },
    }),
  );
  const config = load("--config-file", file.path, "--add-runtime", "z=/z");
  assert.deepEqual(config.insecureRegistries, ["a"]);
  assert.deepEqual(config.runtimes, { x: { path: "/y", args: ["a"] }, z: { path: "/z", args: [] } });
  assert.equal(config.bridge.isFirewallEnabled, false);
  assert.equal(config.proxies.http, "http://p");
  assert.deepEqual(config.hosts, ["unix:///s"]);
});

test("config: a file may be UTF-16 with a byte order mark", () => {
  using file = new ConfigFile(Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('{"debug":true}', "utf16le")]));
  assert.equal(load("--config-file", file.path).isDebug, true);
});

/** A key and a certificate that signs itself. */
class Identity implements Disposable {
  readonly #folder = mkdtempSync("/var/tmp/tools-config-");
  readonly certFile = join(this.#folder, "cert.pem");
  readonly keyFile = join(this.#folder, "key.pem");
  constructor() {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", this.keyFile];
    execFileSync("openssl", ["req", "-x509", ...key, "-out", this.certFile, "-subj", "/CN=x"], { stdio: "ignore" });
  }
  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

test("config: TLS verifies unless told not to, and tlsverify alone turns it on", () => {
  using empty = new ConfigFile("");
  using identity = new Identity();
  const files = ["--tlscacert", identity.certFile, "--tlscert", identity.certFile, "--tlskey", identity.keyFile];
  const tls = (...flags: string[]) => {
    const { isEnabled, isClientVerified } = load("--config-file", empty.path, ...files, ...flags).tls;
    return [isEnabled, isClientVerified];
  };
  assert.deepEqual(tls("--tls"), [true, true]);
  assert.deepEqual(tls("--tlsverify"), [true, true]);
  assert.deepEqual(tls("--tlsverify=false"), [true, false]);
  assert.deepEqual(tls(), [false, false]);
});

test("config: TLS without files that fit is refused before anything starts, in dockerd's words", () => {
  using empty = new ConfigFile("");
  using identity = new Identity();
  using other = new Identity();
  const { certFile, keyFile } = identity;
  const refusal = (ca: string, cert: string, key: string) => {
    const flags = ["--tlsverify", "--tlscacert", ca, "--tlscert", cert, "--tlskey", key];
    try {
      loadConfig(["--validate", "--config-file", empty.path, ...flags], {});
    } catch (error) {
      return error instanceof Error ? error.message.replace("invalid TLS configuration: ", "") : error;
    }
    return undefined;
  };
  const unreadable = (cert: string, key: string, reason: string) =>
    `Error reading X509 key pair (cert: "${cert}", key: "${key}"): ${reason}. Make sure the key is not encrypted.`;
  assert.equal(refusal(certFile, certFile, keyFile), undefined);
  assert.equal(
    refusal(certFile, "/nope", keyFile),
    `Could not load X509 key pair (cert: "/nope", key: "${keyFile}"): open /nope: no such file or directory`,
  );
  const mismatch = unreadable(certFile, other.keyFile, "tls: private key does not match public key");
  assert.equal(refusal(certFile, certFile, other.keyFile), mismatch);
  const empties = unreadable(empty.path, keyFile, "tls: failed to find any PEM data in certificate input");
  assert.equal(refusal(certFile, empty.path, keyFile), empties);
  assert.equal(refusal(keyFile, certFile, keyFile), `failed to append certificates from PEM file: "${keyFile}"`);
  assert.equal(
    refusal("/nope", certFile, keyFile),
    'could not read CA certificate "/nope": open /nope: no such file or directory',
  );
});

test("config: what dockerd has given up but still takes is taken", () => {
  using file = new ConfigFile('{"log-level":"","log-format":"","default-ipc-mode":"","restart":true}');
  const config = load("--config-file", file.path, "--allow-nondistributable-artifacts", "x", "--api-cors-header=");
  assert.deepEqual([config.logLevel, config.logFormat, config.defaultIpcMode], ["info", "text", "private"]);
});

test("config: whole numbers are read as Go reads them, in any base", () => {
  using empty = new ConfigFile("");
  const mtu = (text: string) => load("--config-file", empty.path, "--mtu", text).bridge.mtu;
  assert.deepEqual(["0x5dc", "02734", "0b11", "1_500", "+9"].map(mtu), [1500, 1500, 3, 1500, 9]);
});

const badFlags: Readonly<Record<string, string>> = {
  "--bogus": "unknown flag: --bogus",
  "--no-such=1": "unknown flag: --no-such",
  "-Z": "unknown shorthand flag: 'Z' in -Z",
  "--mtu": "flag needs an argument: --mtu",
  "--mtu abc": 'invalid argument "abc" for "--mtu" flag: strconv.ParseInt: parsing "abc": invalid syntax',
  "--debug=maybe":
    'invalid argument "maybe" for "-D, --debug" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
  "--mtu 1__0": 'invalid argument "1__0" for "--mtu" flag: strconv.ParseInt: parsing "1__0": invalid syntax',
  "--mtu 99999999999999999999":
    'invalid argument "99999999999999999999" for "--mtu" flag: strconv.ParseInt: parsing "99999999999999999999": value out of range',
  "--label bad": 'invalid argument "bad" for "--label" flag: bad attribute format: bad',
  "-H foo://x": `invalid argument "foo://x" for "-H, --host" flag: invalid bind address (foo://x): unsupported proto 'foo'`,
  "-H tcp://127.0.0.1:0":
    'invalid argument "tcp://127.0.0.1:0" for "-H, --host" flag: invalid bind address (tcp://127.0.0.1:0): invalid port: 0',
  "-H tcp://127.0.0.1:2375/x":
    'invalid argument "tcp://127.0.0.1:2375/x" for "-H, --host" flag: invalid bind address (tcp://127.0.0.1:2375/x): should not contain a path element',
  "--default-ulimit x=1": 'invalid argument "x=1" for "--default-ulimit" flag: invalid ulimit type: x',
  "--default-ulimit nofile=1:2:3":
    'invalid argument "nofile=1:2:3" for "--default-ulimit" flag: too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`',
  "--add-runtime foo": 'invalid argument "foo" for "--add-runtime" flag: invalid runtime argument: foo',
  "--registry-mirror ftp://x": `invalid argument "ftp://x" for "--registry-mirror" flag: invalid mirror: unsupported scheme "ftp" in "ftp://x": must use either 'https://' or 'http://'`,
  "--dns abc": 'invalid argument "abc" for "--dns" flag: invalid string being converted to IP address: abc',
  "--default-shm-size foo": `invalid argument "foo" for "--default-shm-size" flag: invalid size: 'foo'`,
  "--dns-search !": 'invalid argument "!" for "--dns-search" flag: ! is not a valid domain',
  "--ip x": 'invalid argument "x" for "--ip" flag: failed to parse IP: "x"',
  "--default-network-opt a=b":
    'invalid argument "a=b" for "--default-network-opt" flag: invalid value "a=b" for map option, should be root-key=key=value',
  "--network-diagnostic-port=70000": "invalid network-diagnostic-port (70000): value must be between 0 and 65535",
  "--api-cors-header *":
    'DEPRECATED: The "api-cors-header" config parameter and the dockerd "--api-cors-header" option have been removed; use a reverse proxy if you need CORS headers',
  "--mtu=-1": "invalid default MTU: -1",
  "--log-level nope": "invalid logging level: nope",
  "--exec-opt a": "invalid exec-opt (a): must be formatted 'opt=value'",
  "--default-cgroupns-mode x": 'invalid default cgroup namespace (x): use "host" or "private"',
  "--default-ipc-mode host": 'IPC mode "host" is not supported as default value; use "shareable" or "private"',
  "--label a=1 --label a=2": "conflict labels for a=2 and a=1",
};
for (const [line, message] of Object.entries(badFlags)) {
  test(`config: ${line} is refused as by dockerd`, () => {
    assert.throws(() => loadConfig(line.split(" "), {}), { message });
  });
}

const badFiles: Readonly<Record<string, string>> = {
  '{"bogus":1}': "the following directives don't match any configuration option: bogus",
  '{"hosts":"x"}': "invalid JSON: json: cannot unmarshal string into Go struct field Config.hosts of type []string",
  '{"debug":{}}': "invalid JSON: json: cannot unmarshal object into Go struct field Config.debug of type bool",
  '{"group":1.5}': "invalid JSON: json: cannot unmarshal number into Go struct field Config.group of type string",
  '{"mtu":1.5}': "invalid JSON: json: cannot unmarshal number 1.5 into Go struct field Config.mtu of type int",
  '{"mtu":"x"}': "invalid JSON: json: cannot unmarshal string into Go struct field Config.mtu of type int",
  "[]": "invalid JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
  '{"log-level":"x"}':
    "merged configuration validation from file and command line flags failed: invalid logging level: x",
  '{"labels":["x"]}':
    "merged configuration validation from file and command line flags failed: bad attribute format: x",
};
for (const [text, reason] of Object.entries(badFiles)) {
  test(`config: a file with ${text} is refused as by dockerd`, () => {
    using file = new ConfigFile(text);
    const message = `unable to configure the Docker daemon with file ${file.path}: ${reason}`;
    assert.throws(() => loadConfig(["--config-file", file.path], {}), { message });
  });
}

test("config: what stands in the file and among the flags is a conflict", () => {
  using file = new ConfigFile('{"labels":["a=b"],"debug":true}');
  const what = "the following directives are specified both as a flag and in the configuration file";
  const message = `unable to configure the Docker daemon with file ${file.path}: ${what}: debug: (from flag: true, from file: true), labels: (from flag: [x=y], from file: [a=b])`;
  assert.throws(() => loadConfig(["--config-file", file.path, "--label", "x=y", "-D"], {}), { message });
});

test("config: a file that is asked for by name must be there", () => {
  const path = "/var/tmp/no-such-daemon.json";
  const message = `unable to configure the Docker daemon with file ${path}: open ${path}: no such file or directory`;
  assert.throws(() => loadConfig(["--config-file", path], {}), { message });
});

test("config: a password in a proxy does not show in a conflict", () => {
  using file = new ConfigFile('{"http-proxy":"http://u:secret@h"}');
  assert.throws(
    () => loadConfig(["--config-file", file.path, "--http-proxy", "http://u:hidden@h"], {}),
    (error: Error) => !/secret|hidden/.test(error.message),
  );
});

test("config: --validate, --version and --help start nothing", () => {
  assert.equal(loadConfig(["--validate"], {}).kind, "validated");
  assert.equal(loadConfig(["-v"], {}).kind, "version");
  assert.equal(loadConfig(["--help"], {}).kind, "help");
});
