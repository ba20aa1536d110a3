//! A ring that one shard keeps full keeps nothing of the others waiting.

use std::sync::Arc;
use std::time::Instant;

use super::brain::{Puppet, message};
use crate::broker::MeshMessage;
use crate::ids::ShardId;
use crate::limits;
use crate::mesh;
use crate::shard::mesh_side::MeshSide;
use crate::shard::overload::Overload;
use crate::shard::{Brain, ShardMessage};

const SLOTS: usize = 64;

fn say(text: &str) -> ShardMessage {
    ShardMessage::Mesh(MeshMessage::Publish {
        message: Arc::new(message(text.to_string())),
        retain_seq: 0,
    })
}

/// The sides of three shards; the first is the one that hears, and takes so many in a turn.
fn sides(sip: usize) -> ([MeshSide; 3], Puppet, Overload) {
    let ports = mesh::grid(3, SLOTS).into_iter();
    let mut sides = ports.map(|port| MeshSide::new(port, 3, u64::MAX));
    let sides = [(); 3].map(|()| sides.next().unwrap());
    let mut puppet = Puppet::new(ShardId(0), 1);
    puppet.sip(sip);
    (sides, puppet, Overload::new(Instant::now()).unwrap())
}

fn heard(puppet: &Puppet) -> Vec<String> {
    let publishes = std::mem::take(&mut puppet.seen.lock().unwrap().publishes);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    publishes.into_iter().map(text).collect()
}

/// One shard sends without end, and more waits in front of its ring than goes in; another says a word in each turn. Whether a
/// turn takes many or few, the word is heard in it or in the next.
#[test]
fn a_word_is_heard_while_another_shard_keeps_its_ring_full() {
    const TURNS: usize = 50;
    for sip in [1, limits::MESH_DRAIN_SLICE, 2 * SLOTS, usize::MAX] {
        let ([mut hears, mut floods, mut speaks], mut puppet, mut overload) = sides(sip);
        let mut sent = 0;
        let mut words = 0;
        let mut last_flood = None;
        for turn in 0..TURNS {
            for _ in 0..3 * SLOTS {
                floods.send(ShardId(0), say(&format!("flood {sent}")));
                sent += 1;
            }
            assert!(floods.waiting() > 0, "its ring is full");
            speaks.send(ShardId(0), say(&format!("word {turn}")));
            floods.flush(0);
            speaks.flush(0);
            hears.drain(0, &mut puppet, &mut overload);
            puppet.settle(0);
            hears.flush(0);
            for text in heard(&puppet) {
                match text.split_once(' ').unwrap() {
                    ("word", number) => {
                        assert_eq!(number, words.to_string(), "in order");
                        words += 1;
                    }
                    (_, number) => {
                        let number: usize = number.parse().unwrap();
                        assert_eq!(
                            number,
                            last_flood.map_or(0, |last: usize| last + 1),
                            "in order"
                        );
                        last_flood = Some(number);
                    }
                }
            }
            // With one message a turn each shard is heard in every other turn.
            let least = if sip == 1 { turn / 2 } else { turn };
            assert!(words >= least, "sip {sip}, turn {turn}: {words} words");
        }
        assert!(last_flood.is_some(), "and the other one is heard too");
    }
}

/// What waits in front of one ring does not keep what is for another shard.
#[test]
fn a_full_ring_keeps_nothing_that_is_for_others() {
    let ([mut other, mut sends, _], mut puppet, mut overload) = sides(usize::MAX);
    for number in 0..2 * SLOTS {
        sends.send(ShardId(2), say(&format!("{number}")));
    }
    assert_eq!(sends.waiting(), SLOTS);
    sends.send(ShardId(0), say("word"));
    sends.flush(0);
    other.drain(0, &mut puppet, &mut overload);
    assert_eq!(heard(&puppet), ["word"]);
}
