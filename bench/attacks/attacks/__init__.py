"""The attacks by name. Each module has NAME, SECONDS, SHARDS, HEALTHY (subscribers, messages a second), `run(context)`
that attacks and returns what it saw, and `checks(context, result)`: what must hold beyond what must always hold, as
(what, whether it held or None for a figure without a bound, in words). It may have CONFIG (more lines for firehose), DOORS (it wants
`context.doors`, listeners of every transport) and BLOCKED_LOG (nobody reads what the broker says)."""

from attacks import absent, announced, calm, crowd, disagree, halves, hasty, mixed, names, random_order, retained, stalled, storm, strangers, subscriptions, web

ALL = {attack.NAME: attack for attack in (stalled, absent, crowd, retained, announced, storm, subscriptions, halves, hasty, disagree,
                                          mixed, names, strangers, web, random_order, calm)}
