-- Counts, and contradictions.

CREATE FUNCTION slipstream.roster()
RETURNS TABLE (version bigint, relay text, id text, kind text, grp text, tags text[], durable boolean, last_seen bigint, alias text,
               paused boolean, backlog bigint, oldest bigint)
LANGUAGE sql STABLE AS $$
    SELECT h.roster, h.relay, p.id, p.kind, p.grp, p.tags, p.durable, p.last_seen, p.alias, p.paused,
           (SELECT coalesce(sum(bit_count(o.bits)), 0)::bigint FROM slipstream.owed o WHERE o.peer = p.id),
           (SELECT o.pack * 4096 + position(B'1' IN o.bits) FROM slipstream.owed o WHERE o.peer = p.id
            ORDER BY o.pack LIMIT 1)
    FROM slipstream.head h LEFT JOIN slipstream.peer p ON true ORDER BY p.id
$$;

CREATE FUNCTION slipstream.stats(OUT peers bigint, OUT messages bigint, OUT pending bigint, OUT dead_letters bigint,
                                 OUT identities bigint, OUT bytes bigint)
LANGUAGE sql STABLE AS $$
    SELECT (SELECT count(*) FROM slipstream.peer), coalesce(sum(o.messages), 0)::bigint,
           coalesce(sum(o.deliveries), 0)::bigint, (SELECT count(*) FROM slipstream.dead),
           (SELECT identities FROM slipstream.head),
           (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
            WHERE c.relnamespace = 'slipstream'::regnamespace AND c.relkind = 'r')
    FROM (SELECT bit_count(bit_or(bits)) AS messages, sum(bit_count(bits)) AS deliveries FROM slipstream.owed
          GROUP BY pack) o
$$;

-- What contradicts itself, in words.
CREATE FUNCTION slipstream.contradictions() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT format('%s is owed messages of pack %s but not remembered', o.peer, o.pack) FROM slipstream.owed o
    WHERE NOT EXISTS (SELECT FROM slipstream.peer p WHERE p.id = o.peer)
    UNION ALL
    SELECT format('%s is owed messages of pack %s that are not there', o.peer, o.pack)
    FROM slipstream.owed o LEFT JOIN slipstream.pack p ON p.no = o.pack
    WHERE p.texts IS NULL OR p.meta IS NULL OR length(o.bits) <> p.count OR bit_count(o.bits & ~ p.recorded) > 0
       OR bit_count(o.bits) = 0
    UNION ALL
    SELECT format('pack %s keeps texts that nobody is owed', p.no) FROM slipstream.pack p
    WHERE p.texts IS NOT NULL AND NOT EXISTS (SELECT FROM slipstream.owed o WHERE o.pack = p.no)
    UNION ALL
    SELECT format('pack %s is of another length than it says', p.no) FROM slipstream.pack p
    WHERE length(p.recorded) <> p.count OR cardinality(p.meta_ends) <> p.count
       OR p.meta_ends[p.count] <> octet_length(p.meta) OR cardinality(p.text_ends) <> p.count
       OR p.text_ends[p.count] <> octet_length(p.texts)
    UNION ALL
    SELECT format('pack %s is done, but a delivery of it is open', p.no) FROM slipstream.pack p
    WHERE p.done_at IS NOT NULL
      AND (EXISTS (SELECT FROM slipstream.owed o WHERE o.pack = p.no)
           OR EXISTS (SELECT FROM slipstream.dead d WHERE d.origin > p.no * 4096 AND d.origin <= p.no * 4096 + 4096))
    UNION ALL
    SELECT format('pack %s is not done, but nothing of it is open', p.no) FROM slipstream.pack p
    WHERE p.done_at IS NULL AND NOT EXISTS (SELECT FROM slipstream.owed o WHERE o.pack = p.no)
      AND NOT EXISTS (SELECT FROM slipstream.dead d WHERE d.origin > p.no * 4096 AND d.origin <= p.no * 4096 + 4096)
      AND NOT EXISTS (SELECT FROM slipstream.dead d WHERE d.seq > p.no * 4096 AND d.seq <= p.no * 4096 + 4096)
      AND NOT EXISTS (SELECT FROM slipstream.pack r WHERE r.done_at IS NULL
                      AND r.origin > p.no * 4096 AND r.origin <= p.no * 4096 + 4096)
    UNION ALL
    SELECT format('the dead letter %s of %s has no trace', d.seq, d.peer) FROM slipstream.dead d
    WHERE NOT EXISTS (SELECT FROM slipstream.pack p WHERE p.no = (d.origin - 1) >> 12 AND p.meta IS NOT NULL)
    UNION ALL
    SELECT format('an attempt of %s is noted that is not pending for %s', a.seq, a.peer) FROM slipstream.attempt a
    WHERE NOT EXISTS (SELECT FROM slipstream.owed o WHERE o.peer = a.peer AND o.pack = (a.seq - 1) >> 12
                      AND slipstream.is_set(o.bits, ((a.seq - 1) & 4095)::integer))
    UNION ALL
    SELECT format('pack %s was never given', max(p.no)) FROM slipstream.pack p
    HAVING max(p.no) >= (SELECT next_pack FROM slipstream.head)
    UNION ALL
    SELECT format('%s identities are counted, and %s are remembered', h.identities, c.found) FROM slipstream.head h
    CROSS JOIN LATERAL (SELECT count(*) AS found FROM slipstream.message m
                        WHERE m.seq >= h.identities_from AND m.fingerprint IS NOT NULL) c
    WHERE h.identities <> c.found
    UNION ALL
    SELECT format('traces are counted as %s bytes, and take %s', h.trace_bytes, c.found) FROM slipstream.head h
    CROSS JOIN LATERAL (SELECT coalesce(sum(octet_length(meta)), 0) AS found FROM slipstream.pack p
                        WHERE p.origin IS NULL) c
    WHERE h.trace_bytes <> c.found
$$;
