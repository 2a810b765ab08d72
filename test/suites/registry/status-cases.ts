import { json, listed, status, twist } from "./answers.ts";
import type { Case } from "./run.ts";

const statuses: Case[] = (["ping", "manifest", "head", "get", "config", "layer"] as const).flatMap((part) =>
  [400, 401, 403, 404, 405, 416, 418, 429, 451, 500, 502, 503, 504, 204, 302].map(
    (code): Case => [`pull ${part} ${code}`, twist(part, status(code))],
  ),
);
const codes: Case[] = (["manifest", "config", "layer"] as const).flatMap((part) =>
  [
    [401, "UNAUTHORIZED"],
    [403, "DENIED"],
    [404, "MANIFEST_UNKNOWN"],
    [404, "NAME_UNKNOWN"],
    [404, "BLOB_UNKNOWN"],
    [400, "NAME_INVALID"],
    [429, "TOOMANYREQUESTS"],
    [400, "UNSUPPORTED"],
    [400, "STRANGE"],
    [404, "MANIFEST_INVALID"],
    [400, "TAG_INVALID"],
  ].flatMap(([code, word]): Case[] => [
    [
      `pull ${part} ${code} ${word} with words`,
      twist(part, listed(Number(code), { code: word, message: "words", detail: { a: 1 } })),
    ],
    [`pull ${part} ${code} ${word} bare`, twist(part, listed(Number(code), { code: word }))],
  ]),
);

const bodies: Case[] = [
  [
    "pull manifest 400 two errors",
    twist("manifest", listed(400, { code: "NAME_INVALID", message: "one" }, { code: "DENIED", message: "two" })),
  ],
  [
    "pull manifest 404 two errors",
    twist("manifest", listed(404, { code: "MANIFEST_UNKNOWN", message: "one" }, { code: "DENIED", message: "two" })),
  ],
  ["pull manifest 404 no errors", twist("manifest", status(404, json, '{"errors":[]}'))],
  ["pull manifest 404 null", twist("manifest", status(404, json, "null"))],
  ["pull manifest 404 broken json", twist("manifest", status(404, json, '{"errors":'))],
  [
    "pull manifest 404 html",
    twist("manifest", status(404, { "content-type": "text/html; charset=utf-8" }, "<html>no</html>")),
  ],
  ["pull manifest 404 html as json", twist("manifest", status(404, json, "<html>no</html>"))],
  ["pull manifest 401 html as json", twist("manifest", status(401, json, "<html>no</html>"))],
  ["pull manifest 404 details", twist("manifest", status(404, json, '{"details":"what it is"}'))],
  ["pull manifest 403 details", twist("manifest", status(403, json, '{"details":"what it is"}'))],
  [
    "pull manifest 404 problem json",
    twist(
      "manifest",
      status(404, { "content-type": "application/vnd.api+json" }, '{"errors":[{"code":"DENIED","message":"x"}]}'),
    ),
  ],
  [
    "pull manifest 404 broken content type",
    twist("manifest", status(404, { "content-type": "application/json; =" }, "{}")),
  ],
  [
    "pull manifest 404 number as message",
    twist("manifest", status(404, json, '{"errors":[{"code":"DENIED","message":5}]}')),
  ],
  ["pull manifest 404 errors is a string", twist("manifest", status(404, json, '{"errors":"no"}'))],
  ["pull manifest 404 error without code", twist("manifest", status(404, json, '{"errors":[{"message":"m"}]}'))],
  ["pull manifest 404 trailing", twist("manifest", status(404, json, '{"errors":[]} x'))],
  [
    "pull manifest 401 challenge invalid_token",
    twist(
      "manifest",
      status(401, { "www-authenticate": 'Bearer realm="http://127.0.0.1:1/",error="invalid_token"' }, "no"),
    ),
  ],
  [
    "pull manifest 401 challenge insufficient_scope",
    twist(
      "manifest",
      status(
        401,
        {
          "www-authenticate":
            'Bearer realm="http://127.0.0.1:1/",error="insufficient_scope",error_description="more please"',
          ...json,
        },
        '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}',
      ),
    ),
  ],
  [
    "pull layer 429 once with retry-after",
    twist("layer", (_, response, count) => (count === 1 ? status(429, { "retry-after": "1" })(_, response, 1) : false)),
  ],
  [
    "pull layer 503 once with retry-after",
    twist("layer", (_, response, count) => (count === 1 ? status(503, { "retry-after": "1" })(_, response, 1) : false)),
  ],
  ["pull layer 503 once", twist("layer", (_, response, count) => (count === 1 ? status(503)(_, response, 1) : false))],
  [
    "pull config 503 twice",
    twist("config", (_, response, count) => (count <= 2 ? status(503)(_, response, 1) : false)),
  ],
  ["pull manifest 503 once", twist("get", (_, response, count) => (count === 1 ? status(503)(_, response, 1) : false))],
];

export const statusCases: readonly Case[] = [...statuses, ...codes, ...bodies];
