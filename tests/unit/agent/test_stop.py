"""How an agent ends: at once, or when everything is delivered."""

from threading import Thread

from k8s_audit_otlp.agent.agent import Agent, AgentOptions
from k8s_audit_otlp.demo.steps import Accept, Throttle


def test_asked_to_stop_it_first_catches_up_where_that_is_set(scene, wait_for) -> None:
    """A node that goes away takes its log with it: the backlog is delivered before the end."""
    scene.service = "until: caught_up, "
    scene.backend.plan = [Throttle(503)]
    scene.write(200)
    agent = Agent(scene.config(), {}, AgentOptions(lock_patience_s=0.5))
    agent.start()
    ended = []
    thread = Thread(target=lambda: ended.append(agent.run()))
    thread.start()
    wait_for(lambda: scene.backend.requests_total > 0)
    agent.stop()
    wait_for(lambda: agent.catching_up)
    assert thread.is_alive()
    scene.backend.plan = [Accept()]
    thread.join(20)
    assert ended == [True]
    assert len(scene.backend.received.uids) == 200


def test_what_cannot_catch_up_ends_after_the_deadline_and_says_so(scene, wait_for) -> None:
    """A back end that is down does not hold the node for ever."""
    scene.service = "until: caught_up, "
    scene.backend.plan = [Throttle(503)]
    scene.write(20)
    agent = Agent(scene.config(), {}, AgentOptions(deadline_s=0.5, lock_patience_s=0.5))
    agent.start()
    ended = []
    thread = Thread(target=lambda: ended.append(agent.run()))
    thread.start()
    wait_for(lambda: scene.backend.requests_total > 0)
    agent.stop()
    thread.join(20)
    assert ended == [False]
    assert agent.undelivered()[0][:2] == ("otlp_http", "audit.log")


def test_a_second_request_to_stop_does_not_wait_for_it(scene, wait_for) -> None:
    """Who insists is obeyed; the rest is sent after the next start."""
    scene.service = "until: caught_up, "
    scene.backend.plan = [Throttle(503)]
    scene.write(20)
    agent = Agent(scene.config(), {}, AgentOptions(lock_patience_s=0.5))
    agent.start()
    thread = Thread(target=agent.run)
    thread.start()
    wait_for(lambda: scene.backend.requests_total > 0)
    agent.stop()
    agent.stop()
    thread.join(10)
    assert not thread.is_alive()
    scene.backend.plan = [Accept()]
    scene.service = ""
    scene.once()
    assert len(scene.backend.received.uids) == 20
