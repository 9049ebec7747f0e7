-- Small functions on bits, and what ends packs.

-- A mask as long as some bits.
CREATE FUNCTION slipstream.fit(mask bit varying, length integer) RETURNS bit varying
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substring(mask || repeat('0', 4096)::bit varying FROM 1 FOR length);

-- So many bits with this one set.
CREATE FUNCTION slipstream.one_bit(index integer, length integer) RETURNS bit varying
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN set_bit(repeat('0', length)::bit varying, index, 1);

-- Whether this bit is set; beyond the end none is.
CREATE FUNCTION slipstream.is_set(bits bit varying, index integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN index < length(bits) THEN get_bit(bits, index) = 1 ELSE false END;

-- The part of all bytes that belongs to this index.
CREATE FUNCTION slipstream.part(bytes bytea, ends integer[], index integer) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substring(bytes FROM coalesce(ends[index], 0) + 1 FOR ends[index + 1] - coalesce(ends[index], 0));

-- Those packs of which few of the messages that are kept are owed to anybody.
CREATE FUNCTION slipstream.sparse_packs(packs bigint[]) RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT p.no FROM slipstream.pack p
        WHERE p.no = ANY (packs) AND p.kept >= 4
          AND (SELECT bit_count(bit_or(o.bits)) * 4 FROM slipstream.owed o WHERE o.pack = p.no) <= p.kept);
END $$;

-- Keeps of these packs only the texts that somebody is owed. Returns how many bytes of texts went. A quarter is left of
-- the messages each time, at most, so that a text is written again a few times in all.
CREATE FUNCTION slipstream.shrink_packs(packs bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    freed bigint;
BEGIN
    WITH kept AS (
        SELECT p.no, octet_length(p.texts) AS before, o.live, t.texts, t.ends
        FROM slipstream.pack p
        CROSS JOIN LATERAL (SELECT bit_or(bits) AS live FROM slipstream.owed WHERE pack = p.no) o
        CROSS JOIN LATERAL (
            SELECT string_agg(e.text, '' ORDER BY i) AS texts, array_agg(e.stop::integer ORDER BY i) AS ends
            FROM (SELECT i, text, sum(octet_length(text)) OVER (ORDER BY i) AS stop
                  FROM (SELECT i, CASE WHEN slipstream.is_set(o.live, i)
                                       THEN slipstream.part(p.texts, p.text_ends, i) ELSE '' END AS text
                        FROM generate_series(0, p.count - 1) i) x) e) t
        WHERE p.no = ANY (packs)),
    shrunk AS (
        UPDATE slipstream.pack p SET texts = k.texts, text_ends = k.ends, kept = bit_count(k.live)
        FROM kept k WHERE p.no = k.no RETURNING k.before - octet_length(k.texts) AS freed)
    SELECT coalesce(sum(shrunk.freed), 0) INTO freed FROM shrunk;
    RETURN freed;
END $$;

-- Lets the texts go of those packs that nobody is owed any message of, and says of those of which nothing is open that
-- they are done. Of those that are sparse it keeps what is owed. Returns how many bytes of texts went.
--
-- The lock of a pack is held meanwhile: of two commits that each settle one of its last two deliveries, the second sees
-- that the first has.
CREATE FUNCTION slipstream.close_packs(packs bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    freed bigint;
    origins bigint[];
    sparse bigint[];
BEGIN
    PERFORM 1 FROM slipstream.pack WHERE no = ANY (packs) ORDER BY no FOR UPDATE;
    SELECT sum(octet_length(p.texts)) INTO freed FROM slipstream.pack p
    WHERE p.no = ANY (packs) AND (SELECT true FROM slipstream.owed o WHERE o.pack = p.no LIMIT 1) IS NULL;
    WITH closed AS (
        UPDATE slipstream.pack p
        SET texts = NULL, text_ends = NULL, kept = 0, expires = NULL, expires_min = NULL,
            done_at = CASE
                WHEN EXISTS (SELECT FROM slipstream.dead d WHERE d.seq > p.no * 4096 AND d.seq <= p.no * 4096 + 4096)
                  OR EXISTS (SELECT FROM slipstream.dead d
                             WHERE d.origin > p.no * 4096 AND d.origin <= p.no * 4096 + 4096)
                  OR EXISTS (SELECT FROM slipstream.pack r WHERE r.done_at IS NULL
                             AND r.origin > p.no * 4096 AND r.origin <= p.no * 4096 + 4096)
                THEN NULL
                ELSE greatest(
                    p.received,
                    (SELECT max(s.at) FROM slipstream.settled s WHERE s.pack = p.no),
                    (SELECT max(r.done_at) FROM slipstream.pack r
                     WHERE r.origin > p.no * 4096 AND r.origin <= p.no * 4096 + 4096))
            END
        WHERE p.no = ANY (packs) AND (SELECT true FROM slipstream.owed o WHERE o.pack = p.no LIMIT 1) IS NULL
        RETURNING p.origin, p.done_at)
    SELECT array_agg(DISTINCT (origin - 1) >> 12) INTO origins FROM closed
    WHERE origin IS NOT NULL AND done_at IS NOT NULL;
    IF origins IS NOT NULL THEN
        freed := coalesce(freed, 0) + slipstream.close_packs(origins);
    END IF;
    sparse := slipstream.sparse_packs(packs);
    IF cardinality(sparse) > 0 THEN
        freed := coalesce(freed, 0) + slipstream.shrink_packs(sparse);
    END IF;
    RETURN coalesce(freed, 0);
END $$;
