-- The tables of a store. Texts and the fields of messages are bytes that the program wrote: jsonb refuses \u0000, and
-- so does text. Names are compared byte by byte, as the program does.

CREATE SCHEMA slipstream;
COMMENT ON SCHEMA slipstream IS 'a store of the Slipstream relay';

-- What there is once. The lock of this row is the order of the store: whoever gives sequences, or changes peers or
-- dead letters, holds it until the commit is durable and visible. So packs become visible in ascending order.
CREATE TABLE slipstream.head (
    one             boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema_version  integer NOT NULL,
    next_pack       bigint NOT NULL,            -- packs from this number on were never given
    roster          bigint NOT NULL,            -- how often what messages are routed by was changed
    identities      bigint NOT NULL,            -- how many identities are remembered
    identities_from bigint NOT NULL,            -- below this sequence no identity is
    trace_bytes     bigint NOT NULL,            -- what the fields of all traces take
    whole_since     bigint NOT NULL,            -- what was received before this may have left for the size of traces
    relay           text COLLATE "C"            -- the id of this relay
) WITH (fillfactor = 20);

-- The processes that use the store. Each commit locks the row of its own, so that a process whose row was deleted
-- commits nothing more, and one commit of a process waits for another whose link was lost.
CREATE TABLE slipstream.process (
    origin  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program text NOT NULL
);

-- How often each has counted up. It is not in the row that commits lock: a process also beats while its commit waits.
CREATE TABLE slipstream.beat (
    origin bigint PRIMARY KEY,
    beats  bigint NOT NULL
) WITH (fillfactor = 20);

-- What one process at a time is to do.
CREATE TABLE slipstream.duty (
    name  text COLLATE "C" PRIMARY KEY,
    owner bigint NOT NULL
);

-- The claims that another process took, until whoever had them was told.
CREATE TABLE slipstream.lost (
    no    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner bigint NOT NULL,
    peer  text COLLATE "C" NOT NULL
);
CREATE INDEX lost_owner ON slipstream.lost (owner);

CREATE TABLE slipstream.peer (
    id        text COLLATE "C" PRIMARY KEY,
    kind      text NOT NULL CHECK (kind IN ('application', 'relay')),
    grp       text COLLATE "C" NOT NULL,
    tags      text[] COLLATE "C" NOT NULL,
    durable   boolean NOT NULL,
    last_seen bigint NOT NULL,
    alias     text COLLATE "C",
    paused    boolean NOT NULL,
    owner     bigint                            -- the process that has claimed its link; null: none
);

-- The messages of a commit, up to 4,096. The sequence of one is no * 4096 + its index + 1.
CREATE TABLE slipstream.pack (
    no           bigint PRIMARY KEY,
    writer       bigint NOT NULL,               -- the process that made it
    origin       bigint,                        -- redriven: the sequence that the message was recorded under
    redriven_for text COLLATE "C",              -- redriven: whose dead letter it was
    received     bigint NOT NULL,               -- the latest time at which one of its messages was received
    expires_min  bigint,                        -- the earliest expiry of one that may be pending
    done_at      bigint,                        -- all deliveries were settled by then, and none is a dead letter
    count        integer NOT NULL,
    recorded     bit varying NOT NULL,          -- which indexes have a message; the others were recorded before
    meta_ends    integer[],                     -- where the fields of each message end
    meta         bytea,                         -- the fields of the messages; null once the trace was forgotten
    routes       bytea,                         -- the ways that they came
    expires      bigint[],                      -- the expiry of each, if one has any
    text_ends    integer[],                     -- where each text ends
    texts        bytea,                         -- the texts; null once nobody is owed any of them
    kept         integer NOT NULL,              -- how many messages' texts are there; those of the others are empty
    sent_to      text[] COLLATE "C",            -- who was owed messages of it at first
    sent_bits    bit varying[]                  -- and which
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000);
-- Texts are read in parts, and what compresses them does more than a commit otherwise.
ALTER TABLE slipstream.pack ALTER meta SET STORAGE EXTERNAL, ALTER texts SET STORAGE EXTERNAL,
    ALTER meta_ends SET STORAGE EXTERNAL, ALTER text_ends SET STORAGE EXTERNAL;
CREATE INDEX pack_done ON slipstream.pack (done_at, no) WHERE done_at IS NOT NULL AND meta IS NOT NULL AND origin IS NULL;
CREATE INDEX pack_expires ON slipstream.pack (expires_min, no) WHERE expires_min IS NOT NULL;
CREATE INDEX pack_origin ON slipstream.pack (origin) WHERE origin IS NOT NULL;

-- What makes each message the message it is. An import is no record and has no fingerprint.
CREATE TABLE slipstream.message (
    seq         bigint PRIMARY KEY,
    fingerprint bigint,
    received    bigint NOT NULL,
    id          text COLLATE "C" NOT NULL,
    grp         text COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
CREATE INDEX message_identity ON slipstream.message (id, grp);

-- The pending deliveries: of a pack those of a peer, a bit for each message.
CREATE TABLE slipstream.owed (
    pack bigint NOT NULL,
    peer text COLLATE "C" NOT NULL,
    bits bit varying NOT NULL,
    PRIMARY KEY (pack, peer)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000);
CREATE INDEX owed_peer ON slipstream.owed (peer, pack);

-- How deliveries were settled; rows are only added. 1 acknowledged, 2 superseded, 3 expired, 4 dead.
CREATE TABLE slipstream.settled (
    pack  bigint NOT NULL,
    peer  text COLLATE "C" NOT NULL,
    state smallint NOT NULL,
    at    bigint NOT NULL,
    bits  bit varying NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000);
CREATE INDEX settled_pack ON slipstream.settled (pack);

-- Attempts of pending deliveries that were noted.
CREATE TABLE slipstream.attempt (
    peer   text COLLATE "C" NOT NULL,
    seq    bigint NOT NULL,
    number bigint NOT NULL,
    at     bigint NOT NULL,
    PRIMARY KEY (peer, seq)
) WITH (fillfactor = 80);

-- Deliveries that were given up, each with the whole message.
CREATE TABLE slipstream.dead (
    seq      bigint NOT NULL,
    peer     text COLLATE "C" NOT NULL,
    origin   bigint NOT NULL,                   -- the sequence that the message was recorded under
    id       text COLLATE "C" NOT NULL,
    grp      text COLLATE "C" NOT NULL,
    reason   bytea NOT NULL,                    -- UTF-8
    class    text COLLATE "C" NOT NULL,
    attempts bigint NOT NULL,
    dead_at  bigint NOT NULL,
    received bigint NOT NULL,
    expires  bigint,
    meta     bytea NOT NULL,
    text     bytea NOT NULL,
    PRIMARY KEY (seq, peer)
);
ALTER TABLE slipstream.dead ALTER text SET STORAGE EXTERNAL;
CREATE INDEX dead_origin ON slipstream.dead (origin);
CREATE INDEX dead_peer ON slipstream.dead (peer, class, dead_at);
CREATE INDEX dead_id ON slipstream.dead (id);

-- The stamps that were seen, 4,096 numbers of an epoch in a row.
CREATE TABLE slipstream.seen (
    epoch    bytea NOT NULL,
    block    bigint NOT NULL,
    bits     bit(4096) NOT NULL,
    received bigint NOT NULL,                   -- the latest time at which a message with one of them was received
    PRIMARY KEY (epoch, block)
) WITH (fillfactor = 50);
CREATE INDEX seen_received ON slipstream.seen (received);

INSERT INTO slipstream.head (schema_version, next_pack, roster, identities, identities_from, trace_bytes, whole_since)
VALUES (1, 0, 0, 0, 1, 0, 0);

-- The texts that are kept, to be read by people.
CREATE VIEW slipstream.texts AS
SELECT p.no * 4096 + i + 1 AS sequence, coalesce(m.grp, o.grp) AS "group", coalesce(m.id, o.id) AS id,
       to_timestamp(p.received / 1000.0) AS received,
       convert_from(substring(p.texts FROM coalesce(p.text_ends[i], 0) + 1
                              FOR p.text_ends[i + 1] - coalesce(p.text_ends[i], 0)), 'UTF8') AS text
FROM slipstream.pack p
CROSS JOIN LATERAL generate_series(0, p.count - 1) i
LEFT JOIN slipstream.message m ON m.seq = p.no * 4096 + i + 1
LEFT JOIN slipstream.message o ON o.seq = p.origin
WHERE p.text_ends[i + 1] > coalesce(p.text_ends[i], 0);
