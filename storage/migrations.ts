/** In order; a released one is never edited. The database's user_version is the number of those it has seen. */
export const migrations: readonly string[] = [
  `
  CREATE TABLE blobs (
    digest TEXT PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    media_type TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE layers (
    chain_id TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,
    parent TEXT REFERENCES layers (chain_id),
    size_bytes INTEGER NOT NULL,
    snapshot_number INTEGER NOT NULL UNIQUE,
    -- The blob it was unpacked from. It may be dropped (a cache) and come back, so it is no foreign key.
    blob TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX layers_by_parent ON layers (parent);
  CREATE INDEX layers_by_blob ON layers (blob);
  CREATE INDEX layers_by_diff_id ON layers (diff_id);

  CREATE TABLE snapshots (
    container_id TEXT PRIMARY KEY,
    parent TEXT REFERENCES layers (chain_id),
    snapshot_number INTEGER NOT NULL UNIQUE
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX snapshots_by_parent ON snapshots (parent);

  CREATE TABLE images (
    id TEXT PRIMARY KEY,
    parent TEXT,
    top_chain_id TEXT REFERENCES layers (chain_id),
    manifest_digest TEXT,
    document TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX images_by_parent ON images (parent);
  CREATE INDEX images_by_top_chain_id ON images (top_chain_id);
  CREATE INDEX images_by_manifest_digest ON images (manifest_digest);

  CREATE TABLE image_references (
    reference TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX image_references_by_image ON image_references (image_id);
  CREATE INDEX image_references_by_repository ON image_references (repository);

  CREATE TABLE distribution (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    diff_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    repository TEXT NOT NULL,
    UNIQUE (diff_id, digest, repository)
  ) STRICT;
  CREATE INDEX distribution_by_digest ON distribution (digest);

  CREATE TABLE containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE documents (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT, WITHOUT ROWID;
  `,
  // What the unpacked files hash to (archive/fingerprint.ts), for layers whose blob has been dropped.
  "ALTER TABLE layers ADD COLUMN fingerprint TEXT",
  // Images that containers have mounted read-only.
  `
  CREATE TABLE views (
    container_id TEXT NOT NULL,
    destination TEXT NOT NULL,
    parent TEXT REFERENCES layers (chain_id),
    PRIMARY KEY (container_id, destination)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX views_by_parent ON views (parent);
  `,
  // The length of the layer's tar; unknown where an older engine unpacked it.
  "ALTER TABLE layers ADD COLUMN tar_bytes INTEGER",
  // What a writable layer holds, while nobody can write to it.
  "ALTER TABLE snapshots ADD COLUMN size_bytes INTEGER",
  // The manifest under which the content folder's index names the image.
  `
  ALTER TABLE images ADD COLUMN layout_manifest TEXT;
  CREATE INDEX images_by_layout_manifest ON images (layout_manifest);
  `,
  // How the blob is compressed; unknown where an older engine noted it.
  "ALTER TABLE distribution ADD COLUMN media_type TEXT",
  // The manifest that an image came by, for each of its names.
  `
  CREATE TABLE image_origins (
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    reference TEXT NOT NULL,
    manifest TEXT NOT NULL,
    platform TEXT,
    PRIMARY KEY (image_id, reference)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX image_origins_by_manifest ON image_origins (manifest);
  `,
];
