//! Random steps of several members, compared with members of the model after each.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use slipstream_store::{Member, News, Owed, PeerId, RememberedPeer, Result, SharedStore};

use crate::cases::lockstep::pair::{Checked, Pair};
use crate::cases::lockstep::run;
use crate::cases::lockstep::steps::{self, PEERS, Step};
use crate::fixture::{peer, shared};
use crate::harness::{Harness, Sandbox};

/// How many members do something.
const MEMBERS: usize = 3;

const DUTIES: [&str; 2] = ["to dial", "to purge"];

/// What one member does.
#[derive(Debug, Clone)]
enum Turn {
    Step(Step),
    ReadRoster,
    Claim(usize),
    Release(usize),
    TakeDuty(usize),
    LeaveDuty(usize),
    News,
    /// Retires that member, as it stands, and has it be opened anew later.
    Retire(usize),
}

fn turn() -> impl Strategy<Value = Turn> {
    let duty = || 0..DUTIES.len();
    prop_oneof![
        12 => steps::step().prop_map(Turn::Step),
        4 => Just(Turn::ReadRoster),
        4 => steps::peer().prop_map(Turn::Claim),
        1 => steps::peer().prop_map(Turn::Release),
        1 => duty().prop_map(Turn::TakeDuty),
        1 => duty().prop_map(Turn::LeaveDuty),
        2 => Just(Turn::News),
        1 => (1..=MEMBERS).prop_map(Turn::Retire),
    ]
}

fn turns() -> impl Strategy<Value = Vec<(usize, Turn)>> {
    let first = vec(steps::remember(), 4).prop_map(|peers| (1, Turn::Step(Step::Commit(peers))));
    (first, vec((1..=MEMBERS, turn()), 1..60)).prop_map(|(first, mut turns)| {
        turns.insert(0, first);
        turns
    })
}

/// Runs as many as the lockstep of one handle. It blocks.
pub(super) async fn in_lockstep<H: Harness>(sandbox: &Sandbox<H>) {
    run(turns, async |run, turns| {
        let path = sandbox.beside(&format!("members-{run}"));
        let mut pair = Pair::open_shared(sandbox, path, MEMBERS).await?;
        for (member, turn) in &turns {
            pair.turn_to(*member);
            take(&mut pair, turn).await?;
        }
        pair.end().await
    });
}

async fn take<H: Harness>(pair: &mut Pair<'_, H>, turn: &Turn) -> Checked {
    let is_member = shared(pair.model()).release(&never_claimed()).await.is_ok();
    match turn {
        Turn::Step(step @ (Step::Commit(_) | Step::Again)) => pair.take(step).await?,
        Turn::Step(step) if is_member => pair.take(step).await?,
        // What a retired member reads is nobody's concern: it begins anew.
        Turn::Step(_) => pair.reopen(false).await?,
        Turn::ReadRoster => pair.read_roster().await?,
        Turn::Claim(at) => {
            let peer = peer(PEERS[*at]);
            let expected = shared(pair.model()).claim(&peer).await;
            let claimed = shared(pair.store()?).claim(&peer).await;
            let simplified = |claimed: Result<Option<RememberedPeer>>| {
                claimed.map(|claimed| claimed.map(|claimed| (claimed.peer, claimed.backlog, claimed.oldest.is_some())))
            };
            prop_assert_eq!(simplified(expected), simplified(claimed));
        }
        Turn::Release(at) => {
            let peer = peer(PEERS[*at]);
            let expected = shared(pair.model()).release(&peer).await;
            prop_assert_eq!(expected, shared(pair.store()?).release(&peer).await);
        }
        Turn::TakeDuty(at) => {
            let expected = shared(pair.model()).take_duty(DUTIES[*at]).await;
            prop_assert_eq!(expected, shared(pair.store()?).take_duty(DUTIES[*at]).await);
        }
        Turn::LeaveDuty(at) => {
            let expected = shared(pair.model()).leave_duty(DUTIES[*at]).await;
            prop_assert_eq!(expected, shared(pair.store()?).leave_duty(DUTIES[*at]).await);
        }
        Turn::News => news(pair).await?,
        Turn::Retire(member) => retire(pair, *member).await?,
    }
    Ok(())
}

/// A peer that nobody claims, so that giving it back only says whether a handle is a member.
fn never_claimed() -> PeerId {
    peer("never-claimed")
}

/// What the model tells the store tells, too; of deliveries it may tell more.
async fn news<H: Harness>(pair: &Pair<'_, H>) -> Checked {
    let expected = shared(pair.model()).news(Duration::ZERO).await;
    let told = shared(pair.store()?).news(Duration::ZERO).await;
    let (Ok(expected), Ok(told)) = (&expected, &told) else {
        prop_assert_eq!(expected.err(), told.err());
        return Ok(());
    };
    let News { owed: Owed::Peers(owed), .. } = expected else { return Ok(()) };
    for peer in owed {
        prop_assert!(told.owed.includes(peer), "{:?} is missing in {:?}", peer, told);
    }
    let mut lost = told.lost.clone();
    lost.sort();
    prop_assert_eq!((&expected.lost, expected.roster.is_some()), (&lost, told.roster.is_some()));
    Ok(())
}

async fn retire<H: Harness>(pair: &mut Pair<'_, H>, member: usize) -> Checked {
    pair.turn_to(member);
    let dead = [standing(shared(pair.model())).await, standing(shared(pair.store()?)).await];
    let [Some(model), Some(store)] = dead else {
        prop_assert_eq!(dead[0].is_some(), dead[1].is_some());
        return pair.reopen(false).await;
    };
    pair.turn_to(0);
    let expected = shared(pair.model()).retire(model).await;
    prop_assert_eq!(expected, shared(pair.store()?).retire(store).await);
    Ok(())
}

/// A member as it stands, if it is one still.
async fn standing(store: &dyn SharedStore) -> Option<Member> {
    let members = store.beat().await.ok()?;
    members.into_iter().find(|member| member.id == store.member())
}
