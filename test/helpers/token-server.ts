import { sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";

/** Gives signed tokens to one user, and the right to pull to everybody (distribution docs, spec/auth). */
export class TokenServer implements AsyncDisposable {
  /** What was asked for: `POST repository:x:pull`. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #user: { readonly name: string; readonly password: string };
  #folder = "";

  private constructor(server: Server, user: { readonly name: string; readonly password: string }) {
    this.#server = server;
    this.#user = user;
  }

  static async start(user: { readonly name: string; readonly password: string }): Promise<TokenServer> {
    const server = createServer((request, response) => {
      void tokens.#answer(request).then((reply) => {
        response.writeHead(reply === undefined ? 401 : 200, { "content-type": "application/json" });
        response.end(JSON.stringify(reply ?? { details: "incorrect username or password" }));
      });
    });
    const tokens = new TokenServer(server, user);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return tokens;
  }

  get realm(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/token`;
  }

  /** Signs with the key of the registry in this folder from now on. */
  serve(folder: string): void {
    this.#folder = folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage): Promise<object | undefined> {
    const query = new URL(request.url ?? "", this.realm).searchParams;
    const form = new URLSearchParams(await text(request));
    const scopes = [...query.getAll("scope"), ...(form.get("scope")?.split(" ") ?? [])].filter((scope) => scope !== "");
    this.asked.push([request.method, ...scopes].join(" "));
    const { name, password } = this.#user;
    const { authorization } = request.headers;
    const isKnown = authorization === `Basic ${btoa(`${name}:${password}`)}` || form.get("refresh_token") === "refresh";
    if (!isKnown && (authorization !== undefined || form.has("refresh_token"))) return undefined;
    const token = this.#sign(scopes, isKnown ? ["pull", "push"] : ["pull"]);
    const refresh = query.has("offline_token") ? { refresh_token: "refresh" } : {};
    return { ...(request.method === "POST" ? { access_token: token } : { token }), expires_in: 60, ...refresh };
  }

  #sign(scopes: readonly string[], allowed: readonly string[]): string {
    const now = Math.floor(Date.now() / 1000);
    const certificate = readFileSync(join(this.#folder, "ca.crt"), "utf8").replace(/-----[^-]+-----|\s/g, "");
    const access = scopes.map((scope) => {
      const [type, name, actions = ""] = scope.split(":");
      return { type, name, actions: actions.split(",").filter((action) => allowed.includes(action)) };
    });
    const claims = {
      iss: "test",
      aud: "registry",
      sub: "",
      jti: String(now),
      iat: now,
      nbf: now - 10,
      exp: now + 60,
      access,
    };
    const parts = [{ typ: "JWT", alg: "RS256", x5c: [certificate] }, claims];
    const body = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const key = readFileSync(join(this.#folder, "key.pem"));
    return `${body}.${sign("sha256", Buffer.from(body), key).toString("base64url")}`;
  }
}
