-- What a horizon lets go.

-- Forgets the trace of a pack, and what was redriven of it. Where no identity of it is remembered, all of it goes.
-- Returns how many rows of messages went.
CREATE FUNCTION slipstream.forget_trace(which bigint, identities_from bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    again bigint[];
    gone bigint := 0;
BEGIN
    SELECT array_agg(no) INTO again FROM slipstream.pack WHERE origin > which * 4096 AND origin <= which * 4096 + 4096;
    DELETE FROM slipstream.settled WHERE pack = ANY (again || which);
    DELETE FROM slipstream.pack WHERE no = ANY (again);
    IF which < (identities_from - 1) >> 12 THEN
        DELETE FROM slipstream.message WHERE seq > which * 4096 AND seq <= which * 4096 + 4096;
        GET DIAGNOSTICS gone = ROW_COUNT;
        DELETE FROM slipstream.pack WHERE no = which;
    ELSE
        UPDATE slipstream.pack
        SET meta = NULL, meta_ends = NULL, routes = NULL, sent_to = NULL, sent_bits = NULL WHERE no = which;
    END IF;
    RETURN gone;
END $$;

-- Ends deliveries of a pack as expired, at most so many.
CREATE FUNCTION slipstream.expire_pack(
    which bigint, expiry_horizon bigint, at_time bigint, most bigint, OUT peers text[], OUT sequences bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    o record;
    due record;
    ends_at bigint[];
BEGIN
    peers := '{}';
    sequences := '{}';
    SELECT expires INTO ends_at FROM slipstream.pack WHERE no = which;
    FOR o IN SELECT peer, bits FROM slipstream.owed WHERE pack = which ORDER BY peer FOR UPDATE LOOP
        EXIT WHEN cardinality(sequences) >= most;
        SELECT bit_or(slipstream.one_bit(e.index, length(o.bits))) AS mask,
               array_agg(which * 4096 + e.index + 1) AS seqs
        INTO due
        FROM (SELECT (ord - 1)::integer AS index FROM unnest(ends_at) WITH ORDINALITY x(expiry, ord)
              WHERE expiry <= expiry_horizon AND slipstream.is_set(o.bits, (ord - 1)::integer)
              LIMIT most - cardinality(sequences)) e;
        CONTINUE WHEN due.mask IS NULL;
        DELETE FROM slipstream.owed
        WHERE pack = which AND peer = o.peer AND bit_count(bits & ~ due.mask::bit varying) = 0;
        UPDATE slipstream.owed SET bits = bits & ~ due.mask::bit varying WHERE pack = which AND peer = o.peer;
        INSERT INTO slipstream.settled VALUES (which, o.peer, 3, at_time, due.mask);
        DELETE FROM slipstream.attempt WHERE peer = o.peer AND seq = ANY (due.seqs);
        peers := peers || array_fill(o.peer, ARRAY[cardinality(due.seqs)]);
        sequences := sequences || due.seqs;
    END LOOP;
    IF cardinality(sequences) < most THEN
        UPDATE slipstream.pack SET expires_min = (SELECT min(e) FROM unnest(ends_at) e WHERE e > expiry_horizon)
        WHERE no = which;
    END IF;
    PERFORM slipstream.close_packs(ARRAY[which]);
END $$;

-- What goes is read by the index that has it first. The planner would rather sort all that there is.
CREATE FUNCTION slipstream.purge(
    my_origin bigint, now_is bigint, expiry_horizon bigint, identity_horizon bigint, max_identities bigint,
    stamp_horizon bigint, trace_horizon bigint, max_trace_bytes bigint, budget bigint,
    OUT peers text[], OUT sequences bigint[], OUT removed bigint, OUT more boolean, OUT rows_gone bigint
) LANGUAGE plpgsql SET enable_sort = off SET enable_bitmapscan = off AS $$
DECLARE
    head slipstream.head;
    p record;
    x record;
    affected bigint;
    size bigint;
    floor bigint;
    too_many bigint;
    stays bigint;
    stays_at bigint;
BEGIN
    PERFORM 1 FROM slipstream.process WHERE origin = my_origin FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this process was retired' USING ERRCODE = 'SL001';
    END IF;
    SELECT * INTO head FROM slipstream.head FOR UPDATE;
    peers := '{}';
    sequences := '{}';
    removed := 0;
    rows_gone := 0;
    more := false;

    FOR p IN SELECT no FROM slipstream.pack WHERE expires_min <= expiry_horizon ORDER BY expires_min, no LOOP
        EXIT WHEN removed >= budget;
        x := slipstream.expire_pack(p.no, expiry_horizon, now_is, budget - removed);
        peers := peers || x.peers;
        sequences := sequences || x.sequences;
        removed := removed + cardinality(x.sequences);
    END LOOP;

    -- Identities leave in the order of recording, up to the first that is to stay.
    IF removed < budget THEN
        too_many := greatest(head.identities - max_identities, 0);
        floor := (head.identities_from - 1) >> 12;
        SELECT m.seq, m.nth - 1 INTO stays, stays_at
        FROM (SELECT seq, received, row_number() OVER (ORDER BY seq) AS nth FROM slipstream.message
              WHERE seq >= head.identities_from AND fingerprint IS NOT NULL ORDER BY seq LIMIT budget - removed + 1) m
        WHERE m.received >= identity_horizon AND m.nth > too_many OR m.nth > budget - removed
        ORDER BY m.seq LIMIT 1;
        IF stays IS NULL THEN
            stays := head.next_pack * 4096 + 1;
            stays_at := head.identities;
        END IF;
        head.identities := head.identities - stays_at;
        head.identities_from := stays;
        removed := removed + stays_at;
        WITH gone AS (
            DELETE FROM slipstream.pack WHERE no >= floor AND no < (stays - 1) >> 12 AND meta IS NULL RETURNING no)
        DELETE FROM slipstream.message m USING gone WHERE m.seq > gone.no * 4096 AND m.seq <= gone.no * 4096 + 4096;
        GET DIAGNOSTICS affected = ROW_COUNT;
        rows_gone := rows_gone + affected;
    END IF;

    IF removed < budget THEN
        DELETE FROM slipstream.seen WHERE (epoch, block) IN (
            SELECT epoch, block FROM slipstream.seen WHERE received < stamp_horizon
            ORDER BY received LIMIT budget - removed);
        GET DIAGNOSTICS affected = ROW_COUNT;
        removed := removed + affected;
    END IF;

    -- A trace counts as its messages, but one that has more than a whole budget as that.
    FOR p IN
        SELECT no, received, done_at, count, octet_length(meta) AS size FROM slipstream.pack
        WHERE done_at IS NOT NULL AND meta IS NOT NULL AND origin IS NULL ORDER BY done_at, no
    LOOP
        EXIT WHEN p.done_at >= trace_horizon AND head.trace_bytes <= max_trace_bytes;
        size := least(p.count, budget);
        IF removed + size > budget THEN
            more := true;
            EXIT;
        END IF;
        IF p.done_at >= trace_horizon THEN
            head.whole_since := greatest(head.whole_since, p.received + 1);
        END IF;
        rows_gone := rows_gone + slipstream.forget_trace(p.no, head.identities_from);
        head.trace_bytes := head.trace_bytes - p.size;
        removed := removed + size;
    END LOOP;
    more := more OR removed >= budget;
    UPDATE slipstream.head h
    SET identities = head.identities, identities_from = head.identities_from, trace_bytes = head.trace_bytes,
        whole_since = head.whole_since
    WHERE (h.identities, h.identities_from, h.trace_bytes, h.whole_since) IS DISTINCT FROM
          (head.identities, head.identities_from, head.trace_bytes, head.whole_since);
END $$;
