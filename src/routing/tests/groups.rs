//! The groups against maps of members.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::ids::{GroupId, SessionId, ShardId};
use crate::mqtt::QoS;
use crate::routing::{EntryOptions, Groups, Member};

fn member(id: u32, online: bool) -> Member {
    Member {
        shard: ShardId((id % 3) as u8),
        session: SessionId(id),
        serial: u64::from(id) + 100,
        options: EntryOptions::with_qos(QoS::AtLeastOnce),
        online,
        durable: false,
    }
}

fn joined(ids: &[(u32, bool)]) -> (Groups, GroupId) {
    let mut groups = Groups::new(1);
    let mut id = GroupId(0);
    for &(number, online) in ids {
        (id, _) = groups.join("g", "a/#", member(number, online));
    }
    (groups, id)
}

fn turns(groups: &mut Groups, id: GroupId, count: usize) -> Vec<u32> {
    (0..count)
        .filter_map(|_| groups.choose(id))
        .map(|member| member.session.0)
        .collect()
}

#[test]
fn members_take_turns() {
    let (mut groups, id) = joined(&[(1, true), (2, true), (3, true)]);
    assert_eq!(turns(&mut groups, id, 7), [1, 2, 3, 1, 2, 3, 1]);
}

#[test]
fn those_who_are_away_are_chosen_only_when_nobody_is_there() {
    let (mut groups, id) = joined(&[(1, false), (2, true), (3, false), (4, true)]);
    assert_eq!(turns(&mut groups, id, 4), [2, 4, 2, 4]);
    assert!(groups.set_online("g", "a/#", ShardId(2), SessionId(2), false));
    assert_eq!(turns(&mut groups, id, 2), [4, 4]);
    assert!(groups.set_online("g", "a/#", ShardId(1), SessionId(4), false));
    let mut all = turns(&mut groups, id, 4);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4]);
    assert!(!groups.set_online("g", "a/#", ShardId(0), SessionId(9), true));
    assert!(!groups.set_online("g", "b", ShardId(0), SessionId(3), true));
}

#[test]
fn another_than_the_one_who_could_not_take_it() {
    let (mut groups, id) = joined(&[(1, true), (2, true), (3, false)]);
    let not = (ShardId(1), SessionId(1));
    for _ in 0..5 {
        assert_eq!(
            groups.choose_other(id, not).map(|member| member.session.0),
            Some(2)
        );
    }
    groups.leave("g", "a/#", ShardId(2), SessionId(2));
    assert_eq!(
        groups.choose_other(id, not).map(|member| member.session.0),
        Some(3)
    );
    groups.leave("g", "a/#", ShardId(0), SessionId(3));
    assert_eq!(groups.choose_other(id, not), None);
    assert_eq!(
        groups.leave("g", "a/#", ShardId(1), SessionId(1)),
        Some((id, true))
    );
    assert_eq!(
        (groups.choose(id), groups.choose_other(id, not)),
        (None, None)
    );
    assert!(groups.get(id).members().is_empty());
}

#[test]
fn who_could_not_take_a_message_is_chosen_now_and_then() {
    let (mut groups, id) = joined(&[(1, true), (2, true), (3, true), (4, false)]);
    groups.rest(id, ShardId(1), SessionId(1));
    groups.rest(id, ShardId(2), SessionId(2));
    groups.rest(id, ShardId(2), SessionId(2));
    let rests = crate::limits::GROUP_REST_CHOICES as usize;
    assert!(
        turns(&mut groups, id, rests - 1)
            .iter()
            .all(|&one| one == 3)
    );
    // One of them is asked again, and says no; then the other.
    for tried in [1, 2, 1] {
        let chosen = turns(&mut groups, id, 2);
        assert!(chosen.contains(&tried), "{tried}: {chosen:?}");
        groups.rest(id, ShardId((tried % 3) as u8), SessionId(tried));
        let chosen = turns(&mut groups, id, rests - 2);
        assert!(chosen.iter().all(|&one| one == 3), "{chosen:?}");
    }
    // Joining again is a new beginning, and so is being all that is left.
    groups.join("g", "a/#", member(1, true));
    assert!(turns(&mut groups, id, 2).contains(&1));
    for number in [1, 3] {
        groups.rest(id, ShardId((number % 3) as u8), SessionId(number));
    }
    assert!(groups.choose(id).is_some_and(|member| member.online));
    assert_eq!(groups.get(id).open().count(), 4);
}

/// Without a right to a message: the last that is chosen, until it may have got one.
#[test]
fn who_may_not_read_is_chosen_last() {
    let (mut groups, id) = joined(&[(1, true), (2, true), (3, true), (4, false)]);
    let place = |number: u32| (ShardId((number % 3) as u8), SessionId(number));
    let bar = |groups: &mut Groups, number| {
        let (shard, session) = place(number);
        groups.bar(id, shard, session);
    };
    bar(&mut groups, 1);
    bar(&mut groups, 2);
    bar(&mut groups, 2);
    let often = crate::limits::GROUP_BARRED_CHOICES as usize;
    let chosen = turns(&mut groups, id, often - 1);
    assert!(chosen.iter().all(|&one| one == 3));
    // Joining again gives nobody a right.
    groups.join("g", "a/#", member(1, true));
    assert_eq!(turns(&mut groups, id, 1), [1], "the first of them again");
    bar(&mut groups, 1);
    let next = turns(&mut groups, id, often);
    assert!(!next.contains(&1) && next.ends_with(&[2]));
    bar(&mut groups, 2);
    // Nobody else is there: one who is away, and then nobody.
    bar(&mut groups, 3);
    assert_eq!(turns(&mut groups, id, 3), [4, 4, 4]);
    bar(&mut groups, 4);
    assert_eq!(groups.choose(id), None);
    assert_eq!(groups.get(id).barred().len(), 4);
    // A client that comes anew may be another one.
    let (shard, session) = place(3);
    assert!(groups.set_online("g", "a/#", shard, session, false));
    assert_eq!(groups.choose(id), None);
    assert!(groups.set_online("g", "a/#", shard, session, true));
    assert_eq!(turns(&mut groups, id, 2), [3, 3]);
    groups.wake_all();
    let mut all = turns(&mut groups, id, 3);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
    assert_eq!(groups.get(id).open().count(), 4);
}

#[test]
fn joining_again_replaces() {
    let (mut groups, id) = joined(&[(1, true), (2, true)]);
    let again = Member {
        serial: 7,
        online: false,
        ..member(1, true)
    };
    assert_eq!(groups.join("g", "a/#", again), (id, false));
    assert_eq!(groups.members(), 2);
    assert_eq!(groups.get(id).members(), [member(2, true), again]);
    assert_eq!(groups.find("g", "a/+"), None);
    assert_eq!(groups.find("h", "a/#"), None);
}

#[derive(Clone, Debug)]
enum Step {
    Join(u32, u32, bool),
    Leave(u32, u32),
    Online(u32, u32, bool),
    Choose(u32),
    Rest(u32, u32),
    Bar(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let online = any::<bool>();
    prop_oneof![
        4 => (0..3u32, 0..12u32, online).prop_map(|(group, id, online)| Step::Join(group, id, online)),
        2 => (0..3u32, 0..12u32).prop_map(|(group, id)| Step::Leave(group, id)),
        3 => (0..3u32, 0..12u32, online).prop_map(|(group, id, online)| Step::Online(group, id, online)),
        2 => (0..3u32).prop_map(Step::Choose),
        2 => (0..3u32, 0..12u32).prop_map(|(group, id)| Step::Rest(group, id)),
        2 => (0..3u32, 0..12u32).prop_map(|(group, id)| Step::Bar(group, id)),
    ]
}

type Model = BTreeMap<u32, BTreeMap<u32, Member>>;

fn check(real: &mut Groups, model: &mut Model, step: Step) {
    let name = |group: u32| format!("g{group}");
    match step {
        Step::Join(group, id, online) => {
            let is_new = !model.contains_key(&group);
            model
                .entry(group)
                .or_default()
                .insert(id, member(id, online));
            assert_eq!(real.join(&name(group), "a", member(id, online)).1, is_new);
        }
        Step::Leave(group, id) => {
            let left = model.get_mut(&group).and_then(|members| {
                members.remove(&id)?;
                Some(members.is_empty())
            });
            model.retain(|_, members| !members.is_empty());
            let Member { shard, session, .. } = member(id, true);
            assert_eq!(
                real.leave(&name(group), "a", shard, session)
                    .map(|(_, empty)| empty),
                left
            );
        }
        Step::Online(group, id, online) => {
            let known = model
                .get_mut(&group)
                .and_then(|members| members.get_mut(&id));
            let Member { shard, session, .. } = member(id, true);
            assert_eq!(
                real.set_online(&name(group), "a", shard, session, online),
                known.is_some()
            );
            known.into_iter().for_each(|member| member.online = online);
        }
        Step::Rest(group, id) => {
            let Member { shard, session, .. } = member(id, true);
            if let Some(found) = real.find(&name(group), "a") {
                real.rest(found, shard, session);
                let is_open = real.get(found).open().count() > 0;
                let chosen = real.choose(found);
                assert_eq!(chosen.is_some(), is_open);
                assert!(chosen.is_none_or(|chosen| chosen.session != session
                    || !chosen.online
                    || model[&group].values().filter(|one| one.online).count() > 0));
                check_sections(real, found, &model[&group]);
            }
        }
        Step::Bar(group, id) => {
            let Member { shard, session, .. } = member(id, true);
            if let Some(found) = real.find(&name(group), "a") {
                real.bar(found, shard, session);
                let chosen = real.choose(found);
                assert!(chosen.is_none_or(|chosen| chosen.session != session));
                check_sections(real, found, &model[&group]);
            }
        }
        Step::Choose(group) => check_turns(real, &name(group), model.get(&group)),
    }
    assert_eq!(real.len(), model.len());
    assert_eq!(
        real.members(),
        model.values().map(BTreeMap::len).sum::<usize>()
    );
}

/// Every member is in one section.
fn check_sections(real: &Groups, id: GroupId, model: &BTreeMap<u32, Member>) {
    let group = real.get(id);
    let mut all: Vec<Member> = group.open().chain(group.barred()).copied().collect();
    all.sort_by_key(|member| member.session);
    assert_eq!(all, model.values().copied().collect::<Vec<_>>());
}

/// In as many turns as there are members to choose from, each is chosen once.
fn check_turns(real: &mut Groups, name: &str, model: Option<&BTreeMap<u32, Member>>) {
    let found = real.find(name, "a");
    assert_eq!(found.is_some(), model.is_some());
    let (Some(id), Some(model)) = (found, model) else {
        return;
    };
    let mut eligible: Vec<u32> = model
        .values()
        .filter(|member| member.online)
        .map(|m| m.session.0)
        .collect();
    if eligible.is_empty() {
        eligible = model.keys().copied().collect();
    }
    real.wake_all();
    let mut chosen = turns(real, id, eligible.len());
    chosen.sort_unstable();
    assert_eq!(chosen, eligible);
    let mut members = real.get(id).members().to_vec();
    members.sort_by_key(|member| member.session);
    assert_eq!(members, model.values().copied().collect::<Vec<_>>());
    let not = member(eligible[0], true);
    match real.choose_other(id, (not.shard, not.session)) {
        Some(other) => assert_ne!(other.session, not.session),
        None => assert_eq!(model.len(), 1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn as_maps_of_members(seed: u64, steps in prop::collection::vec(step(), 1..200)) {
        let mut real = Groups::new(seed);
        let mut model = Model::new();
        for step in steps {
            check(&mut real, &mut model, step);
        }
    }
}

/// A message that comes back by a number must not find another group by it.
#[test]
fn the_number_of_a_group_that_has_ended_rests() {
    let (mut groups, id) = joined(&[(1, true)]);
    let first = member(1, true);
    groups.leave("g", "a/#", first.shard, first.session);
    let mut again = 0;
    for _ in 0..2000 {
        let (next, is_new) = groups.join("h", "a/#", first);
        assert!(is_new);
        again += u32::from(next == id);
        assert!(next.0 <= crate::limits::GROUP_IDS_RESTING as u32 + 1);
        groups.leave("h", "a/#", first.shard, first.session);
    }
    assert!((1..10).contains(&again), "{again}");
}
