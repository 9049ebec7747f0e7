-- What is read. Each call sees one snapshot: that of the statement that it stands in.

-- The packs that hold a page of what a peer is owed, and one message more if there is more. Of a pack of which few
-- messages are owed, the parts come alone.
CREATE FUNCTION slipstream.pending(who text, after bigint, items bigint, bytes bigint)
RETURNS TABLE (pack bigint, redriven boolean, bits bit varying, meta_ends integer[], meta bytea, text_ends integer[],
               texts bytea, metas bytea[], parts bytea[], tried bigint[], tries bigint[], tried_at bigint[])
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    r record;
    wanted integer;
    seen_items bigint := 0;
    seen_bytes bigint := 0;
BEGIN
    FOR r IN
        SELECT o.pack AS no, o.bits, p.origin, p.count, p.meta_ends, p.meta, p.text_ends, p.texts
        FROM slipstream.owed o CROSS JOIN LATERAL (SELECT * FROM slipstream.pack WHERE no = o.pack LIMIT 1) p
        WHERE o.peer = who AND o.pack >= after >> 12 ORDER BY o.pack
    LOOP
        bits := r.bits;
        IF r.no = after >> 12 THEN
            bits := bits & slipstream.fit(repeat('0', (after & 4095)::integer)::bit varying
                                          || repeat('1', r.count)::bit varying, r.count);
        END IF;
        wanted := bit_count(bits);
        CONTINUE WHEN wanted = 0;
        pack := r.no;
        redriven := r.origin IS NOT NULL;
        seen_items := seen_items + wanted;
        meta_ends := NULL; meta := NULL; text_ends := NULL; texts := NULL; metas := NULL; parts := NULL;
        IF wanted * 8 < r.count THEN
            SELECT array_agg(slipstream.part(r.meta, r.meta_ends, i) ORDER BY i),
                   array_agg(slipstream.part(r.texts, r.text_ends, i) ORDER BY i),
                   seen_bytes + sum(r.text_ends[i + 1] - coalesce(r.text_ends[i], 0))
            INTO metas, parts, seen_bytes
            FROM generate_series(0, r.count - 1) i WHERE get_bit(bits, i) = 1;
        ELSE
            meta_ends := r.meta_ends;
            meta := r.meta;
            text_ends := r.text_ends;
            texts := r.texts;
            IF wanted = r.count THEN
                seen_bytes := seen_bytes + octet_length(r.texts);
            ELSE
                SELECT seen_bytes + sum(e.stop - e.start) INTO seen_bytes
                FROM (SELECT stop, lag(stop, 1, 0) OVER (ORDER BY ord) AS start, ord
                      FROM unnest(r.text_ends) WITH ORDINALITY x(stop, ord)) e
                WHERE get_bit(bits, (e.ord - 1)::integer) = 1;
            END IF;
        END IF;
        SELECT array_agg(a.seq), array_agg(a.number), array_agg(a.at) INTO tried, tries, tried_at
        FROM slipstream.attempt a WHERE a.peer = who AND a.seq > r.no * 4096 AND a.seq <= r.no * 4096 + 4096;
        RETURN NEXT;
        -- The first always comes, however large; then it is the second that tells of more.
        EXIT WHEN seen_items > items OR seen_items > 1 AND seen_bytes > bytes;
    END LOOP;
END $$;

-- Everything about the newest record of an identity and the imports after it: for each its fields, and a row for each
-- thing that happened to a delivery. Those that are pending are 0, those that are redriven -1, dead letters -2.
CREATE FUNCTION slipstream.trace(message_grp text, message_id text)
RETURNS TABLE (origin bigint, meta bytea, routes bytea, is_record boolean, seq bigint, peer text, state smallint,
               at bigint, number bigint, reason bytea)
LANGUAGE sql STABLE AS $$
    WITH named AS (
        SELECT m.seq, m.fingerprint IS NOT NULL AS is_record, p.meta IS NOT NULL AS is_traced
        FROM slipstream.message m JOIN slipstream.pack p ON p.no = (m.seq - 1) >> 12
        WHERE m.id = message_id AND m.grp = message_grp),
    newest AS (SELECT max(seq) AS seq FROM named WHERE is_record),
    known AS (SELECT max(named.seq) AS seq FROM named, newest WHERE named.seq = newest.seq AND is_traced),
    origins AS (
        SELECT named.seq, named.is_record FROM named, known
        WHERE is_traced AND (named.seq = known.seq OR NOT is_record AND named.seq > coalesce(known.seq, 0))),
    sequences AS (
        SELECT seq AS origin, seq, NULL::text AS redriven_for FROM origins
        UNION ALL
        SELECT o.seq, p.no * 4096 + 1, p.redriven_for FROM origins o JOIN slipstream.pack p ON p.origin = o.seq)
    SELECT o.seq, slipstream.part(p.meta, p.meta_ends, ((o.seq - 1) & 4095)::integer), p.routes, o.is_record,
           NULL::bigint, NULL::text, NULL::smallint, NULL::bigint, NULL::bigint, NULL::bytea
    FROM origins o JOIN slipstream.pack p ON p.no = (o.seq - 1) >> 12
    UNION ALL
    SELECT s.origin, NULL, NULL, NULL, s.seq, o.peer, 0::smallint, a.at, coalesce(a.number, 0), NULL
    FROM sequences s JOIN slipstream.owed o ON o.pack = (s.seq - 1) >> 12
    LEFT JOIN slipstream.attempt a ON a.peer = o.peer AND a.seq = s.seq
    WHERE slipstream.is_set(o.bits, ((s.seq - 1) & 4095)::integer)
    UNION ALL
    SELECT s.origin, NULL, NULL, NULL, s.seq, t.peer, t.state, t.at, 0, NULL
    FROM sequences s JOIN slipstream.settled t ON t.pack = (s.seq - 1) >> 12
    WHERE slipstream.is_set(t.bits, ((s.seq - 1) & 4095)::integer)
    UNION ALL
    SELECT s.origin, NULL, NULL, NULL, s.seq, s.redriven_for, -1::smallint, NULL, 0, NULL FROM sequences s
    WHERE s.redriven_for IS NOT NULL
    UNION ALL
    SELECT s.origin, NULL, NULL, NULL, s.seq, d.peer, -2::smallint, d.dead_at, d.attempts, d.reason
    FROM sequences s JOIN slipstream.dead d ON d.seq = s.seq
    ORDER BY 1
$$;

-- The traces of packs from this one on, and what a peer has to do with each: which messages it was owed at first, and
-- how those were settled that it was owed, also once they were redriven.
CREATE FUNCTION slipstream.exchanged(who text, from_pack bigint, most integer)
RETURNS TABLE (pack bigint, count integer, recorded bit varying, meta_ends integer[], meta bytea, routes bytea,
               sent bit varying, settled bit varying, acknowledged bit varying)
LANGUAGE sql STABLE AS $$
    SELECT p.no, p.count, p.recorded, p.meta_ends, p.meta, p.routes,
           coalesce(p.sent_bits[array_position(p.sent_to, who)], ''),
           coalesce(t.settled, ''), coalesce(t.acknowledged, '')
    FROM slipstream.pack p
    LEFT JOIN LATERAL (
        SELECT bit_or(e.bits) AS settled, bit_or(e.bits) FILTER (WHERE e.state = 1) AS acknowledged
        FROM (SELECT slipstream.fit(s.bits, p.count) AS bits, s.state FROM slipstream.settled s
              WHERE s.pack = p.no AND s.peer = who
              UNION ALL
              SELECT slipstream.one_bit(((r.origin - 1) & 4095)::integer, p.count), s.state
              FROM slipstream.pack r JOIN slipstream.settled s ON s.pack = r.no AND s.peer = who
              WHERE r.origin > p.no * 4096 AND r.origin <= p.no * 4096 + 4096) e) t ON true
    WHERE p.no >= from_pack AND p.meta IS NOT NULL AND p.origin IS NULL
      AND NOT EXISTS (SELECT FROM slipstream.message m WHERE m.seq = p.no * 4096 + 1 AND m.fingerprint IS NULL)
    ORDER BY p.no LIMIT most
$$;
