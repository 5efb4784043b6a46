-- The catalogue. The types are those that SQLite and PostgreSQL both read:
-- times are BIGINT microseconds since 1970 UTC, truth values BIGINT 0 and 1,
-- digests sha256 in hexadecimal.

-- +goose Up
CREATE TABLE models (
    name        TEXT   NOT NULL PRIMARY KEY,
    description TEXT   NOT NULL,
    labels      TEXT   NOT NULL, -- a JSON object of strings
    etag        BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- The last number given out per model and kind ('version', 'route', 'alias',
-- 'model'). A row outlives its model, so that no number comes twice.
CREATE TABLE sequences (
    model TEXT   NOT NULL,
    kind  TEXT   NOT NULL,
    last  BIGINT NOT NULL,
    PRIMARY KEY (model, kind)
);

CREATE TABLE versions (
    model          TEXT   NOT NULL REFERENCES models (name) ON DELETE CASCADE,
    number         BIGINT NOT NULL,
    digest         TEXT   NOT NULL,
    size           BIGINT NOT NULL,
    manifest       BYTEA  NOT NULL, -- as the probe gave it
    samples        BIGINT NOT NULL,
    max_difference DOUBLE PRECISION NOT NULL,
    output         TEXT   NOT NULL,
    precision_name TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    created_by     TEXT   NOT NULL,
    PRIMARY KEY (model, number),
    UNIQUE (model, digest)
);

CREATE TABLE version_files (
    model  TEXT   NOT NULL,
    number BIGINT NOT NULL,
    path   TEXT   NOT NULL,
    sha256 TEXT   NOT NULL,
    size   BIGINT NOT NULL,
    PRIMARY KEY (model, number, path),
    FOREIGN KEY (model, number) REFERENCES versions (model, number) ON DELETE CASCADE
);
CREATE INDEX version_files_by_sha256 ON version_files (sha256);

CREATE TABLE aliases (
    model      TEXT   NOT NULL,
    alias      TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    etag       BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (model, alias),
    FOREIGN KEY (model, number) REFERENCES versions (model, number)
);
CREATE INDEX aliases_by_version ON aliases (model, number);

-- Route revisions; the highest is in force. History may name versions that
-- were deleted since, hence no reference from the entries to the versions.
CREATE TABLE routes (
    model          TEXT   NOT NULL REFERENCES models (name) ON DELETE CASCADE,
    revision       BIGINT NOT NULL,
    rolled_back_to BIGINT NOT NULL, -- a revision; 0 when it was activated
    created_at     BIGINT NOT NULL,
    created_by     TEXT   NOT NULL,
    PRIMARY KEY (model, revision)
);

CREATE TABLE route_entries (
    model    TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    number   BIGINT NOT NULL,
    weight   BIGINT NOT NULL,
    PRIMARY KEY (model, revision, number),
    FOREIGN KEY (model, revision) REFERENCES routes (model, revision) ON DELETE CASCADE
);

CREATE TABLE uploads (
    id         TEXT   NOT NULL PRIMARY KEY,
    model      TEXT   NOT NULL,
    digest     TEXT   NOT NULL, -- of the version to be
    created_at BIGINT NOT NULL,
    created_by TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    number     BIGINT NOT NULL, -- the version that it became; 0 while it is open
    created    BIGINT NOT NULL  -- whether the commit made that version
);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);

CREATE TABLE upload_files (
    upload  TEXT   NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    path    TEXT   NOT NULL,
    sha256  TEXT   NOT NULL,
    size    BIGINT NOT NULL,
    PRIMARY KEY (upload, path)
);
CREATE INDEX upload_files_by_sha256 ON upload_files (sha256);

-- Contents that are stored in part. Uploads share them: one that was cut off
-- is taken up by the next that announces the same content.
CREATE TABLE partials (
    sha256  TEXT   NOT NULL PRIMARY KEY,
    durable BIGINT NOT NULL -- bytes of the partial file that were synced
);

-- Blobs that nothing refers to, and since when the sweep knows it.
CREATE TABLE condemned (
    sha256 TEXT   NOT NULL PRIMARY KEY,
    since  BIGINT NOT NULL
);

-- +goose Down
DROP TABLE condemned;
DROP TABLE partials;
DROP TABLE upload_files;
DROP TABLE uploads;
DROP TABLE route_entries;
DROP TABLE routes;
DROP TABLE aliases;
DROP TABLE version_files;
DROP TABLE versions;
DROP TABLE sequences;
DROP TABLE models;
