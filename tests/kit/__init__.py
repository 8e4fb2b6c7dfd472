"""What the tests share: back ends that misbehave, servers, strategies, an oracle."""
