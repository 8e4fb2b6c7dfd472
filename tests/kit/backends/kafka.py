"""A Kafka broker in this process: librdkafka's own mock, which tells nobody to wait.

`test.mock.num.brokers` of a client makes the same one, but there the first consumer of a group
waits three seconds for others. What turns that off is in the library and has no name in Python.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer, cimpl

_PRODUCER = 0  # RD_KAFKA_PRODUCER


@contextmanager
def mock_brokers(topic: str, brokers: int = 1) -> Iterator[str]:
    """Host brokers that have *topic* with four partitions; yield where they listen."""
    library = ctypes.CDLL(cimpl.__file__)  # finds what its dependencies export, too
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    library.rd_kafka_new.restype = pointer
    library.rd_kafka_mock_cluster_new.restype = pointer
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    said = ctypes.create_string_buffer(512)
    host = pointer(library.rd_kafka_new(number(_PRODUCER), None, said, ctypes.c_size_t(len(said))))
    assert host, said.value
    cluster = pointer(library.rd_kafka_mock_cluster_new(host, number(brokers)))
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, number(0))
    address = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()
    try:
        Producer({"bootstrap.servers": address}).list_topics(topic, timeout=60)
        yield address
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(host)
