-- What several processes that share the store do beside commits. Whoever commits locks the row of its process, the head, the
-- peers whose claims count, and what they are owed, in this order; and peers in the order of their ids.

-- Refuses what a process does that was retired. Its row is locked such that it cannot be retired meanwhile, and that a
-- commit of it which waits is not waited for.
CREATE FUNCTION slipstream.check_member(me bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM slipstream.process WHERE origin = me FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this process was retired' USING ERRCODE = 'SL001';
    END IF;
END $$;

-- Those of some peers that other processes have claimed, or null. Nobody can claim any of them until the commit is done. If
-- some are to be changed, all are locked as for that: a lock that is made stronger later may wait for ever.
CREATE FUNCTION slipstream.held_by_others(me bigint, f_peer text[], alters_peers boolean) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    held text[];
BEGIN
    IF alters_peers THEN
        PERFORM 1 FROM slipstream.peer WHERE id = ANY (f_peer) ORDER BY id FOR UPDATE;
    END IF;
    -- The owner is looked at once the row is locked, and not before.
    SELECT array_agg(p.id) FILTER (WHERE p.owner <> me) INTO held
    FROM (SELECT id, owner FROM slipstream.peer WHERE id = ANY (f_peer) ORDER BY id FOR SHARE) p;
    RETURN held;
END $$;

-- Whom other processes made owed something with packs from one number up to before another. What is not there, or has no
-- trace any more, might have been for anyone, and so might many packs.
CREATE FUNCTION slipstream.owed_by_others(
    me bigint, from_pack bigint, before_pack bigint, OUT peers text[], OUT anyone boolean
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    anyone := before_pack - from_pack > 256;
    IF anyone THEN
        RETURN;
    END IF;
    SELECT count(*) < before_pack - from_pack OR coalesce(bool_or(p.meta IS NULL), false) INTO anyone
    FROM slipstream.pack p WHERE p.no >= from_pack AND p.no < before_pack;
    SELECT array_agg(DISTINCT e.peer) INTO peers
    FROM slipstream.pack p CROSS JOIN LATERAL unnest(p.sent_to || p.redriven_for) e(peer)
    WHERE p.no >= from_pack AND p.no < before_pack AND p.writer <> me AND e.peer IS NOT NULL;
END $$;

-- A new process, and what has happened before it. `makes` is whether it makes the store, whose version is negative until it
-- is finished.
CREATE FUNCTION slipstream.enter(by_program text, makes boolean, OUT origin bigint, OUT roster bigint, OUT next_pack bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF EXISTS (SELECT FROM slipstream.head WHERE (schema_version < 0) <> makes) THEN
        RAISE EXCEPTION 'a migration into this store was not finished' USING ERRCODE = 'SL005';
    END IF;
    INSERT INTO slipstream.process (program) VALUES (by_program) RETURNING process.origin INTO enter.origin;
    INSERT INTO slipstream.beat VALUES (enter.origin, 0);
    SELECT h.roster, h.next_pack INTO enter.roster, enter.next_pack FROM slipstream.head h;
END $$;

-- A process is none any more: what was its is free. A commit of it that is under way is waited for. Its beats go first, which
-- are what whoever retires it locks first.
CREATE FUNCTION slipstream.leave(who bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM slipstream.beat WHERE origin = who;
    DELETE FROM slipstream.process WHERE origin = who;
    PERFORM 1 FROM slipstream.peer WHERE owner = who ORDER BY id FOR NO KEY UPDATE;
    UPDATE slipstream.peer SET owner = NULL WHERE owner = who;
    DELETE FROM slipstream.duty WHERE owner = who;
    DELETE FROM slipstream.lost WHERE owner = who;
END $$;

-- Claims a peer, and tells what it is owed; nothing if it is not remembered.
CREATE FUNCTION slipstream.claim(me bigint, who text)
RETURNS TABLE (id text, kind text, grp text, tags text[], durable boolean, last_seen bigint, alias text,
               paused boolean, backlog bigint, oldest bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    former bigint;
BEGIN
    PERFORM slipstream.check_member(me);
    SELECT owner INTO former FROM slipstream.peer WHERE id = who FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE slipstream.peer SET owner = me WHERE id = who AND owner IS DISTINCT FROM me;
    DELETE FROM slipstream.lost WHERE owner = me AND peer = who;
    IF former <> me THEN
        INSERT INTO slipstream.lost (owner, peer) VALUES (former, who);
    END IF;
    RETURN QUERY
    SELECT p.id, p.kind, p.grp, p.tags, p.durable, p.last_seen, p.alias, p.paused,
           (SELECT coalesce(sum(bit_count(o.bits)), 0)::bigint FROM slipstream.owed o WHERE o.peer = p.id),
           (SELECT o.pack * 4096 + position(B'1' IN o.bits) FROM slipstream.owed o WHERE o.peer = p.id
            ORDER BY o.pack LIMIT 1)
    FROM slipstream.peer p WHERE p.id = who;
END $$;

CREATE FUNCTION slipstream.release(me bigint, who text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM slipstream.check_member(me);
    UPDATE slipstream.peer SET owner = NULL WHERE id = who AND owner = me;
END $$;

-- Whether a duty is this process's now.
CREATE FUNCTION slipstream.take_duty(me bigint, duty text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM slipstream.check_member(me);
    INSERT INTO slipstream.duty VALUES (duty, me) ON CONFLICT DO NOTHING;
    RETURN EXISTS (SELECT FROM slipstream.duty d WHERE d.name = duty AND d.owner = me);
END $$;

CREATE FUNCTION slipstream.leave_duty(me bigint, duty text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM slipstream.check_member(me);
    DELETE FROM slipstream.duty d WHERE d.name = duty AND d.owner = me;
END $$;

-- Counts up, drops what the process was told of, and returns all processes. It waits for no standby: if one stalls, nobody
-- is to look dead.
CREATE FUNCTION slipstream.beat(me bigint, told bigint[]) RETURNS TABLE (origin bigint, beats bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE slipstream.beat SET beats = beats + 1 WHERE origin = me;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this process was retired' USING ERRCODE = 'SL001';
    END IF;
    DELETE FROM slipstream.lost WHERE no = ANY (told) AND owner = me;
    RETURN QUERY SELECT origin, beats FROM slipstream.beat ORDER BY origin;
END $$;

-- Retires a process unless its beats have gone on; whether it is none any more.
CREATE FUNCTION slipstream.retire(me bigint, who bigint, seen_beats bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM slipstream.check_member(me);
    PERFORM 1 FROM slipstream.beat WHERE origin = who AND beats = seen_beats FOR UPDATE;
    IF FOUND THEN
        PERFORM slipstream.leave(who);
    END IF;
    RETURN NOT EXISTS (SELECT FROM slipstream.process WHERE origin = who);
END $$;

-- What others have done since this pack was the next: one snapshot.
CREATE FUNCTION slipstream.news(
    me bigint, heard_pack bigint, OUT is_member boolean, OUT roster bigint, OUT next_pack bigint, OUT peers text[],
    OUT anyone boolean, OUT lost_no bigint[], OUT lost_peer text[]
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    is_member := EXISTS (SELECT FROM slipstream.process WHERE origin = me);
    SELECT h.roster, h.next_pack INTO news.roster, news.next_pack FROM slipstream.head h;
    anyone := false;
    IF news.next_pack > heard_pack THEN
        SELECT o.peers, o.anyone INTO news.peers, news.anyone
        FROM slipstream.owed_by_others(me, heard_pack, news.next_pack) o;
    END IF;
    SELECT array_agg(no), array_agg(peer) INTO lost_no, lost_peer FROM slipstream.lost WHERE owner = me;
END $$;
