"""No attack: what the healthy clients and the flows do to each other."""

NAME = "calm"
SECONDS = 60
SHARDS = 2
HEALTHY = (100, 20)


def run(context):
    context.sleep(context.seconds)
    return {}


def checks(_context, _result):
    return []
