-- What a batch does, and the batch itself, in one statement.
--
-- Plans are made once, maybe while the tables are empty, and must serve when they are large. So what is given in arrays
-- is joined such that only one order is possible, that row by row the table is looked up: `= ANY (ARRAY[...])` is no
-- condition to merge by, and a limit keeps a lookup what it is. A `+ 0` or `|| ''` keeps an index from being used.

-- Records messages of which no two have an identity or a stamp in common, as far as they are new. `codes` says of each
-- what it is: 0 new, 1 a duplicate by identity, 2 one by its stamp, 3 a conflict, 4 not there and only asked for, 5 received
-- from a peer that another process has claimed since. `r_late` says which are that; null: none.
CREATE FUNCTION slipstream.record(
    base bigint, identities_from bigint, any_stamp boolean, any_asks boolean,
    r_pack integer[], r_index integer[], r_grp text[], r_id text[], r_fingerprint bigint[], r_received bigint[],
    r_epoch bytea[], r_block bigint[], r_bit integer[], r_asks boolean[], r_late boolean[],
    OUT codes smallint[], OUT news bigint
) LANGUAGE plpgsql AS $$
DECLARE
    known record;
BEGIN
    codes := array_fill(0::smallint, ARRAY[cardinality(r_id)]);
    FOR known IN
        SELECT r.ord, CASE WHEN m.fingerprint = r.fingerprint THEN 1 ELSE 3 END AS code
        FROM unnest(r_grp, r_id, r_fingerprint) WITH ORDINALITY r(grp, id, fingerprint, ord)
        CROSS JOIN LATERAL (
            SELECT fingerprint FROM slipstream.message
            WHERE id = r.id AND grp = r.grp AND seq + 0 >= identities_from AND fingerprint IS NOT NULL LIMIT 1) m
    LOOP
        codes[known.ord] := known.code;
    END LOOP;
    IF r_late IS NOT NULL THEN
        FOR i IN 1 .. cardinality(codes) LOOP
            IF r_late[i] THEN
                codes[i] := 5;
            END IF;
        END LOOP;
    END IF;
    IF any_stamp THEN
        FOR known IN
            SELECT r.ord
            FROM unnest(r_epoch, r_block, r_bit, codes) WITH ORDINALITY r(epoch, block, bit, code, ord)
            CROSS JOIN LATERAL (SELECT bits FROM slipstream.seen WHERE epoch = r.epoch AND block = r.block LIMIT 1) s
            WHERE r.code = 0 AND get_bit(s.bits, r.bit) = 1
        LOOP
            codes[known.ord] := 2;
        END LOOP;
    END IF;
    IF any_asks THEN
        FOR i IN 1 .. cardinality(codes) LOOP
            IF r_asks[i] AND codes[i] = 0 THEN
                codes[i] := 4;
            END IF;
        END LOOP;
    END IF;
    IF any_stamp THEN
        INSERT INTO slipstream.seen AS s
        SELECT r.epoch, r.block, bit_or(slipstream.one_bit(r.bit, 4096)), max(r.received)
        FROM unnest(r_epoch, r_block, r_bit, r_received, codes) r(epoch, block, bit, received, code)
        WHERE r.epoch IS NOT NULL AND r.code < 3
        GROUP BY r.epoch, r.block
        ON CONFLICT (epoch, block) DO UPDATE
        SET bits = s.bits | excluded.bits, received = greatest(s.received, excluded.received);
    END IF;
    INSERT INTO slipstream.message
    SELECT (base + r.pack) * 4096 + r.index + 1, r.fingerprint, r.received, r.id, r.grp
    FROM unnest(r_pack, r_index, r_fingerprint, r_received, r_id, r_grp, codes)
        r(pack, index, fingerprint, received, id, grp, code)
    WHERE r.code = 0;
    GET DIAGNOSTICS news = ROW_COUNT;
END $$;

-- Stores a pack, and owes its messages to those of the recipients that are remembered. If there are none, its texts are
-- not kept.
CREATE FUNCTION slipstream.store_pack(
    me bigint, base bigint, number integer, count_of_messages integer, new_bits bit varying, received_at bigint,
    meta_ends_at integer[], meta_bytes bytea, route_bytes bytea, first_expiry bigint, expiries bigint[],
    text_ends_at integer[], text_bytes bytea, o_pack integer[], o_peer text[], o_bits bit varying[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    to_peers text[];
    to_bits bit varying[];
BEGIN
    WITH added AS (
        INSERT INTO slipstream.owed
        SELECT base + o.pack, o.peer, o.bits & new_bits
        FROM unnest(o_pack, o_peer, o_bits) o(pack, peer, bits) JOIN slipstream.peer p ON p.id = ANY (ARRAY[o.peer])
        WHERE o.pack = number AND bit_count(o.bits & new_bits) > 0
        RETURNING peer, bits)
    SELECT array_agg(peer), array_agg(bits) INTO to_peers, to_bits FROM added;
    IF to_peers IS NULL THEN
        INSERT INTO slipstream.pack (no, writer, received, done_at, count, recorded, meta_ends, meta, routes, kept)
        VALUES (base + number, me, received_at, received_at, count_of_messages, new_bits, meta_ends_at, meta_bytes,
                route_bytes, 0);
    ELSE
        INSERT INTO slipstream.pack (no, writer, received, count, recorded, meta_ends, meta, routes, expires_min,
                                     expires, text_ends, texts, kept, sent_to, sent_bits)
        VALUES (base + number, me, received_at, count_of_messages, new_bits, meta_ends_at, meta_bytes, route_bytes,
                first_expiry, CASE WHEN first_expiry IS NOT NULL THEN expiries END, text_ends_at, text_bytes,
                count_of_messages, to_peers, to_bits);
    END IF;
END $$;

-- Does a rare operation, which may make the pack of this number; whether it changed anything.
CREATE FUNCTION slipstream.rare(me bigint, what jsonb, new_pack bigint, blobs bytea[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    who text := what->>'peer';
    sequence bigint := (what->>'sequence')::bigint;
BEGIN
    CASE what->>'op'
        WHEN 'remember' THEN RETURN slipstream.remember(what->'described');
        WHEN 'adopt' THEN RETURN slipstream.adopt(what->>'alias', what->'described');
        WHEN 'forget' THEN RETURN slipstream.forget(me, who, (what->>'at')::bigint);
        WHEN 'name' THEN RETURN slipstream.name_relay(what->>'id');
        WHEN 'redrive' THEN RETURN slipstream.redrive(me, who, sequence, new_pack);
        WHEN 'discard' THEN RETURN slipstream.discard(who, sequence);
        WHEN 'import' THEN RETURN slipstream.import(me, what, new_pack, blobs[1], blobs[2], blobs[3], blobs[4]);
    END CASE;
END $$;

-- A batch.
--
-- `steps` says what happens in which order, five numbers a step: its kind, the first and last of its places in the
-- arrays of that kind, and two more. 1 settles (the others: the first and last of the reasons), 2 notes attempts,
-- 3 records (the others: whether any has a stamp, whether any is only asked for), 4 stores the packs that have been
-- recorded, 5 is a rare operation. Packs are numbered within the batch.
--
-- `routed_by` is the roster that messages were routed by, or null. `f_peer` are the peers whose claims are looked at, among
-- which `r_from` names the sender of each record, and the peers that are changed, if `alters_peers`. `last_pack` is the
-- first that this process had not made when it recorded last: `others_owe` tells whom other processes made owed
-- something since, and `others_owe_anyone` that it might be anyone.
--
-- An adoption takes the number of a pack and makes none. Such a gap tells other processes that anyone may be owed something.
CREATE FUNCTION slipstream.commit(
    my_origin bigint, routed_by bigint, last_pack bigint, f_peer text[], alters_peers boolean,
    takes_head boolean, packs_wanted integer, reordered boolean, steps integer[],
    s_peer text[], s_pack bigint[], s_state smallint[], s_at bigint[], s_bits bit varying[],
    d_peer text[], d_seq bigint[], d_reason bytea[], d_class text[], d_attempts bigint[], d_at bigint[],
    a_peer text[], a_seq bigint[], a_number bigint[], a_at bigint[],
    r_pack integer[], r_index integer[], r_grp text[], r_id text[], r_fingerprint bigint[], r_received bigint[],
    r_epoch bytea[], r_block bigint[], r_bit integer[], r_asks boolean[], r_from integer[],
    p_pack integer[], p_count integer[], p_received bigint[], p_expires_min bigint[], p_recorded bit varying[],
    p_meta bytea[], p_routes bytea[], p_texts bytea[], p_from integer[],
    x_meta_end integer[], x_text_end integer[], x_expires bigint[],
    o_pack integer[], o_peer text[], o_bits bit varying[],
    rare jsonb, blobs bytea[],
    OUT base bigint, OUT codes smallint[], OUT hits bit varying[], OUT late_group integer[], OUT late_seq bigint[],
    OUT noted integer[], OUT rare_done boolean[], OUT freed bigint, OUT next_pack bigint, OUT others_owe text[],
    OUT others_owe_anyone boolean
) LANGUAGE plpgsql AS $$
DECLARE
    head slipstream.head;
    step integer;
    f integer;
    t integer;
    f2 integer;
    t2 integer;
    x record;
    new_identities bigint := 0;
    new_trace_bytes bigint := 0;
    new_bits bit varying;
    held text[];
BEGIN
    PERFORM 1 FROM slipstream.process WHERE origin = my_origin FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this process was retired' USING ERRCODE = 'SL001';
    END IF;
    IF takes_head THEN
        SELECT * INTO head FROM slipstream.head FOR UPDATE;
        base := head.next_pack;
        IF base + packs_wanted > 1::bigint << 50 THEN
            RAISE EXCEPTION 'every sequence has been given' USING ERRCODE = 'SL003';
        END IF;
        -- What was moved to before the records might name one of theirs.
        IF reordered AND (EXISTS (SELECT FROM unnest(s_pack) p WHERE p >= base)
                          OR EXISTS (SELECT FROM unnest(a_seq) s WHERE (s - 1) >> 12 >= base)) THEN
            RAISE EXCEPTION 'an operation names a sequence of its batch' USING ERRCODE = 'SL002';
        END IF;
    ELSIF routed_by IS NOT NULL THEN
        SELECT * INTO head FROM slipstream.head;
    END IF;
    IF routed_by <> head.roster THEN
        RAISE EXCEPTION 'the roster was changed' USING ERRCODE = 'SL004';
    END IF;
    IF cardinality(f_peer) > 0 THEN
        held := slipstream.held_by_others(my_origin, f_peer, alters_peers);
    END IF;
    next_pack := base;
    codes := '{}';
    hits := '{}';
    noted := '{}';
    rare_done := '{}';
    freed := 0;
    FOR at IN 1 .. cardinality(steps) BY 5 LOOP
        step := steps[at];
        f := steps[at + 1];
        t := steps[at + 2];
        f2 := steps[at + 3];
        t2 := steps[at + 4];
        IF step = 1 THEN
            IF held IS NULL THEN
                x := slipstream.settle(s_peer[f:t], s_pack[f:t], s_state[f:t], s_at[f:t], s_bits[f:t], d_peer[f2:t2],
                                       d_seq[f2:t2], d_reason[f2:t2], d_class[f2:t2], d_attempts[f2:t2], d_at[f2:t2]);
            ELSE
                x := slipstream.settle_unclaimed(
                    held, s_peer[f:t], s_pack[f:t], s_state[f:t], s_at[f:t], s_bits[f:t], d_peer[f2:t2],
                    d_seq[f2:t2], d_reason[f2:t2], d_class[f2:t2], d_attempts[f2:t2], d_at[f2:t2]);
            END IF;
            hits := hits || x.hits;
            late_group := late_group || ARRAY(SELECT f - 1 + g FROM unnest(x.late_group) g);
            late_seq := late_seq || x.late_seq;
            freed := freed + x.freed;
        ELSIF step = 2 THEN
            noted := noted || ARRAY(SELECT f + n - 1 FROM unnest(
                slipstream.note_attempts(held, a_peer[f:t], a_seq[f:t], a_number[f:t], a_at[f:t])) n);
        ELSIF step = 3 THEN
            x := slipstream.record(base, head.identities_from, f2 = 1, t2 = 1, r_pack[f:t], r_index[f:t], r_grp[f:t],
                                   r_id[f:t], r_fingerprint[f:t], r_received[f:t], r_epoch[f:t], r_block[f:t],
                                   r_bit[f:t], r_asks[f:t], CASE WHEN held IS NOT NULL THEN ARRAY(
                                       SELECT coalesce(f_peer[r.sender] = ANY (held), false)
                                       FROM unnest(r_from[f:t]) WITH ORDINALITY r(sender, ord) ORDER BY r.ord) END);
            codes := codes || x.codes;
            new_identities := new_identities + x.news;
        ELSIF step = 4 THEN
            FOR k IN f .. t LOOP
                new_bits := p_recorded[k];
                IF new_identities < cardinality(codes) THEN
                    SELECT bit_or(slipstream.one_bit(r.index, p_count[k])) INTO new_bits
                    FROM unnest(r_pack, r_index, codes) r(pack, index, code) WHERE r.pack = p_pack[k] AND r.code = 0;
                    CONTINUE WHEN new_bits IS NULL;
                END IF;
                f2 := p_from[k] + 1;
                t2 := p_from[k] + p_count[k];
                PERFORM slipstream.store_pack(
                    my_origin, base, p_pack[k], p_count[k], new_bits, p_received[k], x_meta_end[f2:t2], p_meta[k], p_routes[k],
                    p_expires_min[k], x_expires[f2:t2], x_text_end[f2:t2], p_texts[k], o_pack, o_peer, o_bits);
                new_trace_bytes := new_trace_bytes + octet_length(p_meta[k]);
                next_pack := base + p_pack[k] + 1;
            END LOOP;
        ELSE
            rare_done := rare_done || slipstream.rare(my_origin, rare->f, base + t, blobs[f2:f2 + 3]);
            IF rare_done[cardinality(rare_done)] AND t >= 0 THEN
                next_pack := base + t + 1;
            END IF;
            -- An adoption frees the alias.
            IF held IS NOT NULL THEN
                held := slipstream.held_by_others(my_origin, f_peer, alters_peers);
            END IF;
        END IF;
    END LOOP;
    IF next_pack > base THEN
        UPDATE slipstream.head h
        SET next_pack = commit.next_pack, identities = identities + new_identities,
            trace_bytes = trace_bytes + new_trace_bytes;
    END IF;
    IF new_identities > 0 AND base > last_pack THEN
        SELECT peers, anyone INTO others_owe, others_owe_anyone
        FROM slipstream.owed_by_others(my_origin, last_pack, base);
    END IF;
END $$;
