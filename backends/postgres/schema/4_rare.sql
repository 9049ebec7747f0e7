-- What changes peers and dead letters, one operation at a time. Each returns whether it changed anything. The lock of
-- the head is held.

-- What messages are routed by was changed.
CREATE FUNCTION slipstream.change_roster() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE slipstream.head SET roster = roster + 1;
END $$;

CREATE FUNCTION slipstream.remember(new jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    before slipstream.peer;
    now slipstream.peer;
BEGIN
    SELECT * INTO before FROM slipstream.peer WHERE id = new->>'id';
    INSERT INTO slipstream.peer AS p (id, kind, grp, tags, durable, last_seen, alias, paused)
    VALUES (new->>'id', new->>'kind', new->>'group', ARRAY(SELECT jsonb_array_elements_text(new->'tags')),
            (new->>'durable')::boolean, (new->>'last_seen')::bigint, new->>'alias', (new->>'paused')::boolean)
    ON CONFLICT (id) DO UPDATE
    SET kind = excluded.kind, grp = excluded.grp, tags = excluded.tags, durable = excluded.durable,
        last_seen = excluded.last_seen, alias = excluded.alias, paused = excluded.paused
    WHERE (p.kind, p.grp, p.tags, p.durable, p.last_seen, p.alias, p.paused) IS DISTINCT FROM
          (excluded.kind, excluded.grp, excluded.tags, excluded.durable, excluded.last_seen, excluded.alias,
           excluded.paused)
    RETURNING * INTO now;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- When it was seen is no change of the roster.
    before.last_seen := now.last_seen;
    IF now IS DISTINCT FROM before THEN
        PERFORM slipstream.change_roster();
    END IF;
    RETURN true;
END $$;

-- A peer that another process has claimed stays.
CREATE FUNCTION slipstream.forget(me bigint, who text, at_time bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    touched bigint[];
    known boolean;
BEGIN
    IF EXISTS (SELECT FROM slipstream.peer WHERE id = who AND owner <> me) THEN
        RETURN false;
    END IF;
    WITH gone AS (DELETE FROM slipstream.owed WHERE peer = who RETURNING pack, bits),
    noted AS (INSERT INTO slipstream.settled SELECT pack, who, 3, at_time, bits FROM gone)
    SELECT array_agg(pack) INTO touched FROM gone;
    DELETE FROM slipstream.attempt WHERE peer = who;
    DELETE FROM slipstream.peer WHERE id = who;
    known := FOUND;
    IF known THEN
        PERFORM slipstream.change_roster();
    END IF;
    IF touched IS NOT NULL THEN
        PERFORM slipstream.close_packs(touched);
    END IF;
    RETURN known;
END $$;

-- The deliveries of a peer that are open, pending or dead, by the sequence of their message's record.
CREATE FUNCTION slipstream.open_deliveries(who text)
RETURNS TABLE (origin bigint, pack bigint, index integer, is_dead boolean) LANGUAGE sql STABLE AS $$
    SELECT coalesce(p.origin, o.pack * 4096 + i + 1), o.pack, i, false
    FROM slipstream.owed o JOIN slipstream.pack p ON p.no = o.pack
    CROSS JOIN LATERAL generate_series(0, length(o.bits) - 1) i
    WHERE o.peer = who AND get_bit(o.bits, i) = 1
    UNION ALL
    SELECT d.origin, (d.seq - 1) >> 12, ((d.seq - 1) & 4095)::integer, true FROM slipstream.dead d WHERE d.peer = who
$$;

CREATE FUNCTION slipstream.adopt(old text, new jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    peer_id text := new->>'id';
    is_new boolean := slipstream.remember(new);
    moving bigint[];
    moving_dead bigint[];
    touched bigint[];
BEGIN
    IF old = peer_id OR NOT EXISTS (SELECT FROM slipstream.peer WHERE id = old) THEN
        RETURN is_new;
    END IF;
    SELECT array_agg(a.pack * 4096 + a.index + 1) FILTER (WHERE NOT a.is_dead),
           array_agg(a.pack * 4096 + a.index + 1) FILTER (WHERE a.is_dead)
    INTO moving, moving_dead
    FROM slipstream.open_deliveries(old) a
    WHERE NOT EXISTS (SELECT FROM slipstream.open_deliveries(peer_id) b WHERE b.origin = a.origin);

    INSERT INTO slipstream.owed AS mine (pack, peer, bits)
    SELECT o.pack, peer_id, bit_or(slipstream.one_bit(((s - 1) & 4095)::integer, length(o.bits)))
    FROM unnest(moving) s JOIN slipstream.owed o ON o.peer = old AND o.pack = ANY (ARRAY[(s - 1) >> 12])
    GROUP BY o.pack
    ON CONFLICT (pack, peer) DO UPDATE SET bits = mine.bits | excluded.bits;
    WITH gone AS (DELETE FROM slipstream.owed WHERE peer = old RETURNING pack)
    SELECT array_agg(pack) INTO touched FROM gone;
    UPDATE slipstream.attempt SET peer = peer_id WHERE peer = old AND seq = ANY (moving);
    DELETE FROM slipstream.attempt WHERE peer = old;

    WITH moved AS (
        UPDATE slipstream.dead SET peer = peer_id WHERE peer = old AND seq = ANY (moving_dead) RETURNING seq, dead_at)
    INSERT INTO slipstream.settled
    SELECT (seq - 1) >> 12, peer_id, 4, dead_at,
           slipstream.one_bit(((seq - 1) & 4095)::integer, ((seq - 1) & 4095)::integer + 1)
    FROM moved;
    WITH gone AS (DELETE FROM slipstream.dead WHERE peer = old RETURNING seq, origin)
    SELECT touched || array_agg((seq - 1) >> 12) || array_agg((origin - 1) >> 12) INTO touched FROM gone;
    IF touched IS NOT NULL THEN
        PERFORM slipstream.close_packs(touched);
    END IF;
    DELETE FROM slipstream.peer WHERE id = old;
    PERFORM slipstream.change_roster();
    RETURN true;
END $$;

CREATE FUNCTION slipstream.name_relay(name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE slipstream.head SET relay = name WHERE relay IS DISTINCT FROM name;
    RETURN FOUND;
END $$;

-- The message of a redriven delivery is a pack of its own.
CREATE FUNCTION slipstream.redrive(me bigint, who text, sequence bigint, new_pack bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    d slipstream.dead;
BEGIN
    IF NOT EXISTS (SELECT FROM slipstream.peer WHERE id = who) THEN
        RETURN false;
    END IF;
    DELETE FROM slipstream.dead WHERE seq = sequence AND peer = who RETURNING * INTO d;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO slipstream.pack (no, writer, origin, redriven_for, received, expires_min, count, recorded, meta_ends,
                                 meta, expires, text_ends, texts, kept)
    VALUES (new_pack, me, d.origin, who, d.received, d.expires, 1, B'1', ARRAY[octet_length(d.meta)], d.meta,
            ARRAY[d.expires], ARRAY[octet_length(d.text)], d.text, 1);
    INSERT INTO slipstream.owed VALUES (new_pack, who, B'1');
    PERFORM slipstream.close_packs(ARRAY[(d.seq - 1) >> 12, (d.origin - 1) >> 12]);
    RETURN true;
END $$;

CREATE FUNCTION slipstream.discard(who text, sequence bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    d slipstream.dead;
BEGIN
    DELETE FROM slipstream.dead WHERE seq = sequence AND peer = who RETURNING * INTO d;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM slipstream.close_packs(ARRAY[(d.seq - 1) >> 12, (d.origin - 1) >> 12]);
    RETURN true;
END $$;

-- The message of an import is a pack that nobody is owed. Its row among the messages has no fingerprint.
CREATE FUNCTION slipstream.import(
    me bigint, new jsonb, new_pack bigint, meta bytea, routes bytea, text bytea, reason bytea
) RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    who text := new->>'peer';
    message_id text := new->>'id';
    message_grp text := new->>'group';
    received bigint := (new->>'received')::bigint;
    dead_at bigint := (new->>'dead_at')::bigint;
    sequence bigint := new_pack * 4096 + 1;
BEGIN
    IF EXISTS (SELECT FROM slipstream.dead d
               WHERE d.id = message_id AND d.grp = message_grp AND d.peer || '' = who AND d.text = text) THEN
        RETURN false;
    END IF;
    INSERT INTO slipstream.pack (no, writer, received, count, recorded, meta_ends, meta, routes, kept)
    VALUES (new_pack, me, received, 1, B'1', ARRAY[octet_length(meta)], meta, routes, 0);
    INSERT INTO slipstream.message VALUES (sequence, NULL, received, message_id, message_grp);
    INSERT INTO slipstream.dead VALUES (sequence, who, sequence, message_id, message_grp, reason, new->>'class',
                                        (new->>'attempts')::bigint, dead_at, received, (new->>'expires')::bigint,
                                        meta, text);
    INSERT INTO slipstream.settled VALUES (new_pack, who, 4, dead_at, B'1');
    UPDATE slipstream.head SET trace_bytes = trace_bytes + octet_length(meta);
    RETURN true;
END $$;
