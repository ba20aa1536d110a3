//! What is answered over HTTP about clients, subscriptions and retained messages: from the fields of a request to the words.

use super::asking::Asking;
use super::fields::Fields;
use super::json::{
    ClientJson, DetailsJson, DisconnectedJson, ForgottenJson, PageJson, RetainedJson,
    RetainedPayloadJson, SubscriptionJson, words,
};
use super::paged::{Clients, Paged, Retained, SubscriptionsOf, Who};
use super::refusal::Refusal;
use crate::broker::{
    Deed, Disconnected, Done, Order, Query, Reply, Wanted, Which, home, owner_of_topic,
};
use crate::mqtt::topic;

/// Words of JSON, or why there are none.
pub(crate) type Answered = Result<String, Refusal>;

/// `GET /api/v1/clients`: in the order of their places, or those that come first in another order. `transport` says what is spoken at the
/// listener of a name.
///
/// # Errors
/// 400: the fields cannot be read.
pub(crate) async fn clients(
    asking: &Asking,
    query: &str,
    transport: impl Fn(&str) -> Option<&'static str>,
) -> Answered {
    let fields = Fields::of(query, &["sort", "connected", "prefix", "limit", "after"])?;
    let which = Which {
        is_connected: fields.is_set("connected")?,
        prefix: fields.get("prefix").unwrap_or_default().into(),
    };
    let (limit, after) = (fields.limit()?, fields.get("after"));
    let order = match fields.get("sort") {
        None => None,
        Some("lag") => Some(Order::Lag),
        Some("bytes") => Some(Order::Bytes),
        Some("messages") => Some(Order::Messages),
        Some("name") => Some(Order::Name),
        Some(_) => {
            let text = "\"sort\" is lag, bytes, messages or name.";
            return Err(Refusal::asked_wrongly(text.into()));
        }
    };
    let list = match order {
        None => asking.list(&Clients(which), after, limit).await?,
        Some(order) if order != Order::Name && after.is_some() => {
            let text = format!("There is nothing after the first clients by {order:?}.");
            return Err(Refusal::asked_wrongly(text));
        }
        Some(order) => {
            let after = after.map(Box::from);
            asking.ranked(which, order, after, limit).await?
        }
    };
    let json = |row| ClientJson::new(row, &transport);
    Ok(words(&PageJson::of(list, json)))
}

/// `GET /api/v1/clients/ID`. `transport` as for `clients`.
///
/// # Errors
/// 404: there is no such client. 503: its shard does not answer.
pub(crate) async fn client(
    asking: &Asking,
    client: &str,
    transport: impl Fn(&str) -> Option<&'static str>,
) -> Answered {
    let shard = home(client, asking.shards());
    match asking.ask(shard, Query::Client(client.into())).await {
        Some(Reply::Client(Some(details))) => Ok(words(&DetailsJson::new(*details, transport))),
        Some(Reply::Client(None)) => Err(no_client()),
        _ => Err(Refusal::no_answer()),
    }
}

/// `DELETE /api/v1/clients/ID`: disconnects it, and with `end_session=true` ends its session too.
///
/// # Errors
/// 404: there is no such client. 503: its shard does not answer.
pub(crate) async fn disconnect(
    asking: &Asking,
    client: &str,
    query: &str,
) -> Result<(String, Disconnected), Refusal> {
    let fields = Fields::of(query, &["end_session"])?;
    let shard = home(client, asking.shards());
    let deed = Deed::Disconnect {
        client: client.into(),
        ends_session: fields.is_set("end_session")?.unwrap_or(false),
    };
    match asking.ask(shard, deed).await {
        Some(Done::Disconnected(Some(done))) => {
            Ok((words(&DisconnectedJson::new(client.into(), done)), done))
        }
        Some(Done::Disconnected(None)) => Err(no_client()),
        _ => Err(Refusal::no_answer()),
    }
}

fn no_client() -> Refusal {
    Refusal::nothing("There is no such client.")
}

/// `GET /api/v1/subscriptions`: who gets a topic, who is subscribed to a filter, or what one client is subscribed to.
///
/// # Errors
/// 400: not exactly one of these is asked for, or it is no topic name or filter.
pub(crate) async fn subscriptions(asking: &Asking, query: &str) -> Answered {
    let fields = Fields::of(query, &["topic", "filter", "client", "limit", "after"])?;
    let (limit, after) = (fields.limit()?, fields.get("after"));
    let asked = (
        fields.get("topic"),
        fields.get("filter"),
        fields.get("client"),
    );
    match asked {
        (Some(topic), None, None) => {
            check_topic(topic)?;
            let wanted = Wanted::Topic(topic.into());
            page(asking, &Who(wanted), after, limit).await
        }
        (None, Some(filter), None) => {
            let wanted = filter_of(filter)?;
            page(asking, &Who(wanted), after, limit).await
        }
        (None, None, Some(client)) => {
            page(asking, &SubscriptionsOf(client.into()), after, limit).await
        }
        _ => {
            let text = "One of \"topic\", \"filter\" and \"client\" says what is asked for.";
            Err(Refusal::asked_wrongly(text.into()))
        }
    }
}

async fn page<P: Paged<Row = crate::broker::SubscriptionRow>>(
    asking: &Asking,
    paged: &P,
    after: Option<&str>,
    limit: usize,
) -> Answered {
    let list = asking.list(paged, after, limit).await?;
    Ok(words(&PageJson::of(list, SubscriptionJson::from)))
}

fn filter_of(filter: &str) -> Result<Wanted, Refusal> {
    let (share, filter) = match topic::share(filter) {
        Some(Ok((share, filter))) => (Some(share), filter),
        Some(Err(())) => return Err(no_filter()),
        None => (None, filter),
    };
    check_filter(filter)?;
    Ok(Wanted::Filter {
        share: share.map(Box::from),
        filter: filter.into(),
    })
}

fn check_topic(topic: &str) -> Result<(), Refusal> {
    match topic::topic_name_valid(topic) {
        true => Ok(()),
        false => Err(Refusal::asked_wrongly("This is no topic name.".into())),
    }
}

fn check_filter(filter: &str) -> Result<(), Refusal> {
    match topic::topic_filter_valid(filter) {
        true => Ok(()),
        false => Err(no_filter()),
    }
}

fn no_filter() -> Refusal {
    Refusal::asked_wrongly("This is no topic filter.".into())
}

/// `GET /api/v1/retained`: those that a filter matches (`#` without one), or one of a topic with its payload. `may_read` says whether
/// who asks may read a topic.
///
/// # Errors
/// 400: what is asked for is no filter or topic name. 403: the payload is not for who asks. 404: the topic has none. 503: its shard does
/// not answer.
pub(crate) async fn retained(
    asking: &Asking,
    query: &str,
    may_read: impl Fn(&str) -> bool,
) -> Answered {
    let fields = Fields::of(query, &["topic", "filter", "limit", "after"])?;
    let Some(topic) = fields.get("topic") else {
        let filter = fields.get("filter").unwrap_or("#");
        check_filter(filter)?;
        let (limit, after) = (fields.limit()?, fields.get("after"));
        let list = asking.list(&Retained(filter.into()), after, limit).await?;
        return Ok(words(&PageJson::of(list, RetainedJson::from)));
    };
    check_topic(topic)?;
    if !may_read(topic) {
        let text = "Access rules do not let you read this topic.";
        return Err(Refusal::forbidden(text));
    }
    let shard = owner_of_topic(topic, asking.shards());
    match asking.ask(shard, Query::RetainedOf(topic.into())).await {
        Some(Reply::RetainedOf(Some(row))) => Ok(words(&RetainedPayloadJson::from(row))),
        Some(Reply::RetainedOf(None)) => Err(no_retained()),
        _ => Err(Refusal::no_answer()),
    }
}

/// `DELETE /api/v1/retained`: takes away the retained message of a topic. `may_write` says whether who asks may write to a topic.
///
/// # Errors
/// 400: no topic name is given. 403: the topic is not for who asks. 404: it has none. 503: its shard does not answer.
pub(crate) async fn forget_retained(
    asking: &Asking,
    query: &str,
    may_write: impl Fn(&str) -> bool,
) -> Answered {
    let fields = Fields::of(query, &["topic"])?;
    let topic = fields.get("topic").unwrap_or_default();
    check_topic(topic)?;
    if topic::is_sys(topic) || !may_write(topic) {
        let text = "Access rules do not let you write to this topic.";
        return Err(Refusal::forbidden(text));
    }
    let shard = owner_of_topic(topic, asking.shards());
    match asking.ask(shard, Deed::ForgetRetained(topic.into())).await {
        Some(Done::ForgotRetained(true)) => Ok(words(&ForgottenJson {
            topic: topic.into(),
            removed: true,
        })),
        Some(Done::ForgotRetained(false)) => Err(no_retained()),
        _ => Err(Refusal::no_answer()),
    }
}

fn no_retained() -> Refusal {
    Refusal::nothing("This topic has no retained message.")
}
