-- Settling deliveries and noting attempts. No delivery is named twice in one call.

-- Settles deliveries that are given as masks: of a pack those of a peer that ended in one way at one time. What is
-- given up is named once more, one by one, with its reason. `hits` says of each mask which of it were pending. The
-- others that were acknowledged may be dead letters, which go: `late_group` and `late_seq` name them.
CREATE FUNCTION slipstream.settle(
    s_peer text[], s_pack bigint[], s_state smallint[], s_at bigint[], s_bits bit varying[],
    d_peer text[], d_seq bigint[], d_reason bytea[], d_class text[], d_attempts bigint[], d_at bigint[],
    OUT hits bit varying[], OUT late_group integer[], OUT late_seq bigint[], OUT freed bigint
) LANGUAGE plpgsql AS $$
DECLARE
    touched bigint[];
    emptied bigint;
    all_pending boolean;
    late_packs bigint[];
BEGIN
    PERFORM 1 FROM slipstream.owed o
    JOIN unnest(s_peer, s_pack) g(peer, pack) ON o.pack = ANY (ARRAY[g.pack]) AND o.peer = ANY (ARRAY[g.peer])
    ORDER BY o.pack, o.peer FOR UPDATE OF o;
    SELECT array_agg(g.hit ORDER BY g.ord), bool_and(bit_count(g.hit) = bit_count(g.bits)) INTO hits, all_pending
    FROM (SELECT g.ord, g.bits, coalesce(o.bits & slipstream.fit(g.bits, length(o.bits)), ''::bit varying) AS hit
          FROM unnest(s_peer, s_pack, s_bits) WITH ORDINALITY g(peer, pack, bits, ord)
          LEFT JOIN slipstream.owed o ON o.pack = ANY (ARRAY[g.pack]) AND o.peer = ANY (ARRAY[g.peer])) g;

    IF cardinality(d_seq) > 0 THEN
        INSERT INTO slipstream.dead
        SELECT d.seq, d.peer, m.seq, m.id, m.grp, d.reason, d.class, d.attempts, d.at, m.received,
               p.expires[i.index + 1], slipstream.part(p.meta, p.meta_ends, i.index),
               slipstream.part(p.texts, p.text_ends, i.index)
        FROM unnest(d_peer, d_seq, d_reason, d_class, d_attempts, d_at) d(peer, seq, reason, class, attempts, at)
        CROSS JOIN LATERAL (SELECT ((d.seq - 1) & 4095)::integer) i(index)
        JOIN slipstream.owed o ON o.pack = ANY (ARRAY[(d.seq - 1) >> 12]) AND o.peer = ANY (ARRAY[d.peer])
        JOIN slipstream.pack p ON p.no = ANY (ARRAY[o.pack])
        JOIN slipstream.message m ON m.seq = ANY (ARRAY[coalesce(p.origin, d.seq)])
        WHERE slipstream.is_set(o.bits, i.index);
    END IF;

    WITH hit AS (
        SELECT pack, peer, bit_or(bits) AS bits FROM unnest(s_pack, s_peer, hits) g(pack, peer, bits)
        WHERE bit_count(bits) > 0 GROUP BY pack, peer),
    gone AS (
        DELETE FROM slipstream.owed o USING hit
        WHERE o.pack = ANY (ARRAY[hit.pack]) AND o.peer = ANY (ARRAY[hit.peer])
          AND bit_count(o.bits & ~ slipstream.fit(hit.bits, length(o.bits))) = 0
        RETURNING o.pack)
    SELECT array_agg(DISTINCT pack), count(*) INTO touched, emptied FROM gone;
    IF emptied < cardinality(s_pack) THEN
        UPDATE slipstream.owed o SET bits = o.bits & ~ slipstream.fit(hit.bits, length(o.bits))
        FROM (SELECT pack, peer, bit_or(bits) AS bits FROM unnest(s_pack, s_peer, hits) g(pack, peer, bits)
              WHERE bit_count(bits) > 0 GROUP BY pack, peer) hit
        WHERE o.pack = ANY (ARRAY[hit.pack]) AND o.peer = ANY (ARRAY[hit.peer]);
        touched := touched || slipstream.sparse_packs(s_pack);
    END IF;

    INSERT INTO slipstream.settled
    SELECT g.pack, g.peer, g.state, g.at, g.hit
    FROM unnest(s_peer, s_pack, s_state, s_at, hits) g(peer, pack, state, at, hit)
    WHERE bit_count(g.hit) > 0;
    DELETE FROM slipstream.attempt a USING unnest(s_peer, s_pack, hits) g(peer, pack, hit)
    WHERE a.peer = ANY (ARRAY[g.peer]) AND a.seq > g.pack * 4096 AND a.seq <= g.pack * 4096 + 4096
      AND slipstream.is_set(g.hit, ((a.seq - 1) & 4095)::integer);

    IF NOT all_pending THEN
        WITH gone AS (
            DELETE FROM slipstream.dead d
            USING unnest(s_peer, s_pack, s_state, s_at, s_bits, hits) WITH ORDINALITY
                g(peer, pack, state, at, bits, hit, ord)
            WHERE g.state = 1 AND bit_count(g.bits) > bit_count(g.hit)
              -- Not by the index of the peer, who may have many.
              AND d.peer || '' = g.peer AND d.seq > g.pack * 4096 AND d.seq <= g.pack * 4096 + 4096
              AND slipstream.is_set(g.bits, ((d.seq - 1) & 4095)::integer)
            RETURNING d.seq, d.peer, d.origin, g.at, g.pack, g.ord),
        noted AS (
            INSERT INTO slipstream.settled
            SELECT pack, peer, 1, at, slipstream.one_bit(((seq - 1) & 4095)::integer, ((seq - 1) & 4095)::integer + 1)
            FROM gone)
        SELECT array_agg(ord), array_agg(seq), array_agg(pack) || array_agg((origin - 1) >> 12)
        INTO late_group, late_seq, late_packs FROM gone;
        touched := touched || late_packs;
    END IF;
    freed := CASE WHEN coalesce(cardinality(touched), 0) = 0 THEN 0 ELSE slipstream.close_packs(touched) END;
END $$;

-- As `settle`, but that only acknowledgements count for peers that other processes have claimed.
CREATE FUNCTION slipstream.settle_unclaimed(
    held text[], s_peer text[], s_pack bigint[], s_state smallint[], s_at bigint[], s_bits bit varying[],
    d_peer text[], d_seq bigint[], d_reason bytea[], d_class text[], d_attempts bigint[], d_at bigint[],
    OUT hits bit varying[], OUT late_group integer[], OUT late_seq bigint[], OUT freed bigint
) LANGUAGE plpgsql AS $$
DECLARE
    own_bits bit varying[] := ARRAY(
        SELECT CASE WHEN g.state <> 1 AND g.peer = ANY (held) THEN ''::bit varying ELSE g.bits END
        FROM unnest(s_peer, s_state, s_bits) WITH ORDINALITY g(peer, state, bits, ord) ORDER BY g.ord);
    x record;
BEGIN
    SELECT array_agg(d.peer) AS peer, array_agg(d.seq) AS seq, array_agg(d.reason) AS reason,
           array_agg(d.class) AS class, array_agg(d.attempts) AS attempts, array_agg(d.at) AS at
    INTO x
    FROM unnest(d_peer, d_seq, d_reason, d_class, d_attempts, d_at) d(peer, seq, reason, class, attempts, at)
    WHERE d.peer <> ALL (held);
    SELECT * INTO hits, late_group, late_seq, freed
    FROM slipstream.settle(s_peer, s_pack, s_state, s_at, own_bits, x.peer, x.seq, x.reason, x.class, x.attempts, x.at);
END $$;

-- Notes attempts of pending deliveries, but none for peers that other processes have claimed; returns which were news.
CREATE FUNCTION slipstream.note_attempts(
    held text[], a_peer text[], a_seq bigint[], a_number bigint[], a_at bigint[]
) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    noted integer[];
BEGIN
    PERFORM 1 FROM slipstream.owed o
    JOIN unnest(a_peer, a_seq) g(peer, seq) ON o.pack = ANY (ARRAY[(g.seq - 1) >> 12]) AND o.peer = ANY (ARRAY[g.peer])
    ORDER BY o.pack, o.peer FOR UPDATE OF o;
    WITH news AS (
        INSERT INTO slipstream.attempt AS a
        SELECT g.peer, g.seq, g.number, g.at FROM unnest(a_peer, a_seq, a_number, a_at) g(peer, seq, number, at)
        JOIN slipstream.owed o ON o.pack = ANY (ARRAY[(g.seq - 1) >> 12]) AND o.peer = ANY (ARRAY[g.peer])
        WHERE g.number > 0 AND (held IS NULL OR g.peer <> ALL (held)) AND slipstream.is_set(o.bits, ((g.seq - 1) & 4095)::integer)
        ON CONFLICT (peer, seq) DO UPDATE SET number = excluded.number, at = excluded.at
        WHERE a.number < excluded.number
        RETURNING a.peer, a.seq)
    SELECT array_agg(g.ord) INTO noted
    FROM unnest(a_peer, a_seq) WITH ORDINALITY g(peer, seq, ord) JOIN news ON news.peer = g.peer AND news.seq = g.seq;
    RETURN coalesce(noted, '{}');
END $$;
