//! The busiest topics of all shards together: a topic that is published to from several is one.

use std::collections::HashMap;

use super::answers::Answered;
use super::asking::Asking;
use super::fields::Fields;
use super::json::{BusiestJson, BusyTopicJson, words};
use crate::broker::{BusyTopic, BusyTopics, Query, Reply};
use crate::ids::ShardId;

/// `GET /api/v1/topics`: those that clients publish to most. `may_read` says whether who asks may read a topic; others are left out.
///
/// # Errors
/// 400: the fields cannot be read.
pub(crate) async fn busiest(
    asking: &Asking,
    query: &str,
    may_read: impl Fn(&str) -> bool,
) -> Answered {
    let fields = Fields::of(query, &["limit"])?;
    let limit = fields.limit()?;
    let all = (0..asking.shards()).map(|shard| (ShardId(shard), Query::BusiestTopics));
    let (mut told, mut missing) = (Vec::new(), Vec::new());
    for (shard, reply) in asking.ask_each(all).await {
        match reply {
            Some(Reply::BusiestTopics(topics)) => told.push(topics),
            _ => missing.push(shard.0),
        }
    }
    let mut all = together(told);
    all.topics.retain(|one| may_read(&one.topic));
    let by_rate = |one: &BusyTopic, other: &BusyTopic| other.rate.total_cmp(&one.rate);
    all.topics
        .sort_by(|one, other| by_rate(one, other).then_with(|| one.topic.cmp(&other.topic)));
    all.topics.truncate(limit);
    Ok(words(&BusiestJson {
        messages_per_second: all.all,
        long_topics_per_second: all.long,
        others_at_most: all.others_at_most,
        items: all.topics.into_iter().map(BusyTopicJson::from).collect(),
        missing_shards: missing,
    }))
}

/// What shards have told, as one. A topic of which a shard has told nothing may have had there what its others had at most.
fn together(told: Vec<BusyTopics>) -> BusyTopics {
    let mut all = BusyTopics::default();
    let mut topics: HashMap<Box<str>, BusyTopic> = HashMap::new();
    let others_at_most: f64 = told.iter().map(|shard| shard.others_at_most).sum();
    for shard in told {
        all.all += shard.all;
        all.long += shard.long;
        for one in shard.topics {
            // So far this shard was taken for one that knows nothing of it.
            let more = one.at_most - shard.others_at_most;
            let known = topics.entry(one.topic.clone());
            let known = known.or_insert_with(|| BusyTopic {
                topic: one.topic,
                rate: 0.0,
                at_least: 0.0,
                at_most: others_at_most,
                byte_rate: 0.0,
            });
            known.rate += one.rate;
            known.at_least += one.at_least;
            known.at_most += more;
            known.byte_rate += one.byte_rate;
        }
    }
    all.others_at_most = others_at_most;
    all.topics = topics.into_values().collect();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, rate: f64, at_most: f64) -> BusyTopic {
        BusyTopic {
            topic: name.into(),
            rate,
            at_least: rate - 1.0,
            at_most,
            byte_rate: 10.0 * rate,
        }
    }

    fn told(topics: Vec<BusyTopic>, others_at_most: f64) -> BusyTopics {
        BusyTopics {
            topics,
            others_at_most,
            all: 100.0,
            long: 1.0,
        }
    }

    #[test]
    fn bounds_of_shards_add_up_also_where_one_knows_nothing() {
        let all = together(vec![
            told(vec![topic("a", 5.0, 6.0), topic("b", 3.0, 3.5)], 2.0),
            told(vec![topic("a", 7.0, 8.0)], 0.5),
        ]);
        let find = |name| all.topics.iter().find(|one| &*one.topic == name).unwrap();
        let (a, b) = (find("a"), find("b"));
        assert_eq!((a.rate, a.at_least, a.at_most), (12.0, 10.0, 14.0));
        assert_eq!((b.rate, b.at_least, b.at_most), (3.0, 2.0, 4.0));
        assert_eq!(a.byte_rate, 120.0);
        assert_eq!((all.all, all.long, all.others_at_most), (200.0, 2.0, 2.5));
        assert_eq!(all.topics.len(), 2);
    }
}
