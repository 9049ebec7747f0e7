//! What a peer has acknowledged that got it on an earlier link.

use super::*;

/// The peer is back before the commit of what it has acknowledged has ended, and the store shows it as pending still.
#[test]
fn what_an_earlier_link_settled_is_not_sent_again() {
    let mut fixture = Fixture::linked((1..=4).map(pending));
    assert_eq!(fixture.send(at(0)), [1, 2, 3, 4]);
    let acknowledge = |fixture: &mut Fixture, number| fixture.state.acknowledge(&identity(number).id, None, at(0));
    acknowledge(&mut fixture, 1);
    let mut committing = Vec::new();
    fixture.state.decided.take(&mut committing, usize::MAX);
    acknowledge(&mut fixture, 3);
    fixture.state.unlink(LinkEnd::Lost, at(0));
    fixture.state.link_up(LinkTerms::default(), at(0), &limits());
    fixture.state.ask_page(&limits()).unwrap();
    fixture.state.load(page(1..=4, false), at(0));
    assert_eq!(send_all(&mut fixture.state), [2, 4]);
    fixture.state.committed(committing.len());
    assert!(!fixture.state.decided.is_settled(), "the other one waits");
    fixture.state.link_up(LinkTerms::default(), at(0), &limits());
    fixture.state.ask_page(&limits()).unwrap();
    fixture.state.load(page(2..=4, false), at(0));
    assert_eq!(send_all(&mut fixture.state), [2, 4]);
}

#[test]
fn an_ack_for_what_an_earlier_link_sent_settles_it_unsent() {
    let mut fixture = Fixture::linked([pending(1), pending(2), pending(3)]);
    assert!(fixture.acknowledge(2, at(0)).is_empty(), "nothing was read yet");
    fixture.read(at(0));
    assert!(!fixture.store.iter().any(|pending| pending.sequence == sequence(2)));
    assert_eq!(fixture.acknowledge(3, at(0)), ["acknowledge 3"], "it waits to be sent");
    assert_eq!(fixture.send(at(0)), [1]);
}

#[test]
fn an_early_ack_of_a_newer_value_keeps_the_older_from_being_sent() {
    let mut fixture = Fixture::linked([sets(1, "k"), sets(2, "other"), sets(3, "k")]);
    fixture.acknowledge(3, at(0));
    assert_eq!(fixture.send(at(0)), [2]);
    assert_eq!(fixture.store.len(), 1);
}
